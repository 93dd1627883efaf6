"""Convergence measures and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from hierlogit.engines.nuts.convergence import convergence_findings, convergence_measures
from hierlogit.fits.findings import status_of

CHAINS, DRAWS = 4, 500


def _parameters(**columns: np.ndarray) -> xr.DataArray:
    values = np.stack(list(columns.values()), axis=-1)
    return xr.DataArray(values, dims=("chain", "draw", "parameter"), coords={"parameter": list(columns)})


def _noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(CHAINS, DRAWS))


def _stats(**changed: np.ndarray) -> xr.Dataset:
    columns = {"diverging": np.zeros((CHAINS, DRAWS), dtype=bool), "energy": _noise(9)} | changed
    return xr.Dataset({name: (("chain", "draw"), values) for name, values in columns.items()})


def _said(parameters: xr.DataArray, stats: xr.Dataset) -> tuple[set[str], str]:
    found = convergence_findings(convergence_measures(parameters, stats), CHAINS, DRAWS, (CHAINS, DRAWS))
    return {finding.code for finding in found}, status_of(found)


def test_good_draws_are_converged() -> None:
    assert _said(_parameters(a=_noise(1), b=_noise(2)), _stats()) == (set(), "converged")


def test_chains_at_different_places() -> None:
    codes, status = _said(_parameters(a=_noise(1), b=_noise(2) + np.arange(CHAINS)[:, None]), _stats())
    assert {"high_rhat", "low_ess"} <= codes
    assert status == "check"


def test_slow_chains_have_few_effective_draws() -> None:
    walk = np.cumsum(_noise(3), axis=1)
    assert "low_ess" in _said(_parameters(a=_noise(1), b=walk), _stats())[0]


@pytest.mark.parametrize("stuck", [np.ones((CHAINS, DRAWS)), np.full((CHAINS, DRAWS), np.nan)])
def test_a_parameter_that_never_moves_is_an_error(stuck: np.ndarray) -> None:
    codes, status = _said(_parameters(a=_noise(1), b=stuck), _stats())
    assert "constant_draws" in codes
    assert status == "failed"


def test_transitions() -> None:
    diverging = np.zeros((CHAINS, DRAWS), dtype=bool)
    diverging[0, :3] = True
    deep = np.ones((CHAINS, DRAWS), dtype=bool)
    slow = np.cumsum(_noise(4), axis=1)
    parameters = _parameters(a=_noise(1))
    assert _said(parameters, _stats(diverging=diverging))[0] == {"divergences"}
    assert _said(parameters, _stats(maxdepth_reached=deep))[0] == {"max_treedepth"}
    assert _said(parameters, _stats(energy=slow))[0] == {"low_bfmi"}


def test_fewer_draws_than_asked_for() -> None:
    measures = convergence_measures(_parameters(a=_noise(1)), _stats())
    found = convergence_findings(measures, CHAINS, DRAWS, (CHAINS, 1000))
    assert [finding.code for finding in found] == ["interrupted"]
    assert "4 of 4 chains have 500 of 1,000 draws" in found[0].evidence
    assert status_of(found) == "interrupted"


@pytest.mark.parametrize(
    ("rhat", "shown", "remedy"),
    [(1.0101, "1.011", "nearly agree"), (1.04, "1.040", "nearly agree"), (1.2, "1.200", "have not mixed")],
)
def test_r_hat_reads_as_above_its_limit(rhat: float, shown: str, remedy: str) -> None:
    measures = convergence_measures(_parameters(a=_noise(1)), _stats()) | {"max_rhat": rhat}
    (finding,) = convergence_findings(measures, CHAINS, DRAWS, (CHAINS, DRAWS))
    assert finding.evidence == f"The largest R-hat is {shown}; it should be at most 1.01."
    assert remedy in finding.advice
