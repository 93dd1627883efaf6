"""Intraclass correlations and R2 at the maximum against R's performance package."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning
from hierlogit.summaries.intervals import DrawTable

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "reference.json").read_text(encoding="utf-8"))
MODELS = list(REFERENCE["models"])
#: performance 0.10.2 leaves the variance of a term (0 + x | g) out.
SLOPES_LEFT_OUT = {"contraception_slope_uncorr", "contraception_age_uncorr", "toenail_slope_uncorr"} | {
    "bacteria_slope_uncorr"
}
#: Where the fit is singular it gives no correlation, and an R2 without the random effects.
SINGULAR = {"cbpp_slope_uncorr", "bacteria_slope"}


def _fit(name: str) -> hl.results.Fit:
    entry = REFERENCE["models"][name]
    model = hl.Model(entry["python_formula"], hl.datasets.load(entry["data"].removesuffix(".csv")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = model.fit(hl.Laplace(draws=100, seed=1))
        assert fit.diagnostics is not None  # the draws, whose quality is not in question here
    if name not in SLOPES_LEFT_OUT:
        return fit
    assert fit.estimate is not None
    cholesky = {group: L * np.array([[1.0], [0.0]]) for group, L in fit.estimate.cholesky.items()}
    return hl.results.Fit(model, fit.data, fit.diagnostics, replace(fit.estimate, cholesky=cholesky))


def _everything(table: DrawTable) -> float:
    whole = table[table["group"] == "all"]
    return float((whole if len(whole) else table)["estimate"].iloc[0])


def _with_weights(fit: hl.results.Fit, weights: np.ndarray) -> dict[str, float]:
    """Correlations and R2 at the maximum, from the estimates and the design, with these weights of the rows."""
    design, estimate = fit.model.design, fit.estimate
    assert estimate is not None
    eta = design.X @ estimate.beta
    fixed = weights @ (eta - np.average(eta, weights=weights)) ** 2 / (weights.sum() - 1)
    variances = {
        group.name: np.average(((group.Z @ estimate.cholesky[group.name]) ** 2).sum(axis=1), weights=weights)
        for group in design.groups
    }
    shared = sum(variances[group.name] for group in design.groups if len(group.levels) < design.n_rows)
    latent = sum(variances.values()) + np.pi**2 / 3
    return {
        "icc_adjusted": shared / latent,
        "icc_unadjusted": shared / (fixed + latent),
        "r2_marginal": fixed / (fixed + latent),
        "r2_conditional": (fixed + shared) / (fixed + latent),
    }


# What Laplace's method misses here, performance misses too.
@pytest.mark.filterwarnings("ignore:The fit behind this result has findings:hierlogit.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", MODELS)
def test_correlations_and_r2_are_those_of_performance(name: str) -> None:
    fit, stated = _fit(name), REFERENCE["models"][name]["performance"]
    trials = fit.model.design.outcome.trials
    given = {
        "icc_adjusted": _everything(hl.icc(fit)),
        "icc_unadjusted": _everything(hl.icc(fit, adjusted=False)),
        **dict(zip(("r2_marginal", "r2_conditional"), hl.r2(fit)["estimate"], strict=True)),
    }
    assert given == pytest.approx(_with_weights(fit, trials), rel=1e-9)
    # In performance a row of twenty trials counts as much as a row of one.
    found = _with_weights(fit, np.ones_like(trials))
    if name in SINGULAR:
        assert stated["icc_adjusted"] is None
        fixed = stated["var_fixed"] / (stated["var_fixed"] + stated["var_residual"])
        assert stated["r2_marginal"] == pytest.approx(fixed)
        assert found["r2_marginal"] == pytest.approx(
            stated["var_fixed"] / (stated["var_fixed"] + stated["var_residual"] / (1 - found["icc_adjusted"])), abs=1e-3
        )
        return
    for what, value in found.items():
        # 1e-5 but where lme4 stopped a little short of the maximum
        assert value == pytest.approx(stated[what], abs=1e-4), what
