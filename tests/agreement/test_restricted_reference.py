"""The restricted likelihood against glmmTMB with REML = TRUE."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hierlogit as hl

FILE = Path(__file__).parents[1] / "reference" / "restricted_reference.json"
REFERENCE: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["models"]


@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")  # Laplace's method is poor for toenail
@pytest.mark.parametrize("name", list(REFERENCE))
def test_restricted_fits_are_those_of_glmmtmb(name: str) -> None:
    entry = REFERENCE[name]
    model = hl.Model(entry["python_formula"], hl.datasets.load(entry["data"]))
    estimate = model.fit(hl.Laplace(restricted=True)).estimate
    assert estimate is not None
    assert abs(estimate.log_likelihood - entry["logLik"]) < 1e-6
    assert estimate.n_parameters == entry["df"]
    assert abs(estimate.aic - entry["AIC"]) < 1e-5
    fixed = entry["fixef"]
    places = [fixed["names"].index(label) for label in estimate.fixed_effects]
    value, errors = np.array(fixed["estimate"])[places], np.array(fixed["se"])[places]
    assert np.all(np.abs(estimate.beta - value) < 1e-4 * errors)
    np.testing.assert_allclose(estimate.standard_errors, errors, rtol=1e-4)
    for term in entry["random"]:
        np.testing.assert_allclose(estimate.sd(term["group"]), term["sd"], rtol=1e-4)
        if "corr" in term:
            np.testing.assert_allclose(estimate.cor(term["group"]), term["corr"], atol=1e-4)
