"""Fits to draw, of several sizes and kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

from hierlogit.fits.fit import Fit

MakeFit = Callable[..., Fit]
ClusteredRows = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def clinics(make_fit: MakeFit, clustered_rows: ClusteredRows) -> Fit:
    """Thirty clinics, two correlated effects."""
    return make_fit("healed ~ dose + I(dose**2) + arm + (1 + dose | clinic)", clustered_rows(30, 12))


@pytest.fixture(scope="session")
def crossed(make_fit: MakeFit, clustered_rows: ClusteredRows) -> Fit:
    """Two crossed factors."""
    return make_fit("healed ~ dose + arm + (1 | clinic) + (1 + dose || reader)", clustered_rows(12, 20))


@pytest.fixture(scope="session")
def herds(make_fit: MakeFit) -> Fit:
    """Counts out of trials."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"herd": np.repeat(np.arange(1, 16), 4), "period": np.tile(["1", "2", "3", "4"], 15)})
    frame["size"] = rng.integers(2, 35, len(frame))
    frame["sick"] = rng.binomial(frame["size"], 0.25)
    return make_fit("p(sick, size) ~ period + (1 | herd)", frame)


@pytest.fixture(scope="session")
def crowd(make_fit: MakeFit, clustered_rows: ClusteredRows) -> Fit:
    """Three thousand clinics."""
    return make_fit("healed ~ dose + arm + (1 + dose | clinic)", clustered_rows(3000, 4), draws=50, chains=2)


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
