"""Default NUTS with nothing but a seed, on many models: it converges, and finds nothing but what the data deserve."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import HierlogitWarning
from hierlogit.fits.findings import FINDING_KINDS
from hierlogit.fits.fit import Fit

from .published import PUBLISHED
from .simulated import SIMULATED, Trial

#: What 4,000 draws must be worth for every parameter, in the bulk and in the tails.
LEAST_ESS = 1_000
TRIALS = {**PUBLISHED, **SIMULATED}


def fitted(trial: Trial, seed: int) -> Fit:
    """By NUTS as it is, without its progress bar."""
    with warnings.catch_warnings():
        # Those about the fit repeat its findings, which are looked at; those about the columns of a table are meant.
        warnings.simplefilter("ignore", HierlogitWarning)
        return hl.Model(trial.formula, trial.rows()).fit(hl.NUTS(seed=seed, progress=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIALS)
def test_default_nuts_converges(name: str) -> None:
    trial = TRIALS[name]
    fit = fitted(trial, seed=1)
    measures = fit.diagnostics.measures
    assert fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"] == 4_000
    assert measures["max_rhat"] <= 1.01
    assert min(measures["min_ess_bulk"], measures["min_ess_tail"]) >= LEAST_ESS
    assert measures["divergences"] == 0
    # Notes say what was done, such as which effects were integrated out.
    assert {one.code for one in fit.diagnostics.findings if one.severity != "note"} == set(trial.deserved)


@pytest.mark.parametrize("name", SIMULATED)
def test_tables_are_always_the_same(name: str) -> None:
    trial = SIMULATED[name]
    first, again = trial.rows(), trial.rows()
    assert first.equals(again)
    assert 0 < first["y"].sum() < (first["n"].sum() if "n" in first else len(first))


def test_deserved_findings_are_known() -> None:
    deserved = {code for trial in TRIALS.values() for code in trial.deserved}
    assert deserved <= set(FINDING_KINDS)


def test_effects_vary_as_they_are_said_to() -> None:
    from .layouts import Varying, clusters, table

    effects = Varying({"Intercept": 2.0, "x": 0.5}, -0.6).drawn(np.random.default_rng(1), 200_000)
    np.testing.assert_allclose(effects.std(axis=0), [2.0, 0.5], rtol=0.01)
    np.testing.assert_allclose(pd.DataFrame(effects).corr().to_numpy()[0, 1], -0.6, atol=0.01)
    rows = table(clusters([3, 1]), {"Intercept": 40.0}, {}, {}, seed=1, trials=(2, 5))
    assert (rows["y"] == rows["n"]).all()
    assert list(rows["g"]) == [0, 0, 0, 1]
