"""The posterior's answers about all terms of a sampled fit: directions, leave-one-out differences and Bayes factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import FitError, HierlogitError
from ..progress import progress
from .leave_out import same_sampler
from .loo import loo
from .marginal_likelihood import (
    DEFAULT_SEED,
    Evidence,
    computed_evidence,
    warn_if_inaccurate,
    warn_of_defaults,
)
from .restricted_model import Kept, RestrictedModel
from .term_comparisons import difference_of

if TYPE_CHECKING:
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec
    from .term_comparisons import TermComparison

FloatArray = npt.NDArray[np.float64]
Row = dict[str, Any]
#: Points at which the posterior density of each model is computed for Bayes factors.
DRAWS = 4096
NO_DIRECTION = "sds have no direction: method='loo' or 'bayes_factor' compares models"


def directions(fit: Fit, comparisons: Sequence[TermComparison]) -> list[Row]:
    """Probability of direction and contour probability of each fixed term."""
    beta = fit.posterior["beta"].stack(draw_of=("chain", "draw")).transpose("draw_of", ...).to_numpy()
    return [{"parameters": difference_of(fit.model, one).parameters, **_direction(beta, one)} for one in comparisons]


def _direction(beta: FloatArray, comparison: TermComparison) -> Row:
    columns = [k for k in comparison.larger.fixed if k not in comparison.smaller.fixed]
    row: Row = {"p_direction": np.nan, "p_contour": np.nan}
    if not columns:
        return row | {"note": NO_DIRECTION}
    if comparison.without:
        return row | {"note": f"its coefficients depend on the coding of {', '.join(comparison.without)}"}
    draws = beta[:, columns]
    if len(columns) == 1:
        above, below = float((draws > 0).mean()), float((draws < 0).mean())
        row["p_direction"] = max(above, below)
    return row | {"p_contour": contour_probability(draws), "note": ""}


def contour_probability(draws: FloatArray) -> float:
    """Posterior probability of values that are less plausible than zero.

    It is the share of draws that are as far from the posterior mean as zero or further, by Mahalanobis' distance.

    Parameters
    ----------
    draws : ndarray, shape (n, k)

    Examples
    --------
    >>> round(contour_probability(np.random.default_rng(1).normal(1.96, 1, size=(100_000, 1))), 2)
    0.05
    """
    mean = draws.mean(axis=0)
    root = np.linalg.cholesky(np.atleast_2d(np.cov(draws, rowvar=False)))
    far, zero = (np.linalg.norm(np.linalg.solve(root, one), axis=0) for one in ((draws - mean).T, mean[:, None]))
    return float((far >= zero[0]).mean())


def loo_differences(fit: Fit, comparisons: Sequence[TermComparison]) -> list[Row]:
    """Difference of the expected log predictive densities of rows with each term and without it.

    The models without a term are sampled with the settings of the fit.
    """
    sampler = same_sampler(fit)
    known: dict[Kept, FloatArray] = {}

    def by_unit(kept: Kept) -> FloatArray:
        if kept not in known:
            whole = kept == Kept.all_of(fit.model.design)
            sampled = fit if whole else sampler.run(RestrictedModel(fit.model, kept))
            codes = [finding.code for finding in sampled.diagnostics.findings]
            if "interrupted" in codes and not whole:
                raise KeyboardInterrupt
            if sampled.diagnostics.status == "failed":
                reasons = " ".join(finding.evidence for finding in sampled.diagnostics.findings)
                raise FitError(f"sampling without the term failed: {reasons}")
            known[kept] = loo(sampled).elpd_i.to_numpy()
        return known[kept]

    def compared(comparison: TermComparison) -> Row:
        change = by_unit(comparison.larger) - by_unit(comparison.smaller)
        se = np.sqrt(len(change) * change.var())
        return {"elpd_difference": float(change.sum()), "se": float(se)}

    return _compared(fit, comparisons, compared, ("elpd_difference", "se"), "Sampling without terms")


def _compared(
    fit: Fit,
    comparisons: Sequence[TermComparison],
    compared: Callable[[TermComparison], Row],
    names: Sequence[str],
    what: str,
) -> list[Row]:
    """A row for each comparison; its numbers are missing, with the reason, if there are none."""
    rows: list[Row] = []
    missing = dict.fromkeys(names, np.nan)
    try:
        for one in progress(comparisons, what):
            row: Row = {"parameters": difference_of(fit.model, one).parameters, **missing, "note": ""}
            try:
                rows.append(row | compared(one))
            except HierlogitError as error:
                rows.append(row | {"note": str(error)})
    except KeyboardInterrupt:
        left = comparisons[len(rows) :]
        rows += [
            {"parameters": difference_of(fit.model, one).parameters, **missing, "note": "interrupted"} for one in left
        ]
    return rows


def bayes_factors(fit: Fit, comparisons: Sequence[TermComparison], seed: int | None) -> list[Row]:
    """Bayes factor of each term, the evidence with it over that without it, under the priors of the model."""
    known: dict[Kept, Evidence] = {}

    def evidence_of(kept: Kept) -> Evidence:
        if kept not in known:
            whole = kept == Kept.all_of(fit.model.design)
            model: ModelSpec = fit.model if whole else RestrictedModel(fit.model, kept)
            known[kept] = computed_evidence(model, DRAWS, None, DEFAULT_SEED if seed is None else seed)
        return known[kept]

    def compared(comparison: TermComparison) -> Row:
        larger, smaller = evidence_of(comparison.larger), evidence_of(comparison.smaller)
        log_factor = larger.log_evidence - smaller.log_evidence
        with np.errstate(over="ignore"):
            return {
                "bayes_factor": float(np.exp(log_factor)),
                "log_bayes_factor": log_factor,
                "mcse_log_bayes_factor": float(np.hypot(larger.mcse, smaller.mcse)),
            }

    names = ("bayes_factor", "log_bayes_factor", "mcse_log_bayes_factor")
    rows = _compared(fit, comparisons, compared, names, "Integrating models")
    warn_of_defaults(list(dict.fromkeys(label for one in known.values() for label in one.default_priors)))
    warn_if_inaccurate({f"without {one.label}": known[one.smaller] for one in comparisons if one.smaller in known})
    return rows
