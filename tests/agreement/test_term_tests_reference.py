"""Tests of terms against drop1 and anova of lme4 and glmmTMB."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "reference" / "term_tests_reference.json").read_text(encoding="utf-8")
)
#: Without age, lme4's search ends 0.03 below the maximum that glmmTMB finds; the columns are not scaled there.
LME4 = {"contraception_slope": 0.06}


@pytest.mark.parametrize("name", REFERENCE["models"])
def test_statistics_and_naive_p_values_are_those_of_other_software(name: str) -> None:
    expected = REFERENCE["models"][name]
    model = hl.Model(expected["formula"], hl.datasets.load(expected["data"]))
    with warnings.catch_warnings():
        # Laplace's method is poor for one of these, in the other software as here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = hl.test_terms(model.fit("laplace"))
    labels = [
        term if component == "fixed" else f"{term} | {component}"
        for term, component in zip(found["term"], found["component"], strict=True)
    ]
    rows = dict(zip(labels, found.to_dict("records"), strict=True))
    for software, within in (("glmmTMB", 1e-3), ("lme4", LME4.get(name, 5e-3))):
        assert expected[software]
        for label, (statistic, degrees, p_value) in expected[software].items():
            row = rows[label]
            assert row["parameters"] == degrees, label
            assert row["statistic"] == pytest.approx(statistic, abs=within), label
            assert row["p_naive"] == pytest.approx(p_value, rel=2 * within, abs=within / 2), label
            if "|" in label and degrees == 1:
                assert row["p_value"] == pytest.approx(row["p_naive"] / 2, rel=1e-9), label
