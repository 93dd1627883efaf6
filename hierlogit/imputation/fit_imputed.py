"""`hierlogit.fit_imputed`: a model fitted to each of several imputed tables, and the fits pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engines.registry import resolve_engine
from ..errors import ConvergenceWarning, DataWarning, FitError, HierlogitError, unsaid, warn
from ..fits.findings import Finding, gravest_first, status_of, warning_text
from ..fits.pooled_fit import PooledFit
from ..model import Model
from ..parallel.tasks import collect_tasks
from ..parallel.workers import AnyExecutor, check_executor
from ..validation import number_of
from .agreement import require_agreement
from .pool import pool
from .tables import imputed_tables

if TYPE_CHECKING:
    from ..design.table import Missing
    from ..engines.engine import Engine
    from ..fits.fit import Fit


def fit_imputed(
    formula: str,
    tables: Any,
    engine: Engine | str = "nuts",
    *,
    imputation: str | None = None,
    executor: AnyExecutor | None = None,
    missing: Missing = "error",
    **others: Any,
) -> PooledFit[Model]:
    """One model fitted to each of several imputed tables, with the fits pooled.

    Missing values are imputed before, by any package, several times; see the guide on missing values. The imputation
    model must contain the outcome, all variables of the formula, and the clusters.

    Parameters
    ----------
    formula : str
        As for `Model`.
    tables : iterable of tables, or table
        The imputed tables, at least two, with the same rows in the same order. Or one long table of all imputations,
        as R's ``mice::complete(imp, "long")`` makes it, with a column that numbers them. If a long table also has the
        rows with missing values, numbered 0, the imputed tables are compared with them.
    engine : Engine or str
        The engine with its options, or its name, as for `Model.fit`. Each imputation gets a seed of its own, made from
        the engine's.
    imputation : str, optional
        The column of a long table that numbers the imputations; ``.imp`` if not given.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the fits over workers: a ``ProcessPoolExecutor``, or the ``Client`` of a Dask cluster.
    missing : {"error", "drop"}
        What to do with values that are missing still. Rows that are dropped must be the same in all tables.
    **others
        Other options of `Model`: ``priors``, ``collinear``, ``namespace`` and so on.

    Returns
    -------
    PooledFit
        As for `pool`. If interrupted by Ctrl-C, of the imputations finished so far, with a finding; ``.fits`` has them.

    Raises
    ------
    DesignError
        If the tables cannot be read, or have missing values.
    FitError
        If the tables give different models (the message names the first), a fit fails, or an interruption leaves fewer
        than two fits.
    StudyError
        If the executor cannot run the fits.

    Warns
    -----
    DataWarning
        If observed values differ between imputed tables, or functions in the formula learn other numbers from each.
    ConvergenceWarning
        If fits have findings, or not all imputations were fitted.

    See Also
    --------
    pool : Combines fits that there are already.

    Examples
    --------
    >>> import hierlogit as hl
    >>> data = hl.datasets.load("contraception")
    >>> tables = [data.assign(age=data["age"] + (data.index % 7 == k)) for k in range(5)]  # stand for imputations
    >>> fit = hl.fit_imputed("use ~ age + (1 | district)", tables, "laplace")
    >>> len(fit.fits), round(float(fit.estimate.beta[1]), 4)
    (5, 0.0086)
    """
    check_executor(executor)
    chosen, frames = resolve_engine(engine), imputed_tables(tables, imputation)
    models = [_model(formula, frames[0], 0, missing, others)]
    with unsaid(DataWarning):  # which would be those of the first table, many times
        models += [_model(formula, frame, k, missing, others) for k, frame in enumerate(frames[1:], start=1)]
    require_agreement(models, "tables")
    done, finished = collect_tasks(
        _FitOne(models, _seeded(chosen, len(models))), range(len(models)), executor, "Fitting"
    )
    if done.failures:
        k, reason = min(done.failures.items())
        raise FitError(
            f"{len(done.failures)} of {len(models)} fits failed; tables[{k}]: {reason} Fit one table by itself to see "
            "more: hl.Model(formula, table).fit(engine)."
        )
    fits = [done.results[k] for k in sorted(done.results)]
    if len(fits) < 2:
        raise FitError(f"interrupted after {number_of(len(fits), 'fit')}: pooling needs at least two.")
    pooled = pool(fits)
    if (seed := getattr(chosen, "seed", None)) is not None:  # that of the user, from which the others were made
        pooled = PooledFit(pooled.fits, replace(pooled.diagnostics, seed=seed))
    if not finished:
        pooled = _interrupted(pooled, len(models))
    if text := warning_text(pooled.diagnostics.findings):
        warn(text, ConvergenceWarning)
    return pooled


def _model(formula: str, frame: Any, k: int, missing: Missing, options: dict[str, Any]) -> Model:
    try:
        return Model(formula, frame, missing=missing, **options)
    except HierlogitError as error:
        raise type(error)(f"tables[{k}]: {error}") from None


def _seeded(engine: Engine, count: int) -> list[Engine]:
    """The engine with a seed for each imputation; without a seed, samplers take new ones and others their own."""
    seed = getattr(engine, "seed", None)
    if seed is None:
        return [engine] * count
    seeds = np.random.SeedSequence(seed).generate_state(count).tolist()
    return [replace(engine, seed=one) for one in seeds]  # type: ignore[type-var]


@dataclass(frozen=True)
class _FitOne:
    """Fits the model of one table."""

    models: Sequence[Model]
    engines: Sequence[Engine]

    def __call__(self, number: int) -> Fit[Model]:
        fit = self.engines[number].run(self.models[number])
        if fit.diagnostics.status == "interrupted":  # a sampler keeps what it has, which is not a whole imputation
            raise KeyboardInterrupt
        return fit


def _interrupted(pooled: PooledFit[Model], requested: int) -> PooledFit[Model]:
    evidence = f"The work was interrupted: {len(pooled.fits)} of {requested} imputed tables were fitted."
    remedy = "Fit the others, and combine all fits: hl.pool([*fit.fits, ...])."
    findings = gravest_first([Finding("interrupted", "warning", evidence, remedy), *pooled.diagnostics.findings])
    diagnostics = replace(pooled.diagnostics, findings=findings, status=status_of(findings))
    return PooledFit(pooled.fits, diagnostics)
