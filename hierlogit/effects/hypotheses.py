"""`Fit` → `hypotheses`: hypotheses about the fixed effects, with intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import FitError
from ..estimate import Estimate
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..result_table import ResultTable
from ..summaries.intervals import Interval, end_names
from .evaluated import Evaluated, described_table
from .expressions import Labels
from .families import Family
from .hypothesis import IDENTITY, Question, RowTests, adjusted_title
from .wald_tests import WaldTests

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
TITLE = "Hypotheses about coefficients (logit scale)"


@repeats_findings
def hypotheses(
    fit: Fit,
    hypothesis: str | Sequence[str] | Any = None,
    *,
    rope: tuple[float, float] | None = None,
    adjust: str | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> ResultTable:
    """Hypotheses about the fixed effects: linear combinations of coefficients, with intervals and tests.

    Parameters
    ----------
    fit : Fit
    hypothesis : str, list of str or array, optional
        If not given, that each coefficient is zero. A relation has ``=``, ``<`` or ``>`` between two sums of
        coefficients, their multiples and numbers: ``"livch[1] = livch[2]"``, ``"2 * age - b1 / 2 > 0.1"``. Labels that
        do not begin with a letter go in backticks; ``b1``, ``b2``, ... are coefficients by position. Differences
        by name: ``"pairwise"``, ``"reference"`` and ``"sequential"``, with the opposite sign ``"revpairwise"``,
        ``"revreference"`` and ``"revsequential"``. An array holds weights, shape (coefficients,) or
        (coefficients, hypotheses).
    rope : pair of float, optional
        Bounds of a region of practical equivalence; adds ``p_rope``, the posterior probability inside it, and for
        maximum-likelihood fits ``p_equivalence``, the p-value of the two one-sided tests (the larger of both).
    adjust : {"holm", "single-step"}, optional
        How to allow for the number of hypotheses: Holm's adjustment of the p-values of maximum-likelihood fits, or
        the distribution of the largest deviation of all of them, which gives simultaneous intervals for all fits, and
        adjusted p-values. It is that of the draws of sampled fits and of a multivariate normal or t distribution for
        others.
    ci_prob, ci_kind
        As for `summary`.

    Returns
    -------
    ResultTable
        One row for each ``hypothesis``: the coefficients on the left less those on the right, tested against the
        number that remains, which is in the column ``null`` if it is not always zero. For sampled fits ``mean``,
        ``sd`` and the ends of the interval, ``p_direction``, the posterior probability of being on the same side of
        the number as the median, and for hypotheses with ``<`` or ``>`` ``p_hypothesis``, the posterior probability
        that they are true. For maximum-likelihood fits ``estimate``, ``se``, the ends of the Wald interval, ``z`` and
        ``p_value``: of a two-sided test of equality for ``=``, of a one-sided test with the hypothesis as its
        alternative for ``<`` and ``>``. With few clusters there are ``t`` and ``df`` in place of ``z``, the smallest
        degrees of freedom of the coefficients that are involved. Fits by MAP have the estimates of the latter and the
        probabilities of the former, by the normal distribution.

    Raises
    ------
    FitError
        If the model has no fixed effects.
    PredictionError
        If a hypothesis is wrong, which the message marks, or another option is not allowed.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6: 65-70; Hothorn, Bretz and Westfall (2008), Biometrical Journal
    50: 346-363, for the largest deviation; Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:
    657-680, for tests of equivalence. The grammar is that of marginaleffects.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + livch + (1 | district)", hl.datasets.load("contraception")).fit("laplace")
    >>> table = hl.hypotheses(fit, ["livch[1] = livch[2]", "urban[Y] > 0.25"])
    >>> table[["hypothesis", "estimate", "z", "p_value"]]
    Hypotheses about coefficients (logit scale)
      hypothesis           estimate       z  p_value
      livch[1] = livch[2]    -0.157  -0.952    0.341
      urban[Y] > 0.25         0.719   3.947  < 0.001
    """
    require_fit(fit)
    labels = Labels(fit.model.design.fixed_effects, "coefficient")
    if not labels.names:
        raise FitError("the model has no fixed effects, so there are no hypotheses about them.")
    tests = RowTests.of(fit, hypothesis=hypothesis, direction=True, rope=rope, adjust=adjust)
    interval = Interval.of(ci_prob, ci_kind)
    draws = 1 if fit.estimate is not None else fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    family = Family.zeros(labels) if hypothesis is None else Family.of(hypothesis, labels, draws)
    described = family.described
    if fit.estimate is not None:
        combined: WaldCoefficients = family.applied(WaldCoefficients.of(fit.estimate))
        wald = WaldTests(combined.estimate, combined.error, family.null, family.side, combined.df, combined.deviations)
        columns = pd.DataFrame(_of_wald(wald, tests, interval))
        table = pd.concat([described, columns], axis=1)
        return ResultTable.of(table, adjusted_title(TITLE, adjust), spare=("se", "df", "t", "z"))
    beta = fit.posterior["beta"].transpose("chain", "draw", "fixed_effect").to_numpy()
    values: Evaluated = family.applied(Evaluated(beta.reshape(draws, -1), None, (beta.shape[0], beta.shape[1])))
    question = Question(values, family.null, family.side, IDENTITY)
    return described_table(values, TITLE, described, tests.columns(question, interval))


@dataclass(frozen=True)
class WaldCoefficients:
    """Coefficients of a likelihood fit or combinations of them, with their covariances.

    Attributes
    ----------
    estimate : ndarray, shape (k,)
    deviations : ndarray, shape (m, k)
        Deviations whose cross-products are the covariances; NaN for what has no standard error.
    df : ndarray, shape (k,)
        Degrees of freedom: of a combination, the smallest of its coefficients.
    """

    estimate: FloatArray
    deviations: FloatArray
    df: FloatArray

    @classmethod
    def of(cls, estimate: Estimate) -> WaldCoefficients:
        """The coefficients of a fit."""
        deviations = estimate.deviations()[:, : len(estimate.beta)]
        return cls(estimate.beta, np.where(np.isnan(estimate.standard_errors), np.nan, deviations), estimate.df)

    @property
    def error(self) -> FloatArray:
        """Standard errors, shape (k,)."""
        return np.asarray(np.sqrt((self.deviations**2).sum(axis=0)))

    def differences(self, low: IntArray, high: IntArray) -> WaldCoefficients:
        """Differences between the coefficients at two lists of positions."""
        return WaldCoefficients(
            self.estimate[high] - self.estimate[low],
            self.deviations[:, high] - self.deviations[:, low],
            np.minimum(self.df[high], self.df[low]),
        )

    def combined(self, weights: FloatArray) -> WaldCoefficients:
        """Sums of the coefficients with weights, shape (coefficients, sums)."""
        unknown = np.isnan(self.error)
        deviations = np.where(unknown, 0.0, self.deviations) @ weights
        deviations[:, (weights[unknown] != 0).any(axis=0)] = np.nan
        df = np.where(weights != 0, self.df[:, None], np.inf).min(axis=0)
        return WaldCoefficients(self.estimate @ weights, deviations, df)


def _of_wald(wald: WaldTests, tests: RowTests, interval: Interval) -> dict[str, FloatArray]:
    """Estimates with Wald or simultaneous intervals, and their tests."""
    tests.refuse_unadjustable(len(wald.null), one_sided=bool(wald.side.any()))
    kind, ends = "wald", wald.interval(interval.prob)
    if tests.adjust == "single-step":
        kind, ends = "simultaneous", wald.simultaneous(interval.prob)
    named = dict(zip(end_names(kind, interval.prob), ends, strict=True))
    columns = {"estimate": wald.estimate, "se": wald.error, **named}
    if tests.of_likelihood:
        columns |= wald.columns(tests.adjust)
    else:
        columns["p_direction"] = wald.direction
        if wald.side.any():
            columns["p_hypothesis"] = wald.probability_of_side
    if tests.rope is not None:
        columns["p_rope"] = wald.probability_between(*tests.rope)
        if tests.of_likelihood:
            columns["p_equivalence"] = wald.equivalence(*tests.rope)
    return columns
