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


@pytest.mark.parametrize("name", MODELS)
def test_correlations_and_r2_are_those_of_performance(name: str) -> None:
    fit, stated = _fit(name), REFERENCE["models"][name]["performance"]
    found = {
        "icc_adjusted": _everything(hl.icc(fit)),
        "icc_unadjusted": _everything(hl.icc(fit, adjusted=False)),
        **dict(zip(("r2_marginal", "r2_conditional"), hl.r2(fit)["estimate"], strict=True)),
    }
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
