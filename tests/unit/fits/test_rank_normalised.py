"""R-hat and the effective size in the bulk are those of ArviZ."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pytest
import xarray as xr

from hierlogit.fits.rank_normalised import bulk_ess, rhat


def draws(chains: int, count: int) -> xr.DataArray:
    random = np.random.default_rng(count)
    values = np.stack(
        [
            random.normal(size=(chains, count)),
            random.normal(size=(chains, count)) + np.arange(chains)[:, None],
            random.integers(0, 3, (chains, count)),  # equal draws
            random.integers(0, 2, (chains, count)),  # the same distance from their median
            np.zeros((chains, count)),
        ],
        axis=-1,
    )
    return xr.DataArray(values, dims=("chain", "draw", "parameter"))


@pytest.mark.parametrize(("chains", "count"), [(4, 200), (2, 31), (2, 9), (3, 8), (2, 7), (2, 4), (2, 3)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_they_are_those_of_arviz(chains: int, count: int) -> None:
    values = draws(chains, count)
    dataset = values.to_dataset(name="value")
    np.testing.assert_array_equal(rhat(values), arviz_stats.rhat(dataset)["value"])
    np.testing.assert_array_equal(bulk_ess(values), arviz_stats.ess(dataset, method="bulk")["value"])


def test_draws_that_are_not_numbers_have_none() -> None:
    values = draws(2, 20)
    values[0, 3, 1] = np.nan
    dataset = values.to_dataset(name="value")
    np.testing.assert_array_equal(rhat(values), arviz_stats.rhat(dataset)["value"])
    np.testing.assert_array_equal(bulk_ess(values), arviz_stats.ess(dataset, method="bulk")["value"])
    assert np.isnan(bulk_ess(values)[1])
