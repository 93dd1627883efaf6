"""Estimates of one model by several engines side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..engines.maximum.agq import AGQ
from ..engines.maximum.integrator import integrator
from ..engines.maximum.laplace import Laplace
from ..engines.maximum.map import MAP
from ..engines.nuts.nuts import NUTS
from ..engines.registry import resolve_engine
from ..errors import EngineError, FitError
from ..fits.arguments import require_model
from ..fits.posterior import parameter_draws
from ..parallel.tasks import all_results
from ..parallel.workers import check_executor
from ..result_table import ResultTable
from ..summaries.wald_profile import summary_of_estimate
from ..validation import mapping, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..engines.engine import Engine
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec
    from ..parallel.workers import AnyExecutor


def compare_engines(
    model: ModelSpec, engines: Mapping[str, Engine] | None = None, *, executor: AnyExecutor | None = None
) -> ResultTable:
    """Estimates of a model by Laplace's method, quadrature, MAP and NUTS, side by side.

    Parameters
    ----------
    model : Model
    engines : mapping of str to Engine, optional
        Engines to compare, by the names of their columns; the last one is the reference. If not given: Laplace, AGQ if
        quadrature is possible for the model, MAP, and NUTS as the reference. `hierlogit.ImportanceSampling` draws from
        the same posterior as NUTS, so that it is compared only if it is given.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the engines over workers, as for `bootstrap`.

    Returns
    -------
    ResultTable
        One row for each parameter, and a last row ``log_likelihood`` for the engines that have one. The columns have
        two levels: the engine, and ``estimate`` (the posterior mean for NUTS and importance sampling), ``error``
        (standard error or posterior sd) and, except for the last engine, ``differs``: whether the difference from the
        estimate of the last engine is larger than ``error``. Laplace and AGQ do not use the priors, so that differences
        come from the priors as well as from approximations.

    Raises
    ------
    FitError
        If there are fewer than two engines.
    StudyError
        If the executor cannot run them.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))
    >>> table = hl.compare_engines(model, {"Laplace": hl.Laplace(), "AGQ": hl.AGQ(nodes=25)})
    >>> bool(table["Laplace", "differs"].any())
    False
    """
    require_model(model)
    check_executor(executor)
    what = "two or more engines by name, {'Laplace': hl.Laplace(), 'NUTS': hl.NUTS()}"
    given = _default_engines(model) if engines is None else mapping("engines", engines, FitError, what)
    if len(given) < 2:
        raise FitError(f"engines must be {what}; got {number_of(len(given), 'engine')}.")
    chosen = {name: resolve_engine(engine) for name, engine in given.items()}
    columns: dict[tuple[str, str], pd.Series[float]] = {}
    task = _Estimates(model, tuple(chosen.values()))
    found = all_results(task, range(len(chosen)), executor, "Fitting")
    for number, name in enumerate(chosen):
        columns[name, "estimate"], columns[name, "error"] = found[number]
    # In the order of the parameters; the log-likelihood, which samplers do not have, comes last.
    labels = dict.fromkeys(label for values in columns.values() for label in values.index)
    ordered = sorted(labels, key=lambda label: label == "log_likelihood")
    table = pd.DataFrame(columns).reindex(pd.Index(ordered, name="parameter"))
    last = list(chosen)[-1]
    for name in list(chosen)[:-1]:
        distance = (table[name, "estimate"] - table[last, "estimate"]).abs()
        table[name, "differs"] = distance > table[name, "error"]
    table = table[[(name, key) for name in chosen for key in ("estimate", "error", "differs") if (name, key) in table]]
    return ResultTable.of(table, f"Estimates (logit scale), and whether they differ from those by {last}")


def _default_engines(model: ModelSpec) -> dict[str, Engine]:
    engines: dict[str, Engine] = {"Laplace": Laplace(), "AGQ": AGQ(), "MAP": MAP(), "NUTS": NUTS()}
    try:
        integrator(model.design, AGQ().nodes)
    except EngineError:
        del engines["AGQ"]
    return engines


@dataclass(frozen=True)
class _Estimates:
    """Task that fits a model by one of several engines.

    Attributes
    ----------
    model : ModelSpec
    engines : tuple of Engine
    """

    model: ModelSpec
    engines: tuple[Engine, ...]

    def __call__(self, number: int) -> tuple[pd.Series[float], pd.Series[float]]:
        """Estimates and errors by engine `number`."""
        return _estimates(self.engines[number].run(self.model))


def _estimates(fit: Fit) -> tuple[pd.Series[float], pd.Series[float]]:
    if fit.estimate is None:
        draws = parameter_draws(fit.model, fit.posterior)
        index = pd.Index(draws["parameter"].to_numpy(), name="parameter")
        values = draws.to_numpy().reshape(-1, len(index))
        return pd.Series(values.mean(axis=0), index), pd.Series(values.std(axis=0, ddof=1), index)
    table = summary_of_estimate(fit, "wald", 0.5, None, progress=False)
    likelihood = pd.Series([fit.estimate.log_likelihood], ["log_likelihood"])
    no_error = pd.Series([np.nan], ["log_likelihood"])
    estimates, errors = pd.concat([table["estimate"], likelihood]), pd.concat([table["se"], no_error])
    return estimates.rename_axis("parameter"), errors.rename_axis("parameter")
