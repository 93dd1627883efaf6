"""`Fit` → `check`: evidence against the model, as findings with advice and a table of all checks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...display import Folded, Sentences, Table, View
from ...engines.maximum.refitted import ReferenceFit
from ...errors import FitError
from ...fits.arguments import NOT_THE_POPULATION, refuse_pooled, require_unweighted
from ...fits.findings import count_by_severity, gravest_first
from ...parallel.workers import check_executor
from ...result_table import HasTables
from ...validation import LARGEST_COUNT, probability, seed_or_new, whole_number
from .calibration_link import row_measures
from .cluster_outliers import cluster_measures
from .cluster_slopes import slope_measures
from .dispersion import dispersion_measures
from .effects_normality import effect_measures
from .integration import integration_check
from .measures import CheckResult, Measure, adjusted_for_number, as_table
from .predictive_check import Comparison, compare_with_simulated
from .predictors import shape_measures
from .prior_sensitivity import prior_checks

if TYPE_CHECKING:
    from ...fits.findings import Finding
    from ...fits.fit import Fit
    from ...parallel.workers import AnyExecutor

#: Simulated data sets with which a tail probability of one in a hundred is known well enough.
FEWEST_REPLICATES = 50


@dataclass(frozen=True, repr=False)
class Check(HasTables):
    """The result of `hl.check`.

    Attributes
    ----------
    findings : tuple of Finding
        Most severe first; among equally severe ones, those of the engine before those of the checks, which are in the
        order of their p-values.
    table : pandas.DataFrame
        One row for each check: ``check``, the code of its finding; ``about``, the predictor, grouping factor or effect;
        ``statistic`` in words; ``value``; ``expected``, the mean in simulated data; ``p_value``; ``adjusted_p``, for
        all checks together; ``found``; and ``not_made``, the reason if the check was not made.
    engine : str
        Engine of the fit.
    replicates : int
        Number of simulated data sets.
    alpha : float
        Probability of any finding with a p-value if the model is right.
    seed : int
        Repeats the result exactly.
    """

    findings: tuple[Finding, ...]
    table: pd.DataFrame
    engine: str
    replicates: int
    alpha: float
    seed: int

    def _view(self) -> View:
        made = int((self.table["not_made"] == "").sum())
        title = (
            f"{made} checks of a fit by {self.engine}, with {self.replicates} simulated data sets: "
            f"{count_by_severity(self.findings)} (alpha {self.alpha:g} for all together)"
        )
        checks = Table.of(self.table, ".table", index=False).whole
        return View(title, (Sentences(tuple(map(str, self.findings)), ".findings"), Folded("All checks", checks)))


def check(
    fit: Fit,
    *,
    replicates: int = 200,
    alpha: float = 0.05,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
) -> Check:
    """Look for what is wrong with a fitted model.

    Parameters
    ----------
    fit : Fit
        By any engine.
    replicates : int
        Data sets to simulate from the fit, at most as many as it has draws.
    alpha : float
        Probability of any finding with a p-value if the model is right.
    seed : int, optional
        Repeats the result exactly, whatever the executor and its number of workers.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the refits over workers, as for `bootstrap`.

    Returns
    -------
    Check
        With ``.findings``, each with advice, and ``.table``.

    Raises
    ------
    FitError
        If an option is out of range.
    StudyError
        If the executor cannot run the refits.

    Notes
    -----
    The findings of the engine are followed by those of these checks:

    - ``overdispersion``: for rows with several trials, the variance ratio of `check_overdispersion`.
    - ``miscalibration``: whether events happen as often as predicted, by isotonic regression.
    - ``link_misfit``: residuals on the square of the linear predictor.
    - ``nonlinear_effect``, ``residual_trend``: score tests of the lowest power of each numeric predictor that the model
      lacks, and of steps of it.
    - ``cluster_spread``, ``lowest_cluster``, ``highest_cluster``: sd and extremes of the clusters' proportions.
    - ``outlying_cluster``: the largest standardised effect.
    - ``reversed_slopes``: whether the slopes of a cluster are the reverse of those of the others.
    - ``heterogeneous_slopes``: score tests of the variance of slopes that the model lacks, as by `test_slopes`; the
      largest one counts.
    - ``skewed_effects``, ``nonnormal_tails``: score tests of normality of the cluster effects.
    - ``integration_error``: for likelihood fits, whether more quadrature nodes would move an estimate.
    - ``prior_data_conflict``, ``prior_sensitivity``: for fits with priors, power-scaling.

    The last three have thresholds, the others p-values. Outcomes are simulated from draws of the fit, in new clusters
    of the same sizes, and the model is refitted to each data set by the engine of the fit; for a fit by a sampler, MAP
    with Laplace's method is used for the observed and the simulated data alike. Residuals and modes of the observed
    data are thus compared with residuals and modes that also depend on their own outcomes. A refit takes milliseconds
    on small data. The p-values of ``cluster_spread`` and of the extremes are conservative, since the sds were estimated
    from the same outcomes (Bayarri and Castellanos 2007): they detect gross misfit only.

    The p-values are adjusted together, by the distribution of the smallest one in simulated data (Westfall and Young
    1993), so that correlated checks cost little power. A defect shows in several checks: start with the first finding.
    Over-dispersion, which shows in most of them, is named first.

    References
    ----------
    Rubin (1984), Annals of Statistics 12: 1151-1172, for posterior predictive p-values.
    Bayarri and Castellanos (2007), Statistical Science 22: 322-343, for those of hierarchical models.
    Westfall and Young (1993), Resampling-Based Multiple Testing, algorithm 2.8.
    Dimitriadis, Gneiting and Jordan (2021), Proceedings of the National Academy of Sciences 118: e2016191118.
    Kallioinen, Paananen, Bürkner and Vehtari (2024), Statistics and Computing 34: 57.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> found = hl.check(fit, seed=1)
    >>> [finding.code for finding in found.findings]  # the curve of age is missing
    ['nonlinear_effect', 'residual_trend', 'heterogeneous_slopes']
    """
    require_unweighted(fit, "hl.check", NOT_THE_POPULATION)
    refuse_pooled(fit, "fit", "Checks are by refits to the rows", "hl.plots.cluster_check draws all imputations.")
    replicates = whole_number("replicates", replicates, FitError, least=FEWEST_REPLICATES)
    alpha = probability("alpha", alpha, FitError)
    if alpha * (replicates + 1) <= 1:
        needed = 1 / alpha
        enough = f"replicates={math.ceil(needed):,} or more" if needed <= LARGEST_COUNT else ""
        remedy = enough or f"alpha= above {1 / replicates:.2g}"
        raise FitError(f"alpha={alpha:g} is too small for {replicates:,} simulated data sets: pass {remedy}.")
    seed_used = seed_or_new(seed, FitError)
    check_executor(executor)
    reference = ReferenceFit.of(fit)
    comparison = _checks_by_simulation(fit, reference, replicates, seed_used, executor)
    results = [*comparison.results, *_checks_by_threshold(fit, reference)]
    adjusted = np.full(len(results), np.nan)
    adjusted[: len(comparison.results)] = adjusted_for_number(
        np.array([result.p_value for result in comparison.results]), comparison.p_values
    )
    found = np.array([result.beyond for result in results]) | (adjusted < alpha)
    return Check(
        findings=_findings(fit, results, adjusted, found),
        table=as_table(results, adjusted, found),
        engine=fit.diagnostics.engine,
        replicates=len(comparison.p_values),
        alpha=alpha,
        seed=seed_used,
    )


def _all_measures(reference: ReferenceFit) -> list[Measure]:
    design = reference.model.design
    return [
        *dispersion_measures(design),
        *row_measures(),
        *shape_measures(reference),
        *cluster_measures(design),
        *slope_measures(design),
        *effect_measures(design),
    ]


def _checks_by_simulation(
    fit: Fit, reference: ReferenceFit, replicates: int, seed: int, executor: AnyExecutor | None
) -> Comparison:
    measures = _all_measures(reference)
    infinite = any(finding.code == "separation" for finding in fit.diagnostics.findings)
    if reference.usable and not infinite:
        return compare_with_simulated(fit, reference, _all_measures, replicates, seed, executor)
    why = "some estimates are infinite." if infinite else "the fit did not end at a maximum."
    not_made = [CheckResult.not_made(measure.check, measure.about, measure.statistic, why) for measure in measures]
    return Comparison(not_made, np.ones((0, len(measures))))


def _checks_by_threshold(fit: Fit, reference: ReferenceFit) -> Iterator[CheckResult]:
    if fit.estimate is not None:
        yield integration_check(reference)
    yield from prior_checks(fit)


def _findings(
    fit: Fit, results: list[CheckResult], adjusted: npt.NDArray[np.float64], found: npt.NDArray[np.bool_]
) -> tuple[Finding, ...]:
    """Findings of the engine, and of the checks in the order of their p-values."""
    of_engine = fit.diagnostics.findings
    # The engine may have found already that its integration is inaccurate.
    repeated = {"integration_error"} if {"laplace_inaccurate", "too_few_nodes"} & {f.code for f in of_engine} else set()
    new = [k for k in np.flatnonzero(found) if results[k].check not in repeated]
    # Over-dispersion comes first, since other checks find it as well.
    new.sort(key=lambda k: (results[k].check != "overdispersion", np.nan_to_num(results[k].p_value, nan=1.0)))
    return gravest_first([*of_engine, *(results[k].finding(float(adjusted[k])) for k in new)])
