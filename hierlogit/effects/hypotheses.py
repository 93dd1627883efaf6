"""`Fit` → `hypotheses`: hypotheses about coefficients, sds and correlations, with intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import FitError, PredictionError
from ..estimate import Estimate
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..fits.posterior import parameter_draws, parameter_labels
from ..fits.repeated_findings import repeats_findings
from ..result_table import ResultTable
from ..summaries.intervals import Interval, end_names
from ..validation import shortened
from .evaluated import Evaluated, described_table
from .expressions import Hypothesis, Labels
from .families import HYPOTHESES, Family, expressions_of
from .hypothesis import IDENTITY, PICTURE_OF_HYPOTHESES, Question, RowTests, adjusted_title
from .wald_tests import WaldTests

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]
TITLE = "Hypotheses about coefficients (logit scale)"
#: Step of derivatives in the complex plane, where differences lose no digits.
STEP = 1e-20


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
    """Hypotheses about coefficients, sds and correlations: functions of them, with intervals and tests.

    Parameters
    ----------
    fit : Fit
    hypothesis : str, list of str or array, optional
        If not given, that each coefficient is zero. A relation has ``=``, ``<`` or ``>`` between two expressions of
        labels of `summary` and numbers: ``"livch[1] = livch[2]"``, ``"2 * age - b1 / 2 > 0.1"``,
        ``"sd_school[Intercept] > 2 * sd_class[Intercept]"``. They have ``+``, ``-``, ``*``, ``/``, powers, and the
        functions ``exp``, ``log``, ``sqrt``, ``expit`` and ``logit``: ``"exp(urban[Y]) > 1.5"``. Labels that do not
        begin with a letter go in backticks; ``b1``, ``b2``, ... are coefficients by position. Differences between
        coefficients by name: ``"pairwise"``, ``"reference"`` and ``"sequential"``, with the opposite sign
        ``"revpairwise"``, ``"revreference"`` and ``"revsequential"``. An array holds weights, shape (coefficients,) or
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
        One row for each ``hypothesis``: what is on the left less what is on the right, tested against the number that
        remains, which is in the column ``null`` if it is not always zero. For sampled fits ``mean``,
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
        If the model has no fixed effects, and the hypotheses are about them.
    PredictionError
        If a hypothesis is wrong, which the message marks, or another option is not allowed. Fits by likelihood and MAP
        have no tests of sds that are zero, the end of their range: `test_terms` has.

    Notes
    -----
    Standard errors of functions that are not linear are by the delta method for fits by likelihood and MAP. Sds are
    tested as logarithms, where they are more nearly normal; their intervals are those of `summary`. What depends on an
    sd of zero or a correlation of 1 has no standard error.

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

    How much of the variance on the logit scale lies between districts, and an odds ratio:

    >>> shares = ["sd_district[Intercept]**2 / (sd_district[Intercept]**2 + 3.29) > 0.02", "exp(urban[Y]) > 1.5"]
    >>> hl.hypotheses(fit, shares)[["null", "estimate", "se", "p_value"]]
    Hypotheses about parameters
        null  estimate      se  p_value
      0.0200    0.0592  0.0191    0.020
      1.500     2.052   0.244     0.012
    """
    require_fit(fit)
    tests = RowTests.of(fit, hypothesis=hypothesis, direction=True, rope=rope, adjust=adjust)
    interval = Interval.of(ci_prob, ci_kind)
    draws = 1 if fit.estimate is not None else fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    family, of_all = _family(fit, hypothesis, draws)
    described, title = family.described, "Hypotheses about parameters" if of_all else TITLE
    if fit.estimate is not None:
        values = WaldValues.parameters(fit.estimate) if of_all else WaldValues.coefficients(fit.estimate)
        columns = pd.DataFrame(_of_wald(fit.estimate, family, values, tests, interval))
        table = pd.concat([described, columns], axis=1)
        spare = ("se", "df", "t", "z")
        return ResultTable.of(table, adjusted_title(title, adjust), spare=spare, picture=PICTURE_OF_HYPOTHESES)
    if of_all:
        posterior = parameter_draws(fit.model, fit.posterior).to_numpy()
    else:
        posterior = fit.posterior["beta"].transpose("chain", "draw", "fixed_effect").to_numpy()
    drawn = family.applied(Evaluated(posterior.reshape(draws, -1), None, (posterior.shape[0], posterior.shape[1])))
    question = Question(drawn, family.null, family.side, IDENTITY)
    return described_table(drawn, title, described, tests.columns(question, interval), PICTURE_OF_HYPOTHESES)


def _family(fit: Fit, hypothesis: Any, draws: int) -> tuple[Family, bool]:
    """The hypotheses, and whether they are about all parameters, or combine coefficients alone."""
    coefficients = fit.model.design.fixed_effects
    texts = None if hypothesis is None else expressions_of(hypothesis)
    if texts and texts[0] not in HYPOTHESES:
        every = Labels(parameter_labels(fit.model.design), "parameter", numbered=len(coefficients))
        family = Family.of(texts, every, draws)
        if family.weights is None or family.weights[len(coefficients) :].any():
            return family, True
        return replace(family, weights=family.weights[: len(coefficients)]), False
    labels = Labels(coefficients, "coefficient")
    if not labels.names:
        raise FitError("the model has no fixed effects, so there are no hypotheses about them.")
    return Family.zeros(labels) if hypothesis is None else Family.of(hypothesis, labels, draws), False


@dataclass(frozen=True)
class WaldValues:
    """Parameters of a likelihood fit or functions of them, with their covariances.

    Attributes
    ----------
    estimate : ndarray, shape (k,)
    deviations : ndarray, shape (m, k)
        Deviations whose cross-products are the covariances; NaN for what has no standard error.
    df : ndarray, shape (k,)
        Degrees of freedom without missing values: of a function, the smallest of its parameters.
    sds : ndarray of int
        Positions of sds.
    """

    estimate: FloatArray
    deviations: FloatArray
    df: FloatArray
    sds: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    @classmethod
    def coefficients(cls, estimate: Estimate) -> WaldValues:
        """The coefficients of a fit."""
        deviations = estimate.deviations()[:, : len(estimate.beta)]
        known = np.where(np.isnan(estimate.standard_errors), np.nan, deviations)
        return cls(estimate.beta, known, estimate.complete_df)

    @classmethod
    def parameters(cls, estimate: Estimate) -> WaldValues:
        """The coefficients of a fit, its sds and correlations, and phi, in the order of `parameter_labels`."""
        beta, (places, spread, _) = cls.coefficients(estimate), estimate.spread_covariance()
        sds = [len(beta.estimate) + k for k, (_, i, j) in enumerate(places) if i == j]
        deviations = [beta.deviations, estimate.spread_deviations()]
        if estimate.phi is not None:
            spread = np.append(spread, estimate.phi)
            deviations.append(estimate.phi_deviations()[:, None])
        return cls(
            np.concatenate([beta.estimate, spread]),
            np.column_stack(deviations),
            np.concatenate([beta.df, np.full(len(spread), np.inf)]),
            np.array(sds, dtype=np.intp),
        )

    @property
    def error(self) -> FloatArray:
        """Standard errors, shape (k,)."""
        return np.asarray(np.sqrt((self.deviations**2).sum(axis=0)))

    def differences(self, low: IntArray, high: IntArray) -> WaldValues:
        """Differences between the values at two lists of positions."""
        return WaldValues(
            self.estimate[high] - self.estimate[low],
            self.deviations[:, high] - self.deviations[:, low],
            np.minimum(self.df[high], self.df[low]),
        )

    def combined(self, weights: FloatArray) -> WaldValues:
        """Sums of the values with weights, shape (values, sums)."""
        unknown = np.isnan(self.error)
        deviations = np.where(unknown, 0.0, self.deviations) @ weights
        deviations[:, (weights[unknown] != 0).any(axis=0)] = np.nan
        df = np.where(weights != 0, self.df[:, None], np.inf).min(axis=0)
        return WaldValues(self.estimate @ weights, deviations, df)

    def computed(self, stated: Sequence[Hypothesis]) -> WaldValues:
        """What hypotheses compare with their numbers, with covariances by the delta method."""
        values = np.array([one.value(self.estimate) for one in stated])
        slopes = np.zeros((len(self.estimate), len(stated)))
        for k, one in enumerate(stated):
            for at in one.expression.positions:
                moved = self.estimate.astype(np.complex128)
                moved[at] += 1j * STEP
                slopes[at, k] = one.value(moved).imag / STEP
        return replace(self.combined(slopes), estimate=values)

    def logarithms(self, chosen: BoolArray) -> WaldValues:
        """Those of the values that are chosen as logarithms; the estimates are above zero, or have no errors."""
        positive = np.where(chosen, self.estimate, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return replace(
                self,
                estimate=np.where(chosen, np.log(positive), self.estimate),
                deviations=self.deviations / positive,
            )


def _single_sds(family: Family, values: WaldValues) -> BoolArray:
    """Which hypotheses are about a positive multiple of an sd.

    Raises
    ------
    PredictionError
        If one of them is that an sd, or what vanishes with an sd, is zero.
    """
    single = np.zeros(len(family.null), dtype=bool)
    for k, one in enumerate(family.stated):
        of_sds = [at for at in values.sds.tolist() if at in one.expression.positions]
        multiple = one.weights is not None and len(one.weights) == 1 and bool(of_sds) and one.weights[of_sds[0]] > 0
        single[k] = multiple
        for at in of_sds:
            without = values.estimate.copy()
            without[at] = 0.0
            with np.errstate(all="ignore"):
                vanished = float(one.expression.value(without))
            if vanished == one.null or (multiple and one.null < 0):
                raise PredictionError(
                    f"hypothesis={shortened(one.text)}: zero is the end of the range of an sd, where Wald's test does "
                    "not apply. hl.test_terms(fit) tests random effects by the likelihood ratio; hypotheses here are "
                    "about other values, such as 'sd_g[x] > 0.2'."
                )
    return single


def _of_wald(
    estimate: Estimate, family: Family, values: WaldValues, tests: RowTests, interval: Interval
) -> dict[str, FloatArray]:
    """Estimates with Wald or simultaneous intervals, and their tests; multiples of sds are tested as logarithms."""
    tests.refuse_unadjustable(len(family.null), one_sided=bool(family.side.any()))
    as_log, natural = _single_sds(family, values), family.applied(values)
    tested = natural.logarithms(as_log)
    df = estimate.reduced_df(tested.deviations, tested.df)
    null = _scaled(family.null, as_log)
    wald = WaldTests(tested.estimate, tested.error, null, family.side, df, tested.deviations)
    kind, ends = "wald", wald.interval(interval.prob)
    if tests.adjust == "single-step":
        kind, ends = "simultaneous", wald.simultaneous(interval.prob)
    with np.errstate(over="ignore", invalid="ignore"):
        shown = [np.where(as_log, np.exp(np.where(as_log, end, 0.0)), end) for end in ends]
    named = dict(zip(end_names(kind, interval.prob), shown, strict=True))
    columns = {"estimate": natural.estimate, "se": natural.error, **named}
    if tests.of_likelihood:
        columns |= wald.columns(tests.adjust)
    else:
        columns["p_direction"] = wald.direction
        if wald.side.any():
            columns["p_hypothesis"] = wald.probability_of_side
    if tests.rope is not None:
        low, high = (_scaled(np.full(len(as_log), end), as_log) for end in tests.rope)
        columns["p_rope"] = wald.probability_between(low, high)
        if tests.of_likelihood:
            columns["p_equivalence"] = wald.equivalence(low, high)
    return columns


def _scaled(values: FloatArray, as_log: BoolArray) -> FloatArray:
    """Values with the logarithms of those that are chosen; minus infinity for negative ones, below all sds."""
    with np.errstate(divide="ignore"):
        return np.where(as_log, np.log(np.maximum(np.where(as_log, values, 1.0), 0.0)), values)
