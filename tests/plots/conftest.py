"""Fits without sampling: draws from normal distributions under the names a real posterior has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hierlogit.fit import EngineReport, Fit, assemble
from hierlogit.model import Model, result_name

mpl.use("agg")


def synthetic_fit(model: Model, draws: int = 200, seed: int = 1, chains: int = 2) -> Fit:
    """A fit of `model` whose draws come from normal distributions about made-up values."""
    rng = np.random.default_rng(seed)
    design, coords = model.design, model.coords
    shape, dims = (chains, draws), ("chain", "draw")
    variables: dict[str, Any] = {}
    if design.fixed_effects:
        centre = rng.normal(0, 0.6, len(design.fixed_effects)) / design.column_sds
        noise = rng.normal(0, 0.1, (*shape, len(design.fixed_effects))) / design.column_sds
        variables["beta"] = ((*dims, "fixed_effect"), centre + noise)
    for group in design.groups:
        name, dim, q = result_name(group), model.effect_dim(group), len(group.effects)
        sd = np.abs(rng.normal(0.7, 0.1, (*shape, q)))
        variables[f"sd_{name}"] = ((*dims, dim), sd)
        if group.correlated:
            cor = np.broadcast_to(np.eye(q), (*shape, q, q)).copy()
            shared = rng.uniform(0.1, 0.5, shape)
            for members in group.sets:
                for i in members:
                    for j in members:
                        if i != j:
                            cor[..., i, j] = shared
            variables[f"cor_{name}"] = ((*dims, dim, f"{dim}_bis"), cor)
        centre = rng.normal(0, 0.7, (len(group.levels), q))
        variables[f"b_{name}"] = ((*dims, model.dim(group), dim), centre + rng.normal(0, 0.25, (*shape, *centre.shape)))
    used = {dim for dimensions, _ in variables.values() for dim in dimensions}
    labels = {name: values for name, values in coords.items() if name in used}
    posterior = xr.Dataset(variables, coords={"chain": np.arange(chains), "draw": np.arange(draws), **labels})
    report = EngineReport(
        "NUTS", True, "converged", seed=seed, measures={"max_rhat": 1.0, "min_ess_bulk": 400.0}, seconds={"sample": 0.1}
    )
    return Fit(model, assemble(model, posterior, None), report)


def clustered_rows(clusters: int, size: int, seed: int = 3) -> pd.DataFrame:
    """Rows of `clusters` clinics with a number, a text predictor, and a second factor that crosses the first."""
    rng = np.random.default_rng(seed)
    rows = clusters * size
    frame = pd.DataFrame(
        {
            "clinic": np.repeat([f"clinic {k + 1}" for k in range(clusters)], size),
            "dose": rng.uniform(0, 10, rows).round(2),
            "arm": rng.choice(["control", "new", "old"], rows),
            "reader": rng.choice(["Ann", "Bo", "Cleo", "Dee"], rows),
        }
    )
    effect = np.repeat(rng.normal(0, 0.8, clusters), size)
    p = 1 / (1 + np.exp(-(effect + 0.2 * (frame["dose"] - 5))))
    frame["healed"] = np.where(rng.uniform(size=rows) < p, "yes", "no")
    return frame


@pytest.fixture(scope="session")
def make_fit() -> Callable[..., Fit]:
    """Make a synthetic fit from a formula and rows."""

    def make(formula: str, data: Any, **options: Any) -> Fit:
        return synthetic_fit(Model(formula, data), **options)

    return make


@pytest.fixture(scope="session")
def clinics() -> Fit:
    """Thirty clinics, two correlated effects."""
    return synthetic_fit(Model("healed ~ dose + I(dose**2) + arm + (1 + dose | clinic)", clustered_rows(30, 12)))


@pytest.fixture(scope="session")
def crossed() -> Fit:
    """Two crossed factors."""
    return synthetic_fit(Model("healed ~ dose + arm + (1 | clinic) + (1 + dose || reader)", clustered_rows(12, 20)))


@pytest.fixture(scope="session")
def herds() -> Fit:
    """Counts out of trials."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"herd": np.repeat(np.arange(1, 16), 4), "period": np.tile(["1", "2", "3", "4"], 15)})
    frame["size"] = rng.integers(2, 35, len(frame))
    frame["sick"] = rng.binomial(frame["size"], 0.25)
    return synthetic_fit(Model("p(sick, size) ~ period + (1 | herd)", frame))


@pytest.fixture(scope="session")
def crowd() -> Fit:
    """Three thousand clinics."""
    return synthetic_fit(
        Model("healed ~ dose + arm + (1 + dose | clinic)", clustered_rows(3000, 4)), draws=150, chains=2
    )


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
