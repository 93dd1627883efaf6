"""Formula and table → `build`: a model built up step by step, with all models that were tried on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..design.design import Collinear
from ..design.table import Missing
from ..diagnostics.data.nesting import relation_table
from ..engines.engine import Engine
from ..engines.maximum.agq import AGQ
from ..engines.maximum.laplace import Laplace
from ..engines.maximum.refit import maximum_of
from ..engines.registry import resolve_engine
from ..errors import EngineError, ModelError
from ..fits.fit import Fit
from ..model_comparison.slope_tests import FEWEST_REPLICATES
from ..parallel.workers import AnyExecutor, check_executor
from ..progress import progress
from ..result_table import ResultTable
from ..summaries.intervals import Interval
from ..validation import flag, probability, seed_or_new, shortened, whole_number
from .estimands import chosen_estimand
from .models_tried import Build
from .plan import Plan, Structure
from .step import Step, latent_icc
from .walk import UNDECIDED, Walk

#: Columns of the table of models that are left out first where there is not enough room.
SPARE = ("reason", "seconds", "stage", "naive_p_value", "parameters")


def build(
    formula: str,
    data: Any,
    *,
    clusters: str | Sequence[str] | None = None,
    estimand: str | Sequence[str] | Callable[[Fit], Any] | None = None,
    engine: Engine | str = "laplace",
    alpha: float = 0.05,
    screen: bool = False,
    replicates: int = 200,
    seed: int | None = 0,
    ci_prob: float | None = None,
    missing: Missing = "drop",
    collinear: Collinear = "drop",
    namespace: Mapping[str, Any] | None = None,
    executor: AnyExecutor | None = None,
) -> Build:
    """Build-up of a model from an intercept to random slopes, with the evidence for each step and all models tried.

    The steps are an intercept alone; the levels, the highest first; the fixed effects together; and random slopes one
    by one. Levels and fixed effects are part of the plan of a study and are kept, whatever their p-values. Of the
    slopes, all are tried beside the same model, and the one with the smallest p-value is kept if it is below `alpha`
    after adjustment for their number; those with p-values below `alpha` on their own are then tried beside it.

    Parameters
    ----------
    formula : str
        Outcome, fixed effects and grouping factors, as for `Model`: ``"use ~ age + urban + (1 | district)"``. If the
        random terms have slopes, these are tried; otherwise all terms of the fixed part, for each grouping factor
        within whose clusters they vary, interactions once the model has the slopes of all their parts.
    data : table
        As for `Model`. All models are fitted to the rows that are complete in all columns of the formula.
    clusters : str or list of str, optional
        Columns that define clusters, in place of random terms: ``["school", "class"]``. Whether they are nested or
        crossed is found from the rows. ``"school/class"`` is for classes whose labels are repeated in other schools.
    estimand : str, list of str or callable, optional
        Quantities that are followed through all models. The name of a predictor stands for its coefficients and its
        average comparison (see `avg_comparisons`; its standard error is by the delta method), the label of a parameter,
        such as ``"sd_district[Intercept]"``, for that parameter. A callable takes a `Fit` and returns a number, numbers
        by name, or a table such as that of ``hl.avg_comparisons(fit, "urban")``. If not given, all coefficients and
        average comparisons, which are computed when ``.estimands`` is first read.
    engine : Engine or str
        ``"laplace"`` or ``"agq"``, or an engine with options such as ``hl.AGQ(nodes=25)``.
    alpha : float
        Level of the tests of slopes.
    screen : bool
        Whether slopes are first tested by their scores beside the model of intercepts and fixed effects, as by
        `test_slopes`, and only those with p-values below `alpha` are fitted. The score tests have a reference
        distribution by simulation. They take longer than the fits, and are for few or small clusters.
    replicates, seed
        Number of data sets that are simulated for the score tests, 50 or more, and the seed of the simulation.
    ci_prob : float, optional
        Probability of the intervals; ArviZ's default if not given.
    missing, collinear, namespace
        As for `Model`.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes over workers, as for `bootstrap`, the fits of the slopes that are tried beside the same model, and
        the data sets that are simulated for the score tests.

    Returns
    -------
    Build
        If interrupted by Ctrl-C, with the models fitted so far.

    Raises
    ------
    FormulaError, DesignError
        As for `Model`.
    ModelError
        If there are no clusters, the fixed part has no intercept, or an option is not allowed.
    EngineError
        If the engine does not maximise a likelihood.
    StudyError
        If the executor cannot run the fits.

    Notes
    -----
    *Sufficiency.* A level is not tried if every cluster has a single trial, or another level has the same clusters. A
    slope is not tried if the predictor is constant within all clusters, or varies within fewer than 10 of the clusters
    that have more trials than random effects (all clusters if there are fewer than 10, and never fewer than 5), or the
    data checks of the model warn of it. It is not kept if its fit has a warning that the smaller model has not, or is
    singular. If a slope is supported, but its covariance matrix with the intercepts is singular, the slope without
    correlation is tried as well.

    *Tests.* A variance cannot be negative: p-values are those of the mixture of chi-squared distributions that
    `likelihood_ratio` uses. For predictors with several columns, whose slopes have several variances, they are an upper
    bound. ``hl.likelihood_ratio(result.fits["M2"], result.fits["M4"], method="bootstrap")`` simulates the distribution.

    *What it does not do.* The predictors are not selected. Standard errors and p-values of the proposed model do not
    account for the selection of its slopes. Where the design or theory calls for all slopes (Barr and others 2013),
    sample ``result.maximal`` with NUTS, whose priors keep all variances estimable.

    References
    ----------
    Hox, Moerbeek and van de Schoot (2018), Multilevel Analysis, section 4.1, for the order of the steps.
    Barr, Levy, Scheepers and Tily (2013), Journal of Memory and Language 68: 255-278, and Matuschek, Kliegl, Vasishth,
    Baayen and Bates (2017), Journal of Memory and Language 94: 305-315, for all slopes or those that the data support.
    Silvapulle and Sen (2005), Constrained Statistical Inference, section 3.6, for the bound of the p-value.

    Examples
    --------
    >>> import hierlogit as hl
    >>> result = hl.build("use ~ age + urban + (1 | district)", hl.datasets.load("contraception"))
    >>> result.formula
    'use ~ age + urban + (1 + urban | district)'
    >>> result.table[["adds", "against", "statistic", "p_value", "kept"]]
    Models of the build-up, in the order in which they were fitted
      model  adds              against  statistic  p_value  kept
      M0     intercept only                     -        -  yes
      M1     district          M0          56.46   < 0.001  yes
      M2     age + urban       M1          34.06   < 0.001  yes
      M3     age | district    M2           2.355    0.216  no
      M4     urban | district  M2          16.37   < 0.001  yes
    """
    likelihood_engine = _likelihood_engine(engine)
    check_executor(executor)
    settings: dict[str, Any] = {
        "alpha": probability("alpha", alpha, ModelError),
        "screen": flag("screen", screen, ModelError),
        "replicates": whole_number("replicates", replicates, ModelError, least=FEWEST_REPLICATES),
        "seed": seed_or_new(seed, ModelError),
    }
    interval = Interval.of(ci_prob, "eti")
    plan = Plan.of(formula, data, clusters, missing=missing, collinear=collinear, namespace=namespace)
    estimand = chosen_estimand(estimand, plan.design)
    walk = Walk(plan, likelihood_engine, **settings, executor=executor)
    interrupted = False
    try:
        for _ in progress(walk.models(), "Building up"):
            pass
    except KeyboardInterrupt:
        if not walk.steps:
            raise
        interrupted = True
    result = Build(
        table=_table(walk),
        fits={step.name: step.fit for step in walk.steps},
        proposed=walk.current.name,
        not_tried=dict(walk.not_tried),
        supported=dict(walk.supported),
        findings={step.name: step.findings for step in walk.steps},
        scores=walk.scores,
        levels={group.name: len(group.levels) for group in plan.levels},
        relations=ResultTable.of(relation_table(plan.relations), "How the grouping factors are related"),
        planned=plan.largest.formula.line,
        maximal=_maximal(plan, walk),
        settings=settings,
        ci_prob=interval.prob,
        interrupted=interrupted,
        _estimand=estimand,
    )
    if estimand is not None and not interrupted:
        _ = result.estimands  # so that what the user's function raises is said now
    return result


def _likelihood_engine(given: Engine | str) -> Laplace | AGQ:
    engine = resolve_engine(given)
    if not isinstance(engine, (Laplace, AGQ)):
        raise EngineError(
            f"engine={shortened(given)} does not maximise the likelihood, which the tests of the steps need: pass "
            "hl.Laplace() or hl.AGQ(), and fit the proposed model with another engine afterwards."
        )
    if engine.restricted:
        raise EngineError(
            f"engine={shortened(given)}: restricted likelihoods of models with different fixed effects cannot be "
            "compared. Leave restricted=True out, and fit the proposed model with it afterwards."
        )
    return engine


def _maximal(plan: Plan, walk: Walk) -> str:
    """The formula with all slopes that were tried; empty if there is none."""
    levels = walk.current.structure.levels
    slopes = tuple(slope for slope in walk.possible if slope.group in levels)
    return plan.formula(Structure(levels, predictors=True, slopes=slopes)) if slopes else ""


def _table(walk: Walk) -> ResultTable:
    rows = {step.name: _row(walk, step) for step in walk.steps}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    return ResultTable.of(table, "Models of the build-up, in the order in which they were fitted", spare=SPARE)


def _row(walk: Walk, step: Step) -> dict[str, Any]:
    estimate, decision, test = maximum_of(step.fit), walk.decisions.get(step.name, UNDECIDED), step.test
    iccs = latent_icc(step.fit)
    levels = [group.result_name for group in walk.levels]
    return {
        "stage": step.stage,
        "adds": step.adds,
        "against": step.against,
        "parameters": estimate.n_parameters,
        "log_likelihood": estimate.log_likelihood,
        "statistic": np.nan if test is None else test.statistic,
        "p_value": np.nan if test is None else test.p_value,
        "p_adjusted": np.nan if decision.p_adjusted is None else decision.p_adjusted,
        "naive_p_value": np.nan if test is None else test.naive_p_value,
        **{f"icc_{name}": iccs.get(name, np.nan) for name in levels},
        "kept": "yes" if decision.kept else "no",
        "reason": decision.reason,
        "seconds": step.seconds,
    }
