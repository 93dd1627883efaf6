"""Fits of crossed sites and species, crossed sites and years, and a survey of states, against glmer and glmmTMB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hierlogit as hl

FILE = Path(__file__).parents[1] / "reference" / "sites_reference.json"
#: Differences of log-likelihoods. That of glmer depends on where its inner iterations stop.
CLOSE = {"lme4": 1e-4, "glmmTMB": 1e-6}
REFERENCE: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["models"]


@pytest.mark.parametrize("program", ["lme4", "glmmTMB"])
@pytest.mark.parametrize("name", list(REFERENCE))
def test_fits_are_those_of_r(name: str, program: str) -> None:
    entry = REFERENCE[name]
    model = hl.Model(entry["python_formula"], hl.datasets.load(entry["data"]))
    estimate, expected = model.fit(hl.Laplace()).estimate, entry[program]
    assert estimate is not None
    assert abs(estimate.log_likelihood - expected["logLik"]) < CLOSE[program]
    assert estimate.n_parameters == expected["df"]
    fixed = expected["fixef"]
    places = [fixed["names"].index(label) for label in estimate.fixed_effects]
    value, errors = np.array(fixed["estimate"])[places], np.array(fixed["se"])[places]
    assert np.all(np.abs(estimate.beta - value) < 1e-3 * errors)
    np.testing.assert_allclose(estimate.standard_errors, errors, rtol=1e-3)
    for term in expected["random"]:
        np.testing.assert_allclose(estimate.sd(term["group"]), term["sd"], rtol=1e-3)
        if "corr" in term:
            np.testing.assert_allclose(estimate.cor(term["group"]), term["corr"], atol=1e-3)
