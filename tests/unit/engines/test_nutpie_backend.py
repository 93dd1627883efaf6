"""The native backend of the sampler: its draws, its geometries, its two ways into nutpie, and interruptions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.joint import model_arrays as joint_arrays
from hierlogit.engines.nuts import nutpie_model as native_model
from hierlogit.errors import ConvergenceWarning, DataWarning, EngineError

CROSSED = "y ~ x + (1 + x || g) + (1 | h)"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    g, h = np.repeat(np.arange(15), 12), np.tile(np.arange(12), 15)
    x = rng.normal(size=180)
    eta = 0.4 + 0.8 * x + rng.normal(0, 0.8, 15)[g] + rng.normal(0, 0.6, 12)[h]
    frame = pd.DataFrame({"y": rng.uniform(size=180) < 1 / (1 + np.exp(-eta)), "x": x, "g": g, "h": h})
    return frame.sample(frac=1, random_state=1)


def fit(formula: str, data: Any, priors: Any = None, **options: Any) -> hl.results.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few draws on purpose
        warnings.simplefilter("ignore", DataWarning)  # for the shape of a model, single rows will do
        return hl.Model(formula, data, priors=priors).fit(hl.NUTS(**({"seed": 3, "progress": False} | options)))


@pytest.fixture(scope="module")
def crossed(rows: pd.DataFrame) -> hl.results.Fit:
    return fit(CROSSED, rows, store_u=True)


def test_native_is_the_default_and_compiles_no_graph(crossed: hl.results.Fit) -> None:
    assert crossed.diagnostics.settings["backend"] == "native"
    assert crossed.diagnostics.settings["tune"] == 400
    assert crossed.diagnostics.settings["target_accept"] == 0.8
    assert crossed.diagnostics.status == "converged"
    assert set(crossed.diagnostics.seconds) - {"compile"} == {"locate", "sample"}
    assert set(crossed.data["sample_stats"].data_vars) == {
        "diverging", "energy", "tree_depth", "reached_max_treedepth", "n_steps", "step_size", "acceptance_rate",
    }  # fmt: skip


def test_effects_are_the_standardised_ones_times_their_root_in_the_users_order(crossed: hl.results.Fit) -> None:
    posterior = crossed.posterior
    for group in crossed.model.design.groups:
        name = group.result_name
        assert posterior[name].values.tolist() == list(group.levels)
        b, u = posterior[f"b_{name}"], posterior[f"u_{name}"]
        xr.testing.assert_allclose(b, (u * posterior[f"sd_{name}"]).transpose(*b.dims), atol=1e-12)


def test_levels_are_labelled_as_in_the_data() -> None:
    # One cluster with only events and one without any, in an order that sorting would change.
    data = pd.DataFrame({"g": np.repeat(["z", "a", "m", "c"], 30), "y": np.repeat([1, 0, 1, 0], 30)})
    data.loc[data.index % 5 == 0, "y"] = 1 - data["y"]
    effects = fit("y ~ 1 + (1 | g)", data, draws=300, chains=2).posterior["b_g"].mean(("chain", "draw")).squeeze()
    assert (effects.sel(g=["z", "m"]) > 0.5).all()
    assert (effects.sel(g=["a", "c"]) < -0.5).all()


def test_geometries_sample_one_posterior(rows: pd.DataFrame, crossed: hl.results.Fit) -> None:
    other = fit(CROSSED, rows, parameterization="noncentered", draws=1500)
    one, two = (hl.summary(found) for found in (crossed, other))
    scale = one["sd"].to_numpy()
    np.testing.assert_allclose(one["mean"], two["mean"], atol=0.2 * scale.max())
    assert (np.abs(one["mean"] - two["mean"]) < 0.15 * scale).all()
    assert (np.abs(one["sd"] / two["sd"] - 1) < 0.15).all()


def test_same_seed_same_draws_whatever_the_cores(rows: pd.DataFrame) -> None:
    options = {"draws": 60, "tune": 60, "chains": 2}
    one, two, other = (fit(CROSSED, rows, **options, cores=c, seed=s) for c, s in ((1, 5), (2, 5), (2, 6)))
    np.testing.assert_array_equal(one.posterior["b_g"], two.posterior["b_g"])
    assert not np.array_equal(one.posterior["beta"], other.posterior["beta"])


def test_without_the_known_interface_python_functions_draw_the_same(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"draws": 60, "tune": 60, "chains": 2, "store_u": True}
    known = fit(CROSSED, rows, **options)
    monkeypatch.setattr(native_model, "KNOWN_INTERFACES", ("9999.",))
    unknown = fit(CROSSED, rows, **options)
    for name in ("beta", "sd_g", "b_g", "u_h"):
        np.testing.assert_allclose(known.posterior[name], unknown.posterior[name], rtol=1e-9, atol=1e-9)


def test_models_of_every_shape_are_sampled(rows: pd.DataFrame) -> None:
    options = {"draws": 50, "tune": 50, "chains": 2}
    for formula, variables in {
        "y ~ x": ["beta"],
        "y ~ 0 + (1 | g)": ["sd_g", "b_g"],
        "y ~ 0 + x + (0 + x | g)": ["beta", "sd_g", "b_g"],
        "y ~ x + (1 + x | g/h)": ["beta", "sd_g", "cor_g", "sd_g:h", "cor_g:h", "b_g", "b_g:h"],
    }.items():
        posterior = fit(formula, rows, **options).posterior
        assert list(posterior.data_vars) == variables
        assert all(np.isfinite(values).all() for values in posterior.data_vars.values())
        for name in variables:
            if name.startswith("cor"):
                np.testing.assert_array_equal(posterior[name].values[..., [0, 1], [0, 1]], 1)


def test_separated_data_are_held_by_the_prior() -> None:
    data = pd.DataFrame({"x": np.linspace(-1, 1, 60), "g": np.tile(np.arange(6), 10)})
    data["y"] = (data["x"] > 0).astype(int)
    found = fit("y ~ x + (1 | g)", data)
    assert found.diagnostics.status == "converged"
    assert 2 < float(found.posterior["beta"].sel(fixed_effect="x").mean()) < 40


def test_prior_unknown_to_the_density_takes_the_graph_and_says_so(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(joint_arrays.FAMILIES, pr.Laplace)
    found = fit("y ~ x + (1 | g)", rows, priors={"x": pr.Laplace(0, 1)}, draws=50, tune=50, chains=1)
    assert found.diagnostics.settings["backend"] == "nutpie"
    assert "compile" in found.diagnostics.seconds
    assert [finding.code for finding in found.diagnostics.findings if finding.severity == "note"] == ["backend_changed"]
    assert "Laplace" in str(found.diagnostics.findings[-1])


@pytest.mark.usefixtures("interrupted_sampling")
def test_interrupted_run_keeps_its_draws(rows: pd.DataFrame) -> None:
    model = hl.Model(CROSSED, rows)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        found = model.fit(hl.NUTS(draws=10_000_000, chains=2, seed=1, progress=False))
    assert found.diagnostics.status == "interrupted"
    assert 0 < found.posterior.sizes["draw"] < 10_000_000
    assert np.isfinite(found.posterior["b_h"]).all()


def test_options_out_of_range() -> None:
    with pytest.raises(EngineError, match="'auto', 'noncentered'"):
        hl.NUTS(parameterization="centred")
    with pytest.raises(EngineError, match="store needs backend='native'"):
        hl.NUTS(backend="pymc", store="somewhere")
