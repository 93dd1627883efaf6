"""The parametric bootstrap: the distribution of a statistic over data simulated from a fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..display import FOLDED, MOST, Sentences, Table, View
from ..engines.maximum.refit import INFINITE, Refitter, finite_maximum_of, likelihood_engine
from ..errors import ConvergenceWarning, StudyError, warn
from ..estimate import Estimate
from ..fits.arguments import refuse_pooled, require_unweighted
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..parallel.workers import AnyExecutor, check_executor
from ..result_table import HasTables, ResultTable
from ..summaries.intervals import Interval, end_names
from ..validation import agree, choice, function_or_none, kind_of, number_of, seed_or_new, whole_number
from .checkpoint import Checkpoint, identity
from .failures import SHOWN, TOLERABLE, count_failures, warn_of_failures
from .simulated_outcomes import generator, simulated_outcome

INTERVALS = ("percentile", "basic", "normal")
#: A function of a fit that returns a number, a mapping or Series of numbers, or an array.
Statistic = Callable[[Fit], Any]


@dataclass(frozen=True, repr=False)
class Bootstrap(HasTables):
    """Values of a statistic in data sets simulated from a fit.

    Attributes
    ----------
    values : pandas.DataFrame
        One row for each replicate with a result, by its number; one column for each component of the statistic.
    estimate : pandas.Series
        The statistic of the fit itself.
    failures : mapping of int to str
        Why replicates have no result, by number: the search found no maximum, estimates are infinite because the
        simulated outcomes are separated, or the statistic raised an error.
    requested : int
        Number of replicates requested.
    seed : int
        Makes the replicates reproducible, with any number of workers.
    interrupted : bool
        Whether an interruption came before all replicates had run.
    """

    values: pd.DataFrame
    estimate: pd.Series[float]
    failures: Mapping[int, str]
    requested: int
    seed: int
    interrupted: bool

    def summary(self, ci_prob: float | None = None, interval: str = "percentile") -> ResultTable:
        """Estimate, bias, standard error and interval of each component of the statistic.

        Replicates without a result are left out, and for each component those in which it is not finite.

        Parameters
        ----------
        ci_prob : float, optional
            Probability of the intervals; ArviZ's default (0.89) if not given.
        interval : {"percentile", "basic", "normal"}
            Quantiles of the replicates; the same reflected about the estimate; or the estimate minus the bias, with
            normal quantiles (Davison and Hinkley 1997, Bootstrap Methods and their Application, chapter 5).

        Returns
        -------
        ResultTable
            ``estimate``, ``bias`` (mean of the replicates minus the estimate), ``se`` (their sd), and the ends of the
            interval, such as ``percentile89_lb``.

        Raises
        ------
        StudyError
            If an option is not allowed, or fewer than two replicates have a result.
        """
        choice("interval", interval, INTERVALS, StudyError)
        if len(self.values) < 2:
            raise StudyError(
                f"{number_of(len(self.values), 'replicate')} {agree(self.values, 'has', 'have')} a result; a summary "
                "needs two or more."
            )
        level = Interval.of(ci_prob, "eti")
        table, values = pd.DataFrame({"estimate": self.estimate}), _finite(self.values)
        table["bias"] = values.mean() - _finite(self.estimate)
        table["se"] = values.std()
        tail = (1 - level.prob) / 2
        quantiles = values.quantile([tail, 1 - tail])
        low, high = quantiles.iloc[0], quantiles.iloc[1]
        if interval == "basic":
            low, high = 2 * _finite(self.estimate) - high, 2 * _finite(self.estimate) - low
        elif interval == "normal":
            middle, reach = _finite(self.estimate) - table["bias"], level.quantile * table["se"]
            low, high = middle - reach, middle + reach
        for name, end in zip(end_names(interval, level.prob), (low, high), strict=True):
            table[name] = end
        return ResultTable.of(table, f"Parametric bootstrap of {number_of(len(self.values), 'replicate')}")

    def _head(self) -> str:
        missing = self.requested - len(self.values) - len(self.failures)
        counts = [f"{len(self.values):,} of {self.requested:,} replicates"]
        counts += [f"{len(self.failures):,} failed"] if self.failures else []
        counts += [f"{missing:,} not run: interrupted"] if self.interrupted else []
        return f"Parametric bootstrap: {', '.join(counts)}; seed {self.seed}"

    def _view(self) -> View:
        run = len(self.values) + len(self.failures)
        failures = count_failures(self.failures, run, _consequence(self.failures))
        remarks = Sentences((*failures, *_undefined(self.values)), ".failures")
        if len(self.values) < 2:
            return View(self._head(), (remarks,))
        # A statistic can have thousands of components; only those that are shown are summarised.
        shown = list(self.values.columns[: MOST + FOLDED])
        first_columns = replace(self, values=self.values[shown], estimate=self.estimate[shown])
        table = Table.of(first_columns.summary(), ".summary()")
        return View(
            self._head(),
            (
                remarks,
                replace(table, rows=self.values.shape[1]),
            ),
        )


def bootstrap(
    fit: Fit,
    statistic: Statistic | None = None,
    replicates: int = 1000,
    *,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
    store: str | os.PathLike[str] | None = None,
) -> Bootstrap:
    """A statistic in data sets simulated from a fit, each with the model fitted again (parametric bootstrap).

    Cluster effects are drawn anew in each replicate, as in lme4's ``bootMer`` by default.

    Parameters
    ----------
    fit : Fit
        A likelihood fit.
    statistic : callable, optional
        A function of a `Fit` that returns a number, a mapping or Series of numbers, or an array. If not given, the
        statistic consists of the fixed effects, sds, correlations and phi, which is fastest. For workers in other
        processes it must be picklable, such as a function defined in a module.
    replicates : int
        How many data sets to simulate.
    seed : int, optional
        Makes the replicates reproducible, whatever the executor and its number of workers.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes replicates over workers: a ``ProcessPoolExecutor``, or the ``Client`` of a Dask cluster.
    store : path, optional
        A file to which replicates are written as they finish. If it exists, its replicates are read and only the
        missing ones are run, so that the same call resumes an interrupted one.

    Returns
    -------
    Bootstrap
        If interrupted by Ctrl-C, with the replicates finished so far.

    Raises
    ------
    FitError
        If the fit is not a likelihood fit, or not at a maximum because the search failed or estimates are infinite.
    StudyError
        If an option is not allowed, `store` belongs to another study, or the workers cannot run the tasks.

    Warns
    -----
    ConvergenceWarning
        If more than 5% of the replicates have no result, or a component that is not finite.

    References
    ----------
    Davison and Hinkley (1997), Bootstrap Methods and their Application; Efron and Tibshirani (1993).

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")
    >>> boot = hl.bootstrap(fit, replicates=200, seed=1)
    >>> boot.summary(ci_prob=0.95).loc["sd_herd[Intercept]", ["percentile95_lb", "percentile95_ub"]].round(1).to_list()
    [0.2, 0.9]
    """
    require_unweighted(
        fit,
        "hl.bootstrap",
        "it simulates outcomes from the model, without the selection of the sample. hl.summary(fit) has standard "
        "errors of the sample.",
    )
    refuse_pooled(fit, "fit", "Replicates are of the rows", "hl.summary has standard errors by Rubin's rules.")
    function_or_none("statistic", statistic, StudyError, "a function of a Fit that returns a number or numbers")
    check_executor(executor)
    maximum = finite_maximum_of(fit)
    requested, used_seed = whole_number("replicates", replicates, StudyError, least=1), seed_or_new(seed, StudyError)
    task: Callable[[int], dict[str, float]]
    if statistic is None:
        task, estimate = OfParameters(fit.model, maximum, used_seed), parameters(fit.model, maximum)
    else:
        task, estimate = OfFit(fit.model, maximum, used_seed, statistic), numbers(statistic(fit))
    checkpoint = Checkpoint.of(store, identity(fit.model, maximum, used_seed, list(estimate)))
    done, finished = checkpoint.completed(task, requested, executor, "Refitting")
    warn_of_failures(done.failures, len(done.results) + len(done.failures), _consequence(done.failures))
    values = pd.DataFrame.from_dict(done.results, orient="index", columns=list(estimate), dtype=np.float64).sort_index()
    for sentence in _undefined(values, TOLERABLE):
        warn(sentence, ConvergenceWarning)
    return Bootstrap(
        values.rename_axis("replicate"),
        pd.Series(estimate),
        done.failures,
        requested,
        used_seed,
        interrupted=not finished,
    )


def _finite[Numbers: (pd.DataFrame, pd.Series)](values: Numbers) -> Numbers:
    """Numbers that are not finite as missing ones."""
    return values.where(np.isfinite(values))


def _undefined(values: pd.DataFrame, tolerable: float = 0.0) -> Iterator[str]:
    """A sentence about the components that are not finite in more than a tolerable share of the replicates."""
    missing = (~np.isfinite(values)).sum()
    missing = missing[missing > tolerable * len(values)].sort_values(ascending=False, kind="stable")
    if not missing.empty:
        counts = [f"'{name}' in {count:,}" for name, count in missing.iloc[:SHOWN].items()]
        more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
        yield (
            f"The statistic is not a finite number in some of the {len(values):,} replicates with a result, which are "
            f"left out where it is not: {', '.join(counts)}{more}."
        )


def _consequence(failures: Mapping[int, str]) -> str:
    """What replicates without a result mean for the others."""
    others = "They are left out: bias, standard errors and intervals are those of the other data sets"
    if not any(INFINITE in text for text in failures.values()):
        return f"{others}."
    return (
        f"{others}, and are too small where infinite estimates are frequent. A fit by hl.MAP() has finite estimates in "
        "all data sets."
    )


@dataclass(frozen=True)
class OfParameters:
    """Task that estimates the parameters in one replicate.

    Attributes
    ----------
    model : Model
    estimate : Estimate
        The parameters to simulate from.
    seed : int
    """

    model: ModelSpec
    estimate: Estimate
    seed: int

    def __call__(self, number: int) -> dict[str, float]:
        """The parameters of replicate `number`.

        Raises
        ------
        FitError
            If the search does not end at a maximum, or an estimate is infinite.
        """
        y = simulated_outcome(self.model.design, self.estimate, generator(self.seed, number))
        return parameters(self.model, Refitter(self.model, self.estimate).with_outcome(y).bounded_maximum())


@dataclass(frozen=True)
class OfFit:
    """Task that fits the model to one replicate and computes a statistic of the fit.

    Attributes
    ----------
    model : Model
    estimate : Estimate
        The parameters to simulate from.
    seed : int
    statistic : callable
    """

    model: ModelSpec
    estimate: Estimate
    seed: int
    statistic: Statistic

    def __call__(self, number: int) -> dict[str, float]:
        """The statistic of replicate `number`.

        Raises
        ------
        FitError
            If the search does not end at a maximum, or an estimate is infinite.
        """
        random = generator(self.seed, number)
        y = simulated_outcome(self.model.design, self.estimate, random)
        engine = likelihood_engine(self.estimate, seed=int(random.integers(2**31)))
        fit = engine.run(self.model.with_outcome(y))
        finite_maximum_of(fit)
        return numbers(self.statistic(fit))


def parameters(model: ModelSpec, estimate: Estimate) -> dict[str, float]:
    """Fixed effects, sds, correlations and phi of an estimate, by label."""
    by_label = dict(zip(model.design.fixed_effects, estimate.beta.tolist(), strict=True))
    for group in model.design.groups:
        sd, cor, name = estimate.sd(group.name), estimate.cor(group.name), group.result_name
        by_label |= {f"sd_{name}[{effect}]": float(value) for effect, value in zip(group.effects, sd, strict=True)}
        by_label |= {
            f"cor_{name}[{group.effects[i]}, {group.effects[j]}]": float(cor[i, j]) for i, j in group.correlated_pairs
        }
    return by_label if estimate.phi is None else by_label | {"phi": estimate.phi}


def numbers(value: Any, what: str = "statistic") -> dict[str, float]:
    """The value of a statistic as numbers by name.

    Parameters
    ----------
    value : number, mapping, Series or array
    what : str
        What the statistic is called; the name of a single number.

    Raises
    ------
    StudyError
        If the value has another type, or is not numeric.
    """
    try:
        if isinstance(value, (Mapping, pd.Series)):
            return {str(name): float(number) for name, number in value.items()}
        if value is None:  # which NumPy takes for a NaN
            raise TypeError
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise StudyError(
            f"the {what} returned {kind_of(value)}; it must return a number, an array, or numbers by name."
        ) from None
    if values.ndim == 0:
        return {what: float(values)}
    return {str(k): float(number) for k, number in enumerate(values.ravel())}
