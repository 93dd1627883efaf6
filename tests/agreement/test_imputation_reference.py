"""Fits of imputed tables pooled by Rubin's rules against fits by lme4 pooled by mice and mitml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.results import PooledEstimate, PooledFit
from hierlogit.rubins_rules import joint_test

FOLDER = Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="module")
def by_mice() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "imputation_reference.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def fit(by_mice: dict[str, Any]) -> PooledFit[hl.Model]:
    values = pd.read_csv(FOLDER / "imputation_values.csv", dtype=str)
    tables = []
    for k in range(1, by_mice["imputations"] + 1):
        table = hl.datasets.load("contraception")
        for column, cells in values.groupby("column"):
            imputed = cells[f"imputation_{k}"]
            rows = cells["row"].astype(int)
            table.loc[rows, column] = imputed.astype(float).to_numpy() if column == "age" else imputed.to_numpy()
        tables.append(table)
    return hl.fit_imputed(by_mice["formula"], tables, hl.Laplace(seed=1))


def test_the_table_is_that_of_mice(fit: PooledFit[hl.Model], by_mice: dict[str, Any]) -> None:
    table, expected = hl.summary(fit, df="normal"), by_mice["infinite"]
    fixed = table.loc[by_mice["fixed_effects"]]
    for name in ("estimate", "se"):  # lme4's searches end within some 1e-5 of a standard error
        assert np.all(np.abs(fixed[name] - expected[name]) < 2e-4 * np.array(expected["se"]))
    for name in ("df", "fmi", "riv", "lambda"):
        np.testing.assert_allclose(fixed[name], expected[name], rtol=2e-3)
    np.testing.assert_allclose(table["estimate"]["sd_district[Intercept]"], np.mean(by_mice["sd"]), rtol=1e-4)


def test_few_degrees_of_freedom_are_those_of_barnard_and_rubin(
    fit: PooledFit[hl.Model], by_mice: dict[str, Any]
) -> None:
    assert isinstance(fit.estimate, PooledEstimate)
    few = fit.estimate.with_df(np.full(len(fit.estimate.beta), 25.0))
    np.testing.assert_allclose(few.df, by_mice["few"]["df"], rtol=1e-3)
    np.testing.assert_allclose(few.missing_information["fmi"][: len(few.df)], by_mice["few"]["fmi"], rtol=1e-3)


def test_terms_have_the_tests_of_mitml(fit: PooledFit[hl.Model], by_mice: dict[str, Any]) -> None:
    tests = hl.test_terms(fit).set_index("term")
    for name in ("statistic", "df", "riv", "p_value"):
        np.testing.assert_allclose(tests[name]["livch"], by_mice["livch"][name], rtol=3e-3)
    assert isinstance(fit.estimate, PooledEstimate)
    for chosen, complete, key in ([1, 2], np.inf, "age"), ([4, 5, 6], 25.0, "livch_few"):
        members = fit.estimate.members
        beta = np.array([one.beta[chosen] for one in members])
        found = joint_test(beta, np.array([one.covariance[np.ix_(chosen, chosen)] for one in members]), complete)
        for name in ("statistic", "df", "riv", "p_value"):
            np.testing.assert_allclose(getattr(found, name), by_mice[key][name], rtol=3e-3)
