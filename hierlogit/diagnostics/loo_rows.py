"""`Fit` → the probability of each row by a fit without it: by importance weights of draws, or by refitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import Draws, linear_predictor
from ..effects.numerics.given_other_rows import GivenOthers
from ..engines.maximum.refit import Refitter
from ..errors import ConvergenceWarning, warn
from ..fits.posterior import parameter_draws
from ..fits.psis import khat_threshold, psis, relative_efficiency
from ..parallel.tasks import all_results
from ..progress import progress
from ..validation import number_of, quoted_list
from .row_scores import log_kernel

if TYPE_CHECKING:
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec
    from ..parallel.workers import AnyExecutor

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Unseen:
    """Predictions of rows by fits without them.

    Attributes
    ----------
    probability : ndarray, shape (n,)
        Probability of the event in one trial.
    log_probability : ndarray, shape (n,)
        Log probability of the outcomes of the row's trials, one by one; for draws, of their mean probability.
    k_hat : ndarray, shape (n,), or None
        Pareto k-hat of the weights; None for refits.
    """

    probability: FloatArray
    log_probability: FloatArray
    k_hat: FloatArray | None


def unseen_rows(fit: Fit, executor: AnyExecutor | None = None) -> Unseen:
    """Each row predicted by a fit without it, with the effects of its cluster estimated from the other rows.

    Warns
    -----
    ConvergenceWarning
        If fits without some rows are unreliable.
    """
    return _weighted(fit) if fit.estimate is None else _searched_again(fit, executor)


def _weighted(fit: Fit) -> Unseen:
    """From the draws of a sampler, by Pareto-smoothed importance weights, as in `hierlogit.loo`."""
    from scipy.special import logsumexp

    outcome = fit.model.design.outcome
    given = GivenOthers(fit.model, Draws.of(fit.model, fit.posterior))
    efficiency = relative_efficiency(parameter_draws(fit.model, fit.posterior).to_dataset(name="value"))
    p: FloatArray = np.empty(len(outcome.y))
    log_p, k_hat = p.copy(), p.copy()
    for at in progress(given.parts(), "Leaving rows out"):
        log_probability, probability = (values.T for values in given.of(at))
        log_weights, k_hat[at] = psis(-log_probability, efficiency)
        weights = np.exp(log_weights)
        p[at] = (weights * probability).sum(axis=1)
        if fit.model.overdispersed:
            log_p[at] = log_kernel(p[at], outcome.y[at], outcome.trials[at])
            continue
        kernel = log_probability - outcome.log_coefficients[at][:, None]
        log_p[at] = logsumexp(log_weights + kernel, axis=1)  # the probability of very many trials is below all floats
    limit = khat_threshold(len(given.draws))
    if np.any(k_hat > limit):
        warn(_trouble(k_hat, limit), ConvergenceWarning)
    return Unseen(p, log_p, k_hat)


def _trouble(k_hat: FloatArray, limit: float) -> str:
    bad = int(np.sum(k_hat > limit))
    return (
        f"The posterior without {bad:,} of {len(k_hat):,} rows is not known from the draws: their Pareto k-hat is "
        f"over {limit:.2f}, the largest {np.max(k_hat):.2f}, so that the scores with sample='loo' may be too good. "
        "Such rows are far from the others, or the only ones that inform some parameter; hl.loo(fit) samples again "
        "without them."
    )


@dataclass(frozen=True)
class _WithoutRow:
    """Task that repeats the search of a likelihood engine without one row.

    Attributes
    ----------
    model : ModelSpec
    refitter : Refitter
    """

    model: ModelSpec
    refitter: Refitter

    def __call__(self, number: int) -> tuple[float, bool]:
        """Linear predictor of row `number`, and whether there is a maximum without it."""
        design = self.model.design
        alone = np.arange(design.n_rows) == number
        again = self.refitter.without(alone)
        row = design.training_rows().at(np.array([number]))
        eta = float(linear_predictor(Draws.at(again.estimate), row)[0, 0])
        return eta, again.converged and not again.unbounded


def _searched_again(fit: Fit, executor: AnyExecutor | None) -> Unseen:
    """By repeating the search of a likelihood engine without each row."""
    from scipy.special import expit

    design, outcome = fit.model.design, fit.model.design.outcome
    rows = range(design.n_rows)
    found = all_results(_WithoutRow(fit.model, Refitter.of(fit)), rows, executor, "Leaving rows out")
    p = np.array([expit(found[k][0]) for k in rows])
    failed = [design.table.rows[k] for k in rows if not found[k][1]]
    if failed:
        warn(
            f"Without {len(failed):,} of {number_of(len(rows), 'row')} there is no maximum: {quoted_list(failed)}. "
            "Their predictions use the values where the search ended. Fit the model with hl.MAP(), whose priors keep "
            "the estimates finite, or with NUTS.",
            ConvergenceWarning,
        )
    return Unseen(p, log_kernel(p, outcome.y, outcome.trials), None)
