"""Scores of slope variances: against the likelihood of the larger model, and which slopes there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.engines.maximum.integrator import integrator
from hierlogit.engines.maximum.objective import Objective
from hierlogit.engines.maximum.refitted import ReferenceFit
from hierlogit.fits.fit import Fit
from hierlogit.model_comparison.slope_scores import SlopeScore, absent_slopes, slope_scores


def survey() -> pd.DataFrame:
    frame = hl.datasets.load("contraception")
    return frame.assign(z=(frame["age"] - frame["age"].mean()) / frame["age"].std(ddof=0))


def score(fit: Fit, label: str) -> SlopeScore:
    chosen = [slope for slope in absent_slopes(fit.model.design) if slope.label == label]
    return slope_scores(ReferenceFit.of(fit).observed, chosen)[0]


def labels(formula: str, frame: pd.DataFrame) -> list[str]:
    return [slope.label for slope in absent_slopes(hl.Model(formula, frame).design)]


@pytest.mark.parametrize("fixed", ["z", "z + livch"])
@pytest.mark.parametrize("random", ["(1 | district)", "(1 + urban || district)"])
def test_it_is_the_derivative_of_the_larger_models_likelihood(fixed: str, random: str) -> None:
    """Laplace's likelihood of a model with the slope too, as its variance leaves zero."""
    fit = hl.Model(f"use ~ {fixed} + {random}", survey()).fit(hl.Laplace(seed=1))
    assert fit.estimate is not None
    (slope,) = [one for one in absent_slopes(fit.model.design) if one.term == "z"]
    frame = survey().assign(column=slope.columns[:, 0])
    larger = hl.Model(f"use ~ {fixed} + {random} + (0 + column | district)", frame)
    objective = Objective(larger, integrator(larger.design, 1)(larger.arrangement), penalised=False)
    psi = np.concatenate([fit.estimate.beta, np.zeros(len(objective.entries))])

    def rise(sd: float) -> float:
        cholesky = np.diag(np.full(len(larger.design.groups[0].effects), sd))
        cholesky[:-1, :-1] = fit.estimate.cholesky["district"]  # type: ignore[union-attr]
        return objective.evaluate(objective.with_cholesky(psi, [cholesky])).value

    at_zero = rise(0.0)
    near, far = ((rise(sd) - at_zero) / sd**2 for sd in (0.02, 0.04))
    found = score(fit, "z | district")
    assert found.value == pytest.approx(near + (near - far) / 3, rel=2e-3)
    assert found.information > 0


def test_quadrature_gives_nearly_the_same_score() -> None:
    laplace, quadrature = (
        score(hl.Model("use ~ z + (1 | district)", survey()).fit(engine), "z | district")
        for engine in (hl.Laplace(seed=1), hl.AGQ(nodes=9, seed=1))
    )
    assert laplace.value == pytest.approx(quadrature.value, rel=0.02)


def test_neither_coding_nor_origin_matters() -> None:
    frame = survey().assign(year=lambda rows: rows["age"] / 12 + 2000)
    one = hl.Model("use ~ age + livch + (1 | district)", frame).fit(hl.Laplace(seed=1))
    other = hl.Model("use ~ year + C(livch, Sum) + (1 | district)", frame).fit(hl.Laplace(seed=1))
    for term, same in (("age", "year"), ("livch", "C(livch, Sum)")):
        found, expected = score(other, f"{same} | district"), score(one, f"{term} | district")
        assert found.value == pytest.approx(expected.value, rel=1e-3)
        assert found.information == pytest.approx(expected.information, rel=1e-3)
    units = [slope.unit for fit in (one, other) for slope in absent_slopes(fit.model.design)]
    assert units[2] == pytest.approx(12 * units[0])  # a slope per year is twelve times one per month
    assert units[0] == pytest.approx(1 / frame["age"].std(ddof=0))


def test_slopes_that_could_vary() -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"school": np.repeat(np.arange(8), 12), "class": np.repeat(np.arange(24), 4)})
    frame = frame.assign(
        x=random.normal(size=96),
        f=np.tile(list("abcd"), 24),
        state=(frame["school"] % 2).astype(float),
        room=(frame["class"] % 3).astype(float),
        y=np.tile([0, 1, 1, 0, 1], 20)[:96],
    )
    # state is the same in all rows of a school, room in those of a class
    formula = "y ~ x * state + f + room + I(x**2) + (1 | school) + (1 | school:class)"
    within_class = ["x", "f", "I(x ** 2)"]
    assert labels(formula, frame) == [
        *(f"{term} | school" for term in ["x", "f", "room", "I(x ** 2)"]),
        *(f"{term} | school:class" for term in within_class),
    ]
    assert labels("y ~ x:f + (1 | school)", frame) == ["x:f | school"]
    assert labels("y ~ x:state + (1 | school)", frame) == []
    # Slopes that vary already, also under another name, and one that only a random term has.
    assert labels("y ~ f + I(x + 1) + (1 + x | school)", frame) == ["f | school"]
    assert labels("y ~ f + (0 + f | school) + (1 | class)", frame) == ["f | class"]
    assert labels("y ~ 1 + (1 + x | school) + (1 | class)", frame) == ["x | class"]
    (x,) = absent_slopes(hl.Model("y ~ x + (1 | school)", frame.assign(x=frame["x"] * (frame["school"] < 3))).design)
    assert x.clusters == 3
