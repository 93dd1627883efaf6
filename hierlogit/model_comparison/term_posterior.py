"""The posterior's answers about all terms of a sampled fit: directions, leave-one-out differences and Bayes factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import FitError, HierlogitError
from ..parallel.tasks import results_until_interrupted
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
    from ..engines.engine import Engine
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec
    from ..parallel.workers import AnyExecutor
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


@dataclass(frozen=True)
class _LeaveOneOut:
    """Task that samples a model with some of the terms, and leaves out its rows one by one.

    Attributes
    ----------
    fit : Fit
        With all terms.
    sampler : Engine
        That of the fit, with its settings and seed.
    """

    fit: Fit
    sampler: Engine

    def of(self, kept: Kept) -> FloatArray:
        """Expected log predictive densities of the rows.

        Raises
        ------
        FitError
            If the chains do not converge, or the rows cannot be left out.
        """
        whole = kept == Kept.all_of(self.fit.model.design)
        sampled = self.fit if whole else self.sampler.run(RestrictedModel(self.fit.model, kept))
        codes = [finding.code for finding in sampled.diagnostics.findings]
        if "interrupted" in codes and not whole:
            raise KeyboardInterrupt
        if sampled.diagnostics.status == "failed":
            reasons = " ".join(finding.evidence for finding in sampled.diagnostics.findings)
            raise FitError(f"sampling without the term failed: {reasons}")
        by_row: FloatArray = loo(sampled).elpd_i.to_numpy()
        return by_row


@dataclass(frozen=True)
class _Evidences:
    """Task that integrates over the parameters of a model with some of the terms.

    Attributes
    ----------
    model : ModelSpec
        With all terms.
    seed : int
    """

    model: ModelSpec
    seed: int

    def of(self, kept: Kept) -> Evidence:
        """The evidence of the model."""
        whole = kept == Kept.all_of(self.model.design)
        return computed_evidence(self.model if whole else RestrictedModel(self.model, kept), DRAWS, None, self.seed)


@dataclass(frozen=True)
class _OfEachModel[R]:
    """Task that computes something of the model with each choice of terms.

    Attributes
    ----------
    compute : callable
    kept : tuple of Kept
    """

    compute: Callable[[Kept], R]
    kept: tuple[Kept, ...]

    def __call__(self, number: int) -> R | str:
        """What was computed of model `number`, or the reason why it could not be."""
        try:
            return self.compute(self.kept[number])
        except HierlogitError as error:
            return str(error)


def _of_models[R](
    compute: Callable[[Kept], R], comparisons: Sequence[TermComparison], executor: AnyExecutor | None, what: str
) -> dict[Kept, R | str]:
    """Something of each model that is compared, or why there is none; fewer of them after an interruption."""
    kept = tuple(dict.fromkeys(each for one in comparisons for each in (one.larger, one.smaller)))
    found, _ = results_until_interrupted(_OfEachModel(compute, kept), range(len(kept)), executor, what)
    return {kept[number]: value for number, value in found.items()}


def loo_differences(fit: Fit, comparisons: Sequence[TermComparison], executor: AnyExecutor | None) -> list[Row]:
    """Difference of the expected log predictive densities of rows with each term and without it.

    The models without a term are sampled with the settings of the fit.
    """
    by_unit = _of_models(_LeaveOneOut(fit, same_sampler(fit)).of, comparisons, executor, "Sampling without terms")

    def compared(larger: FloatArray, smaller: FloatArray) -> Row:
        change = larger - smaller
        return {"elpd_difference": float(change.sum()), "se": float(np.sqrt(len(change) * change.var()))}

    return _compared(fit, comparisons, by_unit, compared, ("elpd_difference", "se"))


def _compared[R](
    fit: Fit,
    comparisons: Sequence[TermComparison],
    known: Mapping[Kept, R | str],
    compared: Callable[[R, R], Row],
    names: Sequence[str],
) -> list[Row]:
    """A row for each comparison; its numbers are missing, with the reason, if there are none."""
    rows: list[Row] = []
    for one in comparisons:
        larger, smaller = (known.get(kept, "interrupted") for kept in (one.larger, one.smaller))
        row: Row = {"parameters": difference_of(fit.model, one).parameters, **dict.fromkeys(names, np.nan), "note": ""}
        if isinstance(larger, str):
            rows.append(row | {"note": larger})
        elif isinstance(smaller, str):
            rows.append(row | {"note": smaller})
        else:
            rows.append(row | compared(larger, smaller))
    return rows


def bayes_factors(
    fit: Fit, comparisons: Sequence[TermComparison], seed: int | None, executor: AnyExecutor | None
) -> list[Row]:
    """Bayes factor of each term, the evidence with it over that without it, under the priors of the model."""
    evidences = _Evidences(fit.model, DEFAULT_SEED if seed is None else seed)
    known = _of_models(evidences.of, comparisons, executor, "Integrating models")

    def compared(larger: Evidence, smaller: Evidence) -> Row:
        log_factor = larger.log_evidence - smaller.log_evidence
        with np.errstate(over="ignore"):
            return {
                "bayes_factor": float(np.exp(log_factor)),
                "log_bayes_factor": log_factor,
                "mcse_log_bayes_factor": float(np.hypot(larger.mcse, smaller.mcse)),
            }

    names = ("bayes_factor", "log_bayes_factor", "mcse_log_bayes_factor")
    rows = _compared(fit, comparisons, known, compared, names)
    computed = {kept: one for kept, one in known.items() if not isinstance(one, str)}
    warn_of_defaults(list(dict.fromkeys(label for one in computed.values() for label in one.default_priors)))
    warn_if_inaccurate(
        {f"without {one.label}": computed[one.smaller] for one in comparisons if one.smaller in computed}
    )
    return rows
