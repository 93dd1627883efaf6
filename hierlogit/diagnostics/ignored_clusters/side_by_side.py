"""Naive logistic regression beside a mixed model: coefficients, standard errors, design effects, false positives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...design.design import Design
from ...display import Sentences, Table, View
from ...engines.maximum.refit import finite_maximum_of
from ...errors import FitError, StudyError
from ...fits.arguments import NOT_THE_POPULATION, refuse_pooled, require_unweighted
from ...fits.central_draw import central_draw
from ...fits.findings import Finding
from ...fits.fit import Fit
from ...fits.repeated_findings import repeats_findings
from ...parallel.tasks import collect_tasks
from ...parallel.workers import AnyExecutor, check_executor
from ...pictures import Picture, Pictured
from ...result_table import HasTables, ResultTable
from ...studies.parameters import Population
from ...summaries.intervals import DrawTable, Interval, end_names
from ...validation import probability, seed_or_new, whole_number
from ...variance.attenuation import conditional_vs_average
from ..data.separation import DOWN, FINITE, UP, Separation, separation_findings
from ..data.variance_within import Parts
from .design_effects import DesignEffects
from .false_positives import NaiveTests
from .naive_regression import NaiveRegression
from .sentences import sentences

FloatArray = npt.NDArray[np.float64]

#: Columns of the table that are left out first where there is not enough room.
SPARE = ("false_positive_mcse", "effective_n", "se_ratio")


@dataclass(frozen=True, repr=False)
class IgnoringClusters(Pictured, HasTables):
    """A logistic regression that ignores the clusters, beside the mixed model of the same rows.

    Attributes
    ----------
    coefficients : pandas.DataFrame
        One row for each fixed effect (index ``term``). The first level of the columns is ``naive``, ``average`` or
        ``conditional``; the second has ``estimate``, ``se`` and the ends of the interval.
    table : pandas.DataFrame
        One row for each fixed effect; the columns are described under `ignoring_clusters`.
    shared : pandas.DataFrame
        What pairs of outcomes add to the design effects, by the clusters that they share: one row for each fixed
        effect, one column for each way to share clusters.
    simulated : pandas.DataFrame
        One row for each replicate, by its number, with the naive z statistic of each coefficient in outcomes simulated
        with this coefficient set to zero.
    column_sds : pandas.Series
        Standard deviation of the column of each fixed effect, 1 for the intercept.
    findings : tuple of Finding
        Why naive estimates are infinite, if the outcomes are separated.
    sentences : tuple of str
        What follows, in words: one sentence or two about the coefficients, then one paragraph for each of them.
    alpha : float
        Significance level of the naive tests.
    requested : int
        Number of replicates requested.
    seed : int
        Makes the replicates reproducible, with any number of workers.
    interrupted : bool
        Whether an interruption came before all replicates had run.
    """

    coefficients: pd.DataFrame
    table: pd.DataFrame
    shared: pd.DataFrame
    simulated: pd.DataFrame
    column_sds: pd.Series[float]
    findings: tuple[Finding, ...]
    sentences: tuple[str, ...]
    alpha: float
    requested: int
    seed: int
    interrupted: bool
    _picture: ClassVar[Picture] = Picture("ignoring_clusters")

    def _view(self) -> View:
        run = f"{len(self.simulated):,} of " if len(self.simulated) < self.requested else ""
        counts = f"; {run}{self.requested:,} simulations, seed {self.seed}"
        title = f"Ignoring clusters: logistic regression beside the mixed model{counts if self.requested else ''}"
        remarks = ("Interrupted before all simulations were run.",) if self.interrupted else ()
        estimates = self.coefficients.loc[:, self.coefficients.columns.get_level_values(1).isin(["estimate", "se"])]
        return View(
            title,
            (
                Sentences((*remarks, *map(str, self.findings))),
                Sentences(self.sentences, ".sentences"),
                Table.of(estimates, ".coefficients"),
                Table.of(self.table, ".table", spare=SPARE),
            ),
        )


@repeats_findings
def ignoring_clusters(
    fit: Fit,
    *,
    replicates: int = 1000,
    alpha: float = 0.05,
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
) -> IgnoringClusters:
    """What a logistic regression of the same rows gets wrong by ignoring the clusters.

    This naive regression takes all outcomes as independent. Its coefficients estimate population averages, which are
    closer to zero than the coefficients of the mixed model, given the cluster. Its standard errors are too small for
    predictors that vary between clusters and too large for those that vary within them, unless the effects of these
    differ between clusters.

    Parameters
    ----------
    fit : Fit
        A fit with random effects.
    replicates : int
        How many data sets to simulate for each coefficient, to find how often its naive test is significant although
        the coefficient is zero; 0 for none. With 1000, a rate of 0.05 has a Monte Carlo standard error of 0.007, and a
        rate of 0.4 one of 0.015.
    alpha : float
        Significance level of the naive tests.
    num_draws : int, optional
        How many posterior draws to use for the population averages, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given. Naive intervals are Wald's.
    seed : int, optional
        Makes the simulations reproducible, whatever the executor and its number of workers.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes replicates over workers, as for `bootstrap`.

    Returns
    -------
    IgnoringClusters
        Its ``coefficients`` has for each fixed effect the ``naive`` estimate, the population ``average`` and the
        ``conditional`` coefficient of the mixed model (`conditional_vs_average`), each with its standard error or
        posterior sd and its interval. Its ``table`` has:

        - ``between_<group>``: the share of the column's variance that lies between the clusters of a factor (its
          intraclass correlation), which decides what ignoring them does; missing for the intercept.
        - ``se_ratio``: the standard error of the population average divided by the naive standard error.
        - ``design_effect``: the variance of the naive estimate under the mixed model, divided by the variance that the
          naive regression assumes. Naive standard errors should be multiplied by its square root.
        - ``effective_n``: the number of independent outcomes that would tell as much about the coefficient: the number
          of outcomes (trials) divided by the design effect.
        - ``false_positive``: how often the naive test of the coefficient at level alpha is significant in outcomes
          simulated from the mixed model with this coefficient set to zero, with its Monte Carlo standard error; not for
          the intercept. Infinite estimates, which have huge standard errors, are not significant.

        ``sentences`` has the same in words. If interrupted by Ctrl-C, the rates are those of the replicates so far.

    Raises
    ------
    FitError
        If the model has no random effects, no fixed effects or beta-binomial outcomes, or a likelihood fit is not at a
        maximum because the search failed or estimates are infinite.
    StudyError
        If an option is not allowed, or the workers cannot run the tasks.

    See Also
    --------
    conditional_vs_average : Coefficients given the cluster and averaged over clusters.

    Notes
    -----
    Where the mixed model holds, naive estimates have the variance ``A^-1 B A^-1`` in large samples (White 1982). A is
    the naive information ``X'WX``, and B the variance of ``X'y``: a sum of ``x_i x_j' Cov(y_i, y_j)`` over each outcome
    with itself and all pairs of outcomes that share clusters. The covariances are those of the mixed model, integrated
    over its effects. The design effect is the ratio of the diagonals of ``A^-1 B A^-1`` and ``A^-1``. Nothing else is
    approximated, whether factors are nested or crossed and whether slopes vary, but for integrals over more than two
    shared effects, which have errors of up to half a percent; ``shared`` has what each way to share clusters adds.

    It can be understood by rules of thumb. For clusters of m rows, and a correlation r of the outcomes in a cluster, it
    is about ``1 + (m - 1) r`` for a predictor that is constant within clusters, ``1 - r`` for one with the same mean in
    all clusters, and ``1 + (m - 1) r_x r`` in general, with r_x the intraclass correlation of the predictor (Scott and
    Holt 1982; Moulton 1986; Neuhaus and Segal 1993 for binary outcomes).

    Parameters are at the maximum, or posterior means of coefficients, sds and correlations. In the simulations of a
    coefficient that is zero, the others are as estimated, and a slope that varies over clusters still varies. The
    correlation of outcomes then differs from that of the fit, and with it the design effect.

    References
    ----------
    Moulton (1986), Journal of Econometrics 32: 385-397; Moulton (1990), Review of Economics and Statistics 72: 334-338.
    Neuhaus and Segal (1993), Statistics in Medicine 12: 1259-1268. Scott and Holt (1982), Journal of the American
    Statistical Association 77: 848-854. White (1982), Econometrica 50: 1-25.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + livch + (1 | district)", hl.datasets.load("contraception")).fit("laplace")
    >>> hl.ignoring_clusters(fit, replicates=200, seed=1).table[["between_district", "design_effect"]]
    Ignoring clusters, at level 0.05
      term       between_district  design_effect
      Intercept                 -          1.344
      urban[Y]            0.263            1.734
      livch[1]            0.00995          1.004
      livch[2]            0.0101           1.019
      livch[3+]           0.0106           1.013
    """
    require_unweighted(fit, "hl.ignoring_clusters", NOT_THE_POPULATION)
    refuse_pooled(fit, "fit", "Logistic regressions that ignore clusters are of the rows")
    interval = Interval.of(ci_prob, ci_kind)
    count, level = whole_number("replicates", replicates, StudyError, least=0), probability("alpha", alpha, StudyError)
    used_seed = seed_or_new(seed, StudyError)
    check_executor(executor)
    if fit.model.overdispersed:
        raise FitError(
            "the trials of a row depend on each other in a beta-binomial model, which a regression that ignores "
            "clusters ignores as well, and the design effects are defined for clusters alone. Fit the model with "
            "family='binomial' and an effect of each row, (1 | row), whose clusters the rows are."
        )
    mixed = conditional_vs_average(fit, num_draws=num_draws, ci_prob=interval.prob, ci_kind=interval.kind)
    design, population, naive = fit.model.design, _population(fit), NaiveRegression.of(fit.model.design)
    effects = DesignEffects.of(design, population, naive)
    tested = tuple(k for k, label in enumerate(design.fixed_effects) if label != "Intercept")
    z, interrupted = _simulated(
        NaiveTests(design, population, naive, effects.average, tested, used_seed), count if tested else 0, executor
    )
    estimate, se, findings = _naive_estimates(design, naive, effects.average)
    coefficients = _coefficients(estimate, se, mixed, interval)
    table = _table(design, coefficients, effects, z, level)
    return IgnoringClusters(
        coefficients,
        table,
        ResultTable.of(pd.DataFrame(effects.shared, table.index), "Additions to the design effect, by shared clusters"),
        z,
        pd.Series(design.column_sds, table.index),
        findings,
        tuple(sentences(design, table, mixed, level, len(z))),
        level,
        count,
        used_seed,
        interrupted,
    )


def _population(fit: Fit) -> Population:
    """The parameters at the maximum, or the posterior means.

    Raises
    ------
    FitError
        If a likelihood fit is not at a maximum.
    """
    if fit.estimate is not None:
        finite_maximum_of(fit)
    draw = central_draw(fit)
    return Population(draw.beta[0], {name: L[0] for name, L in draw.cholesky.items()})


def _simulated(task: NaiveTests, count: int, executor: AnyExecutor | None) -> tuple[pd.DataFrame, bool]:
    """The z statistics of the replicates, and whether they were interrupted."""
    done, finished = collect_tasks(task, range(count), executor, "Simulating")
    for message in done.failures.values():  # none can fail: each has estimates, if infinite ones
        raise StudyError(f"a simulation failed: {message}")
    labels = [task.design.fixed_effects[k] for k in task.tested]
    z = pd.DataFrame.from_dict(done.results, orient="index", columns=labels, dtype=np.float64).sort_index()
    return z.rename_axis("replicate"), not finished


def _naive_estimates(
    design: Design, naive: NaiveRegression, start: FloatArray
) -> tuple[FloatArray, FloatArray, tuple[Finding, ...]]:
    """Naive coefficients with standard errors, infinite and missing for separated outcomes, with a finding."""
    outcome = design.outcome
    found = naive.fitted_to(naive.sums(outcome.y)[None], start)
    estimate, se = found.coefficients[0], found.standard_errors()[0]
    if found.finite[0]:
        return estimate, se, ()
    separation = Separation.of(design.X, outcome.y, outcome.trials)
    kinds = np.array(separation.estimates)
    estimate = np.select([kinds == FINITE, kinds == UP, kinds == DOWN], [estimate, np.inf, -np.inf], np.nan)
    return estimate, np.where(kinds == FINITE, se, np.nan), tuple(separation_findings(design, separation))


def _coefficients(estimate: FloatArray, se: FloatArray, mixed: DrawTable, interval: Interval) -> ResultTable:
    """Naive, population-averaged and conditional coefficients beside each other."""
    columns = {("naive", "estimate"): estimate, ("naive", "se"): se}
    for name, sign in zip(end_names("wald", interval.prob), (-1, 1), strict=True):
        columns["naive", name] = estimate + sign * interval.quantile * se
    point = "estimate" if ("average", "estimate") in mixed else "mean"
    for quantity in ("average", "conditional"):
        for name, source in (("estimate", point), ("se", "sd"), *((end, end) for end in interval.columns)):
            columns[quantity, name] = mixed[quantity, source].to_numpy()
    title = "Coefficients (logit scale): naive, averaged over clusters, and given the cluster"
    return ResultTable.of(pd.DataFrame(columns, index=mixed.index), title, spare=["conditional"])


def _table(
    design: Design, coefficients: pd.DataFrame, effects: DesignEffects, z: pd.DataFrame, alpha: float
) -> ResultTable:
    from scipy.special import ndtri

    table = pd.DataFrame(index=coefficients.index)
    intercept = table.index == "Intercept"
    for group in design.groups:
        table[f"between_{group.result_name}"] = np.where(intercept, np.nan, Parts.of(design.X, group).share)
    table["se_ratio"] = coefficients["average", "se"] / coefficients["naive", "se"]
    table["design_effect"] = effects.total
    table["effective_n"] = design.outcome.trials.sum() / effects.total
    if len(z):
        rate = (z.abs() > -ndtri(alpha / 2)).mean().reindex(table.index)
        table["false_positive"] = rate
        table["false_positive_mcse"] = np.sqrt(rate * (1 - rate) / len(z))
    title = f"Ignoring clusters, at level {alpha:g}" if len(z) else "Ignoring clusters"
    return ResultTable.of(table, title, spare=SPARE)
