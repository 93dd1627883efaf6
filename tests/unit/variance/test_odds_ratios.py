"""Median and interval odds ratios against a million simulated pairs of clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import hierlogit as hl
from hierlogit.errors import FitError, PredictionError

MakeFit = Callable[..., hl.results.Fit]
PAIRS = 10**6


def rows() -> pd.DataFrame:
    """Pupils in rooms in schools: `rural` and `size` of schools, `young` of rooms, `x` of pupils."""
    rng, n = np.random.default_rng(4), 240
    school, room = np.repeat(np.arange(12), 20), np.repeat(np.arange(48), 5)
    return pd.DataFrame(
        {
            "school": school,
            "room": room,
            "rural": np.where(school % 3 == 0, "Y", "N"),
            "size": rng.normal(300, 50, 12)[school] * (1 + 1e-13 * rng.uniform(-1, 1, n)),
            "young": rng.integers(0, 2, 48)[room],
            "x": rng.normal(0, 1, n),
            "y": rng.integers(0, 2, n),
        }
    )


def at_truth(formula: str, beta: list[float], **cholesky: Any) -> hl.results.Fit:
    fit = hl.Model(formula, rows()).fit(hl.Laplace(draws=100, seed=1))
    assert fit.estimate is not None
    named = {name: np.atleast_2d(cholesky[name.replace(":", "_")]) for name in fit.estimate.cholesky}
    return hl.results.Fit(
        fit.model, fit.data, fit.diagnostics, replace(fit.estimate, beta=np.array(beta), cholesky=named)
    )


def test_the_median_odds_ratio_is_the_median_over_pairs_of_clusters() -> None:
    L = np.array([[0.9, 0.0], [0.3, 0.5]])
    fit = at_truth("y ~ x + (1 + x | school)", [0.2, 1.0], school=L)
    rng = np.random.default_rng(1)
    table = hl.mor(fit, hl.datagrid(fit, x=[0.0, 2.0]))
    for x, estimate in zip(table["x"], table["estimate"], strict=True):
        logits = 0.2 + x + rng.standard_normal((PAIRS, 2, 2)) @ L.T @ np.array([1, x])
        ratio = np.exp(np.abs(logits[:, 0] - logits[:, 1]))
        # A median's standard error is 1 / (2 f sqrt(n)): half a percent is four of them.
        assert estimate == pytest.approx(np.median(ratio), rel=5e-3)


def test_median_odds_ratios_by_hand(make_fit: MakeFit) -> None:
    fit = make_fit("y ~ x + (1 | school/room)", rows())
    table = hl.mor(fit)
    assert table["group"].tolist() == ["school", "school:room"]
    for k, name in enumerate(("sd_school", "sd_school:room")):
        sd = fit.posterior[name].values[..., 0]
        np.testing.assert_allclose(table.draws.values[..., k], np.exp(np.sqrt(2 * sd**2) * norm.ppf(0.75)))
    slope = make_fit("y ~ x + (0 + x | school)", rows())
    mean_square = (rows()["x"] ** 2).mean()
    sd = slope.posterior["sd_school"].values[..., 0] * np.sqrt(mean_square)
    np.testing.assert_allclose(hl.mor(slope).draws.values[..., 0], np.exp(np.sqrt(2 * sd**2) * norm.ppf(0.75)))


def test_clusters_that_do_not_differ_have_a_ratio_of_one() -> None:
    fit = at_truth("y ~ rural + (1 | school)", [0.0, 0.5], school=0.0)
    assert hl.mor(fit)["estimate"].tolist() == [1.0]
    assert hl.ior(fit)["estimate"].tolist() == [np.exp(0.5)] * 3 + [0.0]


@pytest.mark.parametrize(("prob", "step"), [(0.8, 1.0), (0.5, 1.0), (0.8, -2.0)])
def test_interval_odds_ratios_are_quantiles_over_pairs_of_clusters(prob: float, step: float) -> None:
    beta, school, room = -0.6, 0.7, 0.5
    fit = at_truth("y ~ rural + (1 | school) + (1 | room)", [0.1, beta], school=school, room=room)
    rng = np.random.default_rng(2)
    effect = school * rng.standard_normal((PAIRS, 2)) + room * rng.standard_normal((PAIRS, 2))
    ratio = np.exp(beta * step + effect[:, 0] - effect[:, 1])
    table = hl.ior(fit, {"rural[Y]": step}, prob=prob)
    assert table["term"].tolist() == ["rural[Y]"] * 4
    assert table["groups"].tolist() == ["school, room"] * 4
    found = table.set_index("quantity")["estimate"]
    tail = (1 - prob) / 2
    expected = [np.median(ratio), *np.quantile(ratio, [tail, 1 - tail])]
    np.testing.assert_allclose(found[["odds ratio", "lower", "upper"]], expected, rtol=1e-2)
    assert found["opposed"] == pytest.approx(np.mean((ratio > 1) != (beta * step > 0)), abs=2e-3)


def test_which_clusters_differ_is_found_in_the_data(make_fit: MakeFit) -> None:
    fit = make_fit("y ~ rural + size + young + x + between(x, school) + (1 | school) + (1 | room)", rows())
    table = hl.ior(fit)
    differing = dict(zip(table["term"], table["groups"], strict=True))
    assert differing == {
        "rural[Y]": "school, room",
        "size": "school, room",
        "young": "room",
        "between(x, school)": "school, room",
    }
    beta = fit.posterior["beta"].sel(fixed_effect="young").values
    sd = np.sqrt(2) * fit.posterior["sd_room"].values[..., 0]
    young = hl.ior(fit, "young").draws.values
    np.testing.assert_allclose(young[..., 1], np.exp(beta - norm.ppf(0.9) * sd))
    np.testing.assert_allclose(young[..., 3], norm.cdf(-np.abs(beta) / sd))
    chosen = hl.ior(fit, ["x", "rural"], group="room")
    assert chosen["term"].unique().tolist() == ["x", "rural[Y]"]
    assert set(chosen["groups"]) == {"room"}


@pytest.mark.parametrize(
    ("variables", "options", "message"),
    [
        ("x", {}, "'x' varies within the clusters of every grouping factor.*group='school'"),
        ("sise", {}, "no fixed effect 'sise' in the model; choose one of 'rural\\[Y\\]', 'x', 'rural'"),
        ("Intercept", {}, "no fixed effect 'Intercept' in the model"),
        ([], {}, "variables is an empty list"),
        ({"rural": 0}, {}, "the difference must not be zero"),
        ({"rural": "Y"}, {}, "variables\\['rural'\\]='Y' must be a finite number"),
        ({"rural": 1e50}, {}, "makes odds ratios too large"),
        ("rural", {"prob": 80}, "prob=80 must be a number between 0 and 1"),
    ],
)
def test_what_is_no_comparison_is_refused(
    make_fit: MakeFit, variables: Any, options: dict[str, Any], message: str
) -> None:
    fit = make_fit("y ~ rural + x + (1 | school)", rows(), draws=5)
    with pytest.raises(PredictionError, match=message):
        hl.ior(fit, variables, **options)


def test_a_model_without_predictors_of_clusters(make_fit: MakeFit) -> None:
    with pytest.raises(FitError, match="no fixed effect of the model is constant within clusters"):
        hl.ior(make_fit("y ~ x + (1 | school)", rows(), draws=5))
    with pytest.raises(FitError, match="no grouping factor 'rooms'"):
        hl.ior(make_fit("y ~ x + (1 | school)", rows(), draws=5), group="rooms")
