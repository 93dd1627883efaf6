"""The compiled joint density and the PyMC graph are one function, and `check_density` sees where they are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.joint import model_arrays as module
from hierlogit.density.joint.geometry import Geometry
from hierlogit.density.joint.model_arrays import JointArrays, joint_arrays
from hierlogit.diagnostics import density as density_check
from hierlogit.errors import EngineError
from hierlogit.model import Model


def _rows(n: int = 60, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "hits": rng.integers(0, 4, n),
            "size": rng.integers(4, 9, n),
            "x": rng.normal(1990, 10, n),
            "w": rng.normal(size=n),
            "f": rng.choice(["a", "b", "c"], n),
            "g": rng.integers(1, 7, n),
            "h": rng.choice(list("pqrs"), n),
        }
    )


MODELS: dict[str, tuple[str, dict[str, pr.Prior]]] = {
    "plain": ("y ~ x + f", {}),
    "no_intercept": ("y ~ 0 + f + (1 | g)", {"beta": pr.StudentT(3, 0.5, 2)}),
    "random_only": ("y ~ 0 + (1 | g)", {"sd": pr.HalfCauchy(2)}),
    "correlated": ("y ~ x + offset(w) + (1 + w | g)", {"sd": pr.HalfNormal(2), "cor": pr.LKJ(3)}),
    "two_sets": ("y ~ x + (1 + w | g) + (0 + f | g)", {"x": pr.Laplace(0, 0.3), "Intercept": pr.Cauchy(0, 2)}),
    "mixed_families": (
        "p(hits, size) ~ x + w + (1 + w || g) + (1 | h)",
        {"x": pr.Cauchy(0, 1), "sd_g": pr.Gamma(2, 1), "sd_g[w]": pr.LogNormal(0, 1), "sd_h": pr.HalfStudentT(4, 2)},
    ),
    "decov": (
        "y ~ x + (1 + w + f | g) + (1 | h)",
        {"sd_g": pr.Decov(1.5, 2, 0.7), "sd_h": pr.Decov(), "cor": pr.LKJ(1)},
    ),
    "decov_beside_others": (
        "y ~ x + (1 + w | g) + (0 + x | g)",
        {"sd_g": pr.Decov(2, 1, 2), "sd_g[x]": pr.Gamma(2, 3)},
    ),
    "nested": ("y ~ w + (1 | g/h)", {"sd": pr.Exponential(2)}),
}


def _model(name: str) -> Model:
    formula, priors = MODELS[name]
    return Model(formula, _rows(), priors=priors)


@pytest.mark.filterwarnings("ignore:'x' lies between 1967.* and independent of:hierlogit.errors.DataWarning")
@pytest.mark.parametrize("name", MODELS)
def test_compiled_density_is_that_of_the_graph(name: str) -> None:
    found = hl.check_density(_model(name), points=4, seed=11)
    assert found.value_difference < 1e-8
    assert found.gradient_difference < 1e-6
    assert found.agrees


def test_columns_far_from_zero_and_rare_levels_lose_no_digits() -> None:
    rng = np.random.default_rng(1)
    n = 2000
    data = pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "year": rng.integers(1990, 2020, n),
            "rare": (np.arange(n) < 2).astype(float),
            "far": rng.normal(0, 40, n),
            "g": rng.integers(0, 30, n),
        }
    )
    with pytest.warns(hl.errors.DataWarning, match=r"'year' lies between 1990 and 2019.* Write center\(year\)"):
        model = Model("y ~ year + rare + offset(far) + (1 + year | g)", data)
    found = hl.check_density(model, points=3)
    assert found.agrees
    assert found.value_difference < 1e-8


# ---- what the check sees -----------------------------------------------------------------------------------------

Change = Callable[[JointArrays], JointArrays]


def _changed(**factors: float) -> Change:
    def change(joint: JointArrays) -> JointArrays:
        moved = {name: getattr(joint.arrays, name) * factor for name, factor in factors.items()}
        return JointArrays(joint.arrays._replace(**moved), joint.orders, joint.starts, joint.effects_at)

    return change


def _levels_swapped(joint: JointArrays) -> JointArrays:
    return JointArrays(joint.arrays, tuple(order[::-1] for order in joint.orders), joint.starts, joint.effects_at)


CHANGES: dict[str, tuple[Change, str]] = {
    "another prior of an sd": (_changed(sd_arguments=1.001), "sd_g"),
    "another LKJ prior": (_changed(cor_power=1.001), "cor_g"),
    "another prior of a coefficient": (_changed(beta_arguments=1.01), "beta"),
    "other offsets": (_changed(offset=1.001), ""),
    "another outcome": (_changed(y=1.001), ""),
    "levels in another order": (_levels_swapped, "u_g"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_density_is_seen(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, where = CHANGES[what]

    def arrays(model: Model, geometry: Geometry) -> JointArrays:
        return change(joint_arrays(model, geometry))

    monkeypatch.setattr(density_check, "joint_arrays", arrays)
    found = hl.check_density(_model("correlated"), points=3)
    assert not found.values_agree
    assert not found.gradients_agree
    assert not found.agrees
    assert where in found.where
    assert "NOT" in repr(found)
    assert found.where in repr(found)


def test_a_density_that_is_no_number_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    def arrays(model: Model, geometry: Geometry) -> JointArrays:
        return _changed(offset=np.nan)(joint_arrays(model, geometry))

    monkeypatch.setattr(density_check, "joint_arrays", arrays)
    found = hl.check_density(_model("correlated"), points=2)
    assert not found.values_agree
    assert not found.gradients_agree


def test_check_says_what_it_did_and_repeats_it() -> None:
    model = _model("random_only")
    one, two, other = (hl.check_density(model, points=2, seed=seed) for seed in (4, 4, 5))
    assert one == two
    assert one != other
    assert repr(one).startswith("Compiled log density and PyMC graph at 2 random points (seed 4)\n  values    agree:")
    assert "1e-08 is allowed\n  gradients agree:" in repr(one)
    assert "NOT" not in repr(one)


def test_larger_log_densities_may_differ_in_proportion() -> None:
    check = density_check.DensityCheck(5, 1, 2e-8, 1e-8, 2e-6, 1e-6, "u_g")
    assert not check.values_agree
    assert not check.gradients_agree
    data = pd.DataFrame({"hits": [30_000, 40_000], "size": [80_000, 70_000]})
    assert 1e-8 < hl.check_density(Model("p(hits, size) ~ 1", data), points=2).value_tolerance < 1e-6


def test_priors_that_the_compiled_density_does_not_know_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(module.FAMILIES, pr.HalfCauchy)
    with pytest.raises(EngineError, match="does not have the prior family 'HalfCauchy'"):
        hl.check_density(_model("random_only"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 1}, "points=1 must be a whole number from 2 to"),
        ({"points": 2.5}, "points=2.5 must be"),
        ({"points": True}, "points=True must be"),
        ({"seed": -1}, "seed=-1 must be a whole number from 0 to"),
    ],
)
def test_options_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        hl.check_density(_model("random_only"), **options)
