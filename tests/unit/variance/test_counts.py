"""The same data as counts and as single outcomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl

FORMULA = "~ x + z + (1 + x | g)"
VERBS: dict[str, Callable[[hl.results.Fit], Any]] = {
    "icc": hl.icc,
    "icc, unadjusted": lambda fit: hl.icc(fit, adjusted=False),
    "vpc": hl.vpc,
    "mor": hl.mor,
    "ior": lambda fit: hl.ior(fit, "z"),
    "r2": hl.r2,
    "r2, delta": lambda fit: hl.r2(fit, method="delta"),
    "conditional_vs_average": lambda fit: hl.conditional_vs_average(fit).swaplevel(axis="columns"),
}


def counts() -> pd.DataFrame:
    """Rows of very different numbers of trials, which depend on a predictor."""
    random = np.random.default_rng(8)
    g, x = np.repeat(np.arange(14), 6), random.normal(size=84).round(1)
    n = 1 + random.poisson(np.exp(1 + 0.8 * x))
    z = random.normal(size=14).round(1)[g]
    eta = 0.7 * x - 0.5 * z + random.normal(size=14)[g] + 0.6 * random.normal(size=14)[g] * x
    return pd.DataFrame({"g": g, "x": x, "z": z, "n": n, "k": random.binomial(n, expit(eta))})


def single(rows: pd.DataFrame) -> pd.DataFrame:
    """The same data, one row for each trial."""
    long = rows.loc[rows.index.repeat(rows["n"])].reset_index(drop=True)
    number = np.concatenate([np.arange(n) for n in rows["n"]])
    return long.assign(y=(number < long["k"]).astype(int))


@pytest.fixture(scope="module")
def fits() -> tuple[hl.results.Fit, hl.results.Fit]:
    rows = counts()
    models = hl.Model(f"p(k, n) {FORMULA}", rows), hl.Model(f"y {FORMULA}", single(rows))
    first, second = (model.fit(hl.Laplace(draws=100)) for model in models)
    return first, second


@pytest.mark.parametrize("verb", VERBS)
def test_counts_and_single_outcomes_give_the_same_result(
    verb: str, fits: tuple[hl.results.Fit, hl.results.Fit]
) -> None:
    of_counts, of_single = (VERBS[verb](fit) for fit in fits)
    np.testing.assert_allclose(of_counts["estimate"], of_single["estimate"], rtol=1e-4)


def test_the_change_of_variance_is_over_trials_too(fits: tuple[hl.results.Fit, hl.results.Fit]) -> None:
    rows = counts()
    smaller = hl.Model("p(k, n) ~ x + (1 + x | g)", rows), hl.Model("y ~ x + (1 + x | g)", single(rows))
    found = [
        hl.pcv(model.fit(hl.Laplace(draws=100)), fit)["estimate"] for model, fit in zip(smaller, fits, strict=True)
    ]
    np.testing.assert_allclose(*found, rtol=1e-3)
