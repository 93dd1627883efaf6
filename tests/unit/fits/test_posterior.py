"""Every engine's draws have the variables, dimensions, shapes and order that `posterior_layout` says."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, HierlogitWarning
from hierlogit.fits.posterior import posterior_layout, values_per_draw
from hierlogit.model import Model

FORMULAS = [
    "y ~ x + w",
    "y ~ 0 + (1 | g)",
    "y ~ x + (1 + w | g) + (1 + x || h)",
    "p(y, m) ~ w + (1 | h) + (0 + x + w | h) + (1 | g)",
]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(rng.normal(size=(120, 2)), columns=["x", "w"])
    frame["g"], frame["h"] = rng.permutation(np.arange(120) % 9), rng.permutation(np.arange(120) % 5)
    return frame.assign(m=3, y=rng.integers(0, 2, 120))


def assert_has_layout(model: Model, posterior: xr.Dataset, *, chains: int, draws: int, store_u: bool = False) -> None:
    layout = posterior_layout(model, store_u=store_u)
    assert list(posterior.data_vars) == list(layout)
    for name, variable in layout.items():
        assert posterior[name].dims == ("chain", "draw", *variable.dims)
        assert posterior[name].shape == (chains, draws, *variable.shape)
        assert np.isfinite(posterior[name]).all()
    used = {dim for variable in layout.values() for dim in variable.dims}
    assert set(posterior.coords) == {"chain", "draw", *used}
    for dim in used:
        assert posterior[dim].values.tolist() == list(model.coords[dim])


@pytest.mark.parametrize("formula", FORMULAS)
def test_draws_of_a_likelihood_fit(formula: str, rows: pd.DataFrame) -> None:
    model = hl.Model(formula, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierlogitWarning)
        posterior = model.fit(hl.Laplace(draws=100, seed=1)).posterior
    assert_has_layout(model, posterior, chains=1, draws=100)
    per_draw = sum(math.prod(variable.shape[2:]) for variable in posterior.data_vars.values())
    assert values_per_draw(model) == per_draw


@pytest.mark.parametrize("store_u", [False, True])
@pytest.mark.parametrize("formula", FORMULAS)
def test_draws_of_the_sampler(formula: str, store_u: bool, rows: pd.DataFrame, tmp_path: Any) -> None:
    model = hl.Model(formula, rows)
    options: dict[str, Any] = {"draws": 20, "tune": 100, "chains": 2, "seed": 1, "progress": False, "store_u": store_u}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few draws on purpose
        posterior = model.fit(hl.NUTS(**options)).posterior
        stored = model.fit(hl.NUTS(**options, store=tmp_path / "run")).posterior
        recovered = hl.recover(tmp_path / "run").posterior
    for found in (posterior, stored, recovered):
        assert_has_layout(model, found, chains=2, draws=20, store_u=store_u)
    xr.testing.assert_equal(posterior, stored)
    for group in model.design.groups:
        name = group.result_name
        sd = posterior[f"sd_{name}"]
        assert (sd > 0).all()
        if group.correlated:
            cor = posterior[f"cor_{name}"].to_numpy()
            np.testing.assert_array_equal(np.einsum("...ii->...i", cor), 1.0)
            assert np.abs(cor).max() <= 1.0
        if store_u and not group.correlated:
            scaled = posterior[f"u_{name}"] * sd
            xr.testing.assert_allclose(posterior[f"b_{name}"], scaled.transpose(*posterior[f"b_{name}"].dims))


def test_draws_of_the_priors(rows: pd.DataFrame) -> None:
    model = hl.Model(FORMULAS[2], rows)
    prior = hl.prior_predictive(model, draws=4, seed=1)["prior"].to_dataset()
    assert_has_layout(model, prior, chains=1, draws=4)
