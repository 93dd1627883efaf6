"""Searches repeated on other outcomes or without some rows, against models made anew from such tables."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.engines.maximum.refit import Refitter
from hierlogit.errors import DesignError, FitError
from hierlogit.estimate import Estimate

CASES: dict[str, tuple[str, str, str, Any]] = {
    "slope": ("contraception", "use ~ age + I(age**2) + urban + (1 + urban | district)", "district", hl.Laplace()),
    "crossed": ("verbagg", "r2 ~ btype + Anger + (1 | id) + (1 | item)", "item", hl.Laplace()),
    "binomial": ("cbpp", "p(successes, size) ~ period + (1 | herd)", "herd", hl.AGQ(nodes=9)),
    # No predictors: the intercept's prior is at their means, which other rows have elsewhere.
    "map": ("bacteria", "y ~ 1 + (1 | ID)", "ID", hl.MAP()),
    "nested": ("contraception", "use ~ urban + (1 | district / urban)", "district", hl.AGQ(nodes=7)),
}


def _close(found: Estimate, expected: Estimate) -> None:
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, abs=2e-6)
    np.testing.assert_allclose(found.beta, expected.beta, atol=3e-3 * expected.standard_errors.max())
    for name, L in expected.cholesky.items():
        np.testing.assert_allclose(found.cholesky[name] @ found.cholesky[name].T, L @ L.T, atol=3e-3)


@pytest.mark.parametrize("case", CASES)
def test_without_a_cluster_is_a_fit_of_the_other_rows(case: str) -> None:
    name, formula, group, engine = CASES[case]
    frame = hl.datasets.load(name)
    fit = hl.Model(formula, frame).fit(engine)
    index = next(factor.index for factor in fit.model.design.groups if factor.name == group)
    # Priors are those of all rows, whose scales a table without some of them would change.
    rest = hl.Model.from_parts(formula, hl.Model(formula, frame[index != 1]).design.table, fit.model.priors).fit(engine)
    refit = Refitter.of(fit).without(index == 1)
    assert refit.converged
    assert rest.estimate is not None
    _close(refit.estimate, rest.estimate)


@pytest.mark.parametrize("case", CASES)
def test_other_outcomes_are_a_fit_of_another_table(case: str) -> None:
    name, formula, _, engine = CASES[case]
    frame = hl.datasets.load(name)
    model = hl.Model(formula, frame)
    fit = model.fit(engine)
    outcome = model.design.outcome
    y = np.random.default_rng(3).binomial(outcome.trials.astype(int), np.clip(fit_probability(fit), 0.02, 0.98))
    other = model.with_outcome(y)
    anew = hl.Model.from_parts(formula, other.design.table, model.priors)
    np.testing.assert_array_equal(anew.design.outcome.y, y)
    expected = anew.fit(engine).estimate
    assert expected is not None
    refit = Refitter.of(fit).with_outcome(y.astype(float))
    assert refit.converged
    _close(refit.estimate, expected)
    direct = other.fit(engine).estimate
    assert direct is not None
    _close(direct, expected)


def fit_probability(fit: hl.results.Fit) -> np.ndarray:
    return hl.predictions(fit)["estimate"].to_numpy()


def test_a_model_with_other_outcomes_is_whole() -> None:
    frame = pd.DataFrame({"yes": [1, 0, 2, 3], "no": [2, 3, 1, 1], "g": list("aabb")})
    model = hl.Model("cbind(yes, no) ~ 1 + (1 | g)", frame)
    other = model.with_outcome([0, 3, 3, 1])
    assert other.design.table.frame["no"].tolist() == [3, 0, 0, 3]
    back = pickle.loads(pickle.dumps(other))
    np.testing.assert_array_equal(back.design.outcome.y, [0, 3, 3, 1])
    np.testing.assert_array_equal(model.design.outcome.y, [1, 0, 2, 3])
    text = hl.Model("y ~ 1 + (1 | g)", frame.assign(y=["p", "q", "q", "p"]))
    assert text.with_outcome([1, 0, 0, 0]).design.table.frame["y"].tolist() == ["q", "p", "p", "p"]
    for wrong, message in (([1, 0], "shape"), ([2, 0, 0, 0], "from 0 to the number"), ([0.5, 0, 0, 0], "whole")):
        with pytest.raises(DesignError, match=message):
            text.with_outcome(wrong)


def test_a_fit_at_the_boundary_is_left_behind() -> None:
    # Identical clusters: the sd is zero. Outcomes that differ between clusters bring it back.
    frame = pd.DataFrame({"y": [0, 1] * 40, "g": np.repeat(np.arange(10), 8)})
    fit = hl.Model("y ~ 1 + (1 | g)", frame).fit(hl.Laplace())
    assert fit.estimate is not None
    assert fit.estimate.boundary
    y = np.where(np.repeat(np.arange(10), 8) < 5, np.tile([0, 0, 0, 1], 20), np.tile([1, 1, 0, 1], 20)).astype(float)
    refit = Refitter.of(fit).with_outcome(y)
    assert refit.converged
    assert refit.estimate.sd("g")[0] > 0.5


def test_separated_outcomes_reach_the_top_of_their_likelihood() -> None:
    frame = pd.DataFrame({"y": [0, 1] * 20, "x": np.tile([0, 1, 1, 0], 10), "g": np.repeat(np.arange(5), 8)})
    fit = hl.Model("y ~ x + (1 | g)", frame).fit(hl.Laplace())
    assert Refitter.of(fit).with_outcome(frame["x"].to_numpy(float)).estimate.log_likelihood > -1e-4


def test_samplers_have_nothing_to_refit(make_fit: Any) -> None:
    frame = pd.DataFrame({"y": [0, 1] * 20, "g": np.repeat(np.arange(5), 8)})
    with pytest.raises(FitError, match="fit the model with hl.Laplace"):
        Refitter.of(make_fit("y ~ 1 + (1 | g)", frame))
