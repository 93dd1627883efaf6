"""Weights against estimates by R's WeMix, and by Stata's gllamm as WeMix's vignette quotes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl

FOLDER = Path(__file__).parents[1] / "reference"
FORMULA = (
    "pass_read ~ female + isei + mn_isei + high_school + college + test_lang + one_for + both_for + (1 | id_school)"
)
WEIGHTS = ("w_fstuwt", {"id_school": "wnrschbw"})
#: Reaction times of 300 ms or more of 18 people on ten days (Belenky and others 2003, sleepstudy in lme4).
SLOW = (
    "0001111011 0000000000 0000000000 1100000111 0011100101 0001111110 0000011111 0000001111 0000000000 1101111111 "
    "0000000111 0000011111 0100010011 0011111111 0000110111 0000010111 0000000111 0001011111"
)


@pytest.fixture(scope="module")
def stored() -> Any:
    return json.loads((FOLDER / "pisa_reference.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pupils() -> pd.DataFrame:
    rows = pd.read_csv(FOLDER / "pisa_usa_2000.csv")
    return rows.assign(mn_isei=rows.groupby("id_school")["isei"].transform("mean"))


@pytest.mark.parametrize("scaling", ["size", "effective"])
def test_estimates_and_standard_errors_of_wemix(pupils: pd.DataFrame, stored: Any, scaling: Any) -> None:
    model = hl.Model(FORMULA, pupils, weights=hl.SamplingWeights(*WEIGHTS, scaling))
    estimate, expected = model.fit(hl.AGQ(nodes=25)).estimate, stored[scaling]
    assert estimate is not None
    assert list(estimate.fixed_effects) == stored["fixed_effects"]
    np.testing.assert_allclose(estimate.beta, expected["coef"], rtol=1e-5)
    # WeMix's are by differences.
    np.testing.assert_allclose(estimate.standard_errors, expected["se"], rtol=5e-4)
    assert estimate.sd("id_school")[0] ** 2 == pytest.approx(expected["variance"], rel=1e-5)
    assert estimate.log_likelihood == pytest.approx(expected["log_likelihood"], abs=1e-8)


def test_published_estimates_with_frequency_weights() -> None:
    """Those of gllamm in table 3 of WeMix's vignette, in which the rows of three people count twice.

    The log-likelihood, printed there without its sign, agrees to all of its digits. It is flat at its maximum, where
    gllamm has stopped a little apart.
    """
    rows = pd.DataFrame({"slow": [int(one) for one in SLOW.replace(" ", "")], "days": 18 * list(range(10))})
    rows["person"] = np.repeat(np.arange(18), 10)
    rows["count"] = np.where(rows["person"] < 3, 2, 1)
    model = hl.Model("slow ~ days + (1 | person)", rows, weights=hl.FrequencyWeights("count"))
    estimate = model.fit(hl.AGQ(nodes=25)).estimate
    assert estimate is not None
    assert estimate.log_likelihood == pytest.approx(-93.75168, abs=1e-5)
    np.testing.assert_allclose(estimate.beta, [-3.34499, 0.59285], rtol=3e-4)
    assert estimate.sd("person")[0] ** 2 == pytest.approx(4.13350, rel=2e-3)
