"""Beta-binomial fits against glmmTMB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl

FILE = Path(__file__).parents[1] / "reference" / "beta_binomial_reference.json"
REFERENCE: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["models"]


def counts_of(entry: dict[str, Any]) -> pd.DataFrame:
    """The rows of a fit: those of a data set, or how often something is the case in each cell of it."""
    rows: pd.DataFrame = hl.datasets.load(entry["data"])
    if not entry.get("cells"):
        return rows
    event = rows[entry["counted"]].isin([1, "1", "Y"]).astype(int)
    cells = event.groupby([rows[column] for column in entry["cells"]], observed=True)
    counted: pd.DataFrame = cells.agg(successes="sum", size="size").reset_index()
    return counted


@pytest.mark.parametrize("name", list(REFERENCE))
def test_fits_are_those_of_glmmtmb(name: str) -> None:
    entry = REFERENCE[name]
    rows = counts_of(entry)
    assert len(rows) == entry["rows"]
    estimate = hl.Model(entry["python_formula"], rows, family="betabinomial").fit("laplace").estimate
    assert estimate is not None
    assert estimate.phi is not None
    # glmmTMB's searches end a little below the maximum.
    assert -1e-8 < estimate.log_likelihood - entry["logLik"] < 1e-6
    assert estimate.n_parameters == entry["df"]
    fixed = entry["fixef"]
    places = [fixed["names"].index(label) for label in estimate.fixed_effects]
    value, errors = np.array(fixed["estimate"])[places], np.array(fixed["se"])[places]
    assert np.all(np.abs(estimate.beta - value) < 1e-4 * errors)
    np.testing.assert_allclose(estimate.standard_errors, errors, rtol=1e-4)
    np.testing.assert_allclose(estimate.phi, entry["phi"], rtol=1e-4)
    np.testing.assert_allclose(estimate.phi_se / estimate.phi, entry["log_phi_se"], rtol=1e-4)
    for term in entry["random"]:
        np.testing.assert_allclose(estimate.sd(term["group"]), term["sd"], rtol=1e-4, atol=1e-5)
