"""Coefficients of clusters: fixed effects plus deviations, also where the two parts are coded differently."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.density.linear_predictor import Draws
from hierlogit.errors import FitError
from hierlogit.summaries.cluster_coefficients import VaryingCoefficients

MakeFit = Callable[..., hl.results.Fit]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 80
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "x": rng.normal(5, 2, n),
            "z": rng.normal(size=n),
            "arm": rng.choice(["a", "b", "c"], n),
            "g": rng.choice([f"g{k}" for k in range(5)], n),
            "h": rng.choice(["p", "q", "r"], n),
        }
    )


def test_fixed_effects_plus_deviations(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    fit = make_fit("y ~ x + arm + (1 + x | g) + (1 | h)", rows, draws=30)
    table = hl.coef(fit, ci_prob=0.8)
    post = fit.posterior
    slope = post["beta"].sel(fixed_effect="x") + post["b_g"].sel(g="g3", g_effect="x")
    row = table.xs(("g", "g3", "x"))
    assert row["mean"] == pytest.approx(float(slope.mean()))
    assert row["sd"] == pytest.approx(float(slope.values.std(ddof=1)))
    np.testing.assert_allclose(row[["eti80_lb", "eti80_ub"]].astype(float), np.quantile(slope.values, [0.1, 0.9]))
    assert list(table.loc["h"].index.unique("effect")) == ["Intercept"]
    pd.testing.assert_frame_equal(pd.DataFrame(hl.coef(fit, "h", ci_prob=0.8)), pd.DataFrame(table.loc[["h"]]))


def test_estimates_of_likelihood_fits() -> None:
    data = hl.datasets.load("contraception")
    fit = hl.Model("use ~ age + urban + (1 + urban | district)", data).fit(hl.Laplace(seed=1))
    table, modes = hl.coef(fit), hl.ranef(fit)
    assert fit.estimate is not None
    for name, beta in zip(fit.estimate.fixed_effects, fit.estimate.beta, strict=True):
        if name != "age":
            part = table.xs(name, level="effect")["estimate"]
            np.testing.assert_allclose(part, beta + modes.xs(name, level="effect")["mode"], atol=1e-12)
    assert list(table.index.unique("effect")) == ["Intercept", "urban[Y]"]


@pytest.mark.parametrize(
    ("formula", "labels"),
    [
        ("y ~ x + arm + (1 + x | g)", ("Intercept", "x")),
        ("y ~ x + arm + (0 + arm | g)", ("Intercept", "arm[b]", "arm[c]")),
        ("y ~ arm + (1 | g) + (0 + arm | g)", ("Intercept", "arm[b]", "arm[c]")),
        ("y ~ x + (0 + arm | g)", ("Intercept", "x", "arm[a]", "arm[b]", "arm[c]")),
        ("y ~ x + z + (0 + I(x - 2 * z) | g)", ("x", "z")),
        ("y ~ arm + (1 + z || g)", ("Intercept", "z")),
        ("y ~ x + (1 + I(1000 * x) | g)", ("Intercept", "x")),
        ("y ~ 0 + (1 | g)", ("Intercept",)),
    ],
)
def test_they_give_the_linear_predictors(
    make_fit: MakeFit, rows: pd.DataFrame, formula: str, labels: tuple[str, ...]
) -> None:
    """What varies times its columns, and the rest of the fixed part, is the linear predictor of the model."""
    fit = make_fit(formula, rows, draws=5)
    design, draws = fit.model.design, Draws.of(fit.model, fit.posterior)
    (group,) = design.groups
    varying = VaryingCoefficients.of(design, group)
    assert varying.labels == tuple(label for label in labels if label in varying.labels)
    assert set(varying.labels) <= set(labels)
    own = varying.of_clusters(draws.beta, draws.effects["g"])
    rest = np.ones(len(design.fixed_effects), dtype=bool)
    rest[varying.fixed[varying.fixed >= 0]] = False
    eta = draws.beta[:, rest] @ design.X[:, rest].T + np.einsum("nr,snr->sn", varying.columns, own[:, group.index])
    deviation = np.einsum("nq,snq->sn", group.Z, draws.effects["g"][:, group.index])
    np.testing.assert_allclose(eta, draws.beta @ design.X.T + deviation, atol=1e-8)


def test_levels_are_computed_in_parts(make_fit: MakeFit, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = make_fit("y ~ x + (1 + x | g)", rows, draws=10)
    whole = hl.coef(fit)
    monkeypatch.setattr("hierlogit.summaries.cluster_coefficients.CHUNK_SIZE", 80)
    pd.testing.assert_frame_equal(pd.DataFrame(hl.coef(fit)), pd.DataFrame(whole))


def test_models_without_random_effects_are_refused(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="the model has no random effects"):
        hl.coef(make_fit("y ~ x", rows, draws=5))
