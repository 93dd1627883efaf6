"""The parametric bootstrap: what a statistic would have been in other studies like this one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ..engines.maximum.refit import Refitter, likelihood_engine, maximum_of
from ..errors import FitError, StudyError
from ..estimate import Estimate
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..summaries.intervals import Interval, end_names
from ..validation import choice, seed_or_new, whole_number
from .checkpoint import Checkpoint, identity
from .simulated_outcomes import generator, simulated_outcome
from .tasks import run_tasks

INTERVALS = ("percentile", "basic", "normal")
#: What a statistic may return.
Statistic = Callable[[Fit], Any]


@dataclass(frozen=True, repr=False)
class Bootstrap:
    """A statistic in studies simulated from a fit.

    Attributes
    ----------
    values : pandas.DataFrame
        One row for each replicate that has a result, by its number; one column for each part of the statistic.
    estimate : pandas.Series
        The statistic of the fit itself.
    failures : mapping of int to str
        What went wrong, by number of replicate.
    asked : int
        How many replicates were asked for.
    seed : int
        Repeats them exactly, on any number of workers.
    interrupted : bool
        Whether some were not run, because of an interruption.
    """

    values: pd.DataFrame
    estimate: pd.Series[float]
    failures: Mapping[int, str]
    asked: int
    seed: int
    interrupted: bool

    def summary(self, ci_prob: float | None = None, interval: str = "percentile") -> pd.DataFrame:
        """Estimate, bias, standard error and interval of each part of the statistic.

        Parameters
        ----------
        ci_prob : float, optional
            Probability of the intervals; ArviZ's default (0.89) if not given.
        interval : {"percentile", "basic", "normal"}
            Quantiles of the replicates; these turned about the estimate; or estimate minus bias with normal quantiles
            (Davison and Hinkley 1997, Bootstrap Methods and their Application, chapter 5).

        Returns
        -------
        pandas.DataFrame
            ``estimate``, ``bias`` (mean of the replicates minus the estimate), ``se`` (their sd), and the ends, such as
            ``percentile89_lb``.
        """
        choice("interval", interval, INTERVALS, StudyError)
        if len(self.values) < 2:
            raise StudyError(f"{len(self.values)} replicates have a result; a summary needs two or more.")
        level = Interval.of(ci_prob, "eti")
        table = pd.DataFrame({"estimate": self.estimate})
        table["bias"] = self.values.mean() - self.estimate
        table["se"] = self.values.std()
        tail = (1 - level.prob) / 2
        quantiles = self.values.quantile([tail, 1 - tail])
        low, high = quantiles.iloc[0], quantiles.iloc[1]
        if interval == "basic":
            low, high = 2 * self.estimate - high, 2 * self.estimate - low
        elif interval == "normal":
            middle, reach = self.estimate - table["bias"], level.quantile * table["se"]
            low, high = middle - reach, middle + reach
        for name, end in zip(end_names(interval, level.prob), (low, high), strict=True):
            table[name] = end
        return table

    def _head(self) -> str:
        missing = self.asked - len(self.values) - len(self.failures)
        told = [f"{len(self.values):,} of {self.asked:,} replicates"]
        told += [f"{len(self.failures):,} failed"] if self.failures else []
        told += [f"{missing:,} not run: interrupted"] if self.interrupted else []
        return f"Parametric bootstrap: {', '.join(told)}; seed {self.seed}"

    def __repr__(self) -> str:
        return f"{self._head()}\n{self.summary().round(4).to_string()}" if len(self.values) > 1 else self._head()

    def _repr_html_(self) -> str:
        table = self.summary().round(4).to_html() if len(self.values) > 1 else ""
        return f"<div><strong>{escape(self._head())}</strong>{table}</div>"


def bootstrap(
    fit: Fit,
    statistic: Statistic | None = None,
    replicates: int = 1000,
    *,
    seed: int | None = None,
    executor: Executor | None = None,
    store: str | os.PathLike[str] | None = None,
) -> Bootstrap:
    """Simulate studies from a fit, fit each, and see how a statistic varies.

    Effects of the clusters are drawn anew in each study, as lme4's ``bootMer`` does by default.

    Parameters
    ----------
    fit : Fit
        Of a likelihood engine.
    statistic : callable, optional
        Of a `Fit`, to a number, a mapping or Series of numbers, or an array. Fixed effects, sds and correlations if not
        given, which is fastest. With workers in other processes it must be picklable: a function of a module.
    replicates : int
        Replicates.
    seed : int, optional
        Repeats them exactly, whatever the executor and its number of workers.
    executor : concurrent.futures.Executor, optional
        Spreads replicates over workers: a ``ProcessPoolExecutor``, or ``client.get_executor()`` of a Dask cluster.
    store : path, optional
        A file that replicates are written to as they are made. If it is there already, they are read and only the
        missing ones are made: the same call goes on where an interrupted one ended.

    Returns
    -------
    Bootstrap
        Ctrl-C ends early with what was done by then.

    Raises
    ------
    FitError
        If the fit is by a sampler.
    StudyError
        If an option is out of its range, or `store` holds another study.

    References
    ----------
    Davison and Hinkley (1997), Bootstrap Methods and their Application; Efron and Tibshirani (1993).

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")
    >>> found = hl.bootstrap(fit, replicates=200, seed=1)
    >>> found.summary(ci_prob=0.95).loc["sd_herd[Intercept]", ["percentile95_lb", "percentile95_ub"]].round(1).to_list()
    [0.2, 0.9]
    """
    maximum = maximum_of(fit)
    asked, used = whole_number("replicates", replicates, StudyError, least=1), seed_or_new(seed, StudyError)
    task: Callable[[int], dict[str, float]]
    if statistic is None:
        task, estimate = OfParameters(fit.model, maximum, used), parameters(fit.model, maximum)
    else:
        task, estimate = OfFit(fit.model, maximum, used, statistic), numbers(statistic(fit))
    kept = Checkpoint.of(store, identity(fit.model, maximum, used, list(estimate)))
    missing = [number for number in range(asked) if number not in kept]
    finished = run_tasks(task, missing, executor, "Refitting", kept.add)
    done = kept.first(asked)
    values = pd.DataFrame.from_dict(done.results, orient="index", columns=list(estimate)).sort_index()
    return Bootstrap(
        values.rename_axis("replicate"), pd.Series(estimate), done.failures, asked, used, interrupted=not finished
    )


@dataclass(frozen=True)
class OfParameters:
    """The parameters of one replicate.

    Attributes
    ----------
    model : Model
    estimate : Estimate
        That studies are simulated from.
    seed : int
    """

    model: ModelSpec
    estimate: Estimate
    seed: int

    def __call__(self, number: int) -> dict[str, float]:
        """The parameters of replicate `number`."""
        y = simulated_outcome(self.model.design, self.estimate, generator(self.seed, number))
        return parameters(self.model, Refitter(self.model, self.estimate).with_outcome(y).maximum())


@dataclass(frozen=True)
class OfFit:
    """A statistic of the fit of one replicate.

    Attributes
    ----------
    model : Model
    estimate : Estimate
        That studies are simulated from.
    seed : int
    statistic : callable
    """

    model: ModelSpec
    estimate: Estimate
    seed: int
    statistic: Statistic

    def __call__(self, number: int) -> dict[str, float]:
        """The statistic of replicate `number`."""
        random = generator(self.seed, number)
        y = simulated_outcome(self.model.design, self.estimate, random)
        engine = likelihood_engine(self.estimate, seed=int(random.integers(2**31)))
        fit = engine.run(self.model.with_outcome(y))
        if fit.diagnostics.status == "failed":
            raise FitError("; ".join(finding.evidence for finding in fit.diagnostics.findings))
        return numbers(self.statistic(fit))


def parameters(model: ModelSpec, estimate: Estimate) -> dict[str, float]:
    """Fixed effects, sds and correlations of an estimate, by label."""
    found = dict(zip(model.design.fixed_effects, estimate.beta.tolist(), strict=True))
    for block in model.design.groups:
        sd, cor, name = estimate.sd(block.name), estimate.cor(block.name), block.result_name
        found |= {f"sd_{name}[{effect}]": float(value) for effect, value in zip(block.effects, sd, strict=True)}
        found |= {
            f"cor_{name}[{block.effects[i]}, {block.effects[j]}]": float(cor[i, j]) for i, j in block.correlated_pairs
        }
    return found


def numbers(found: Any, what: str = "statistic") -> dict[str, float]:
    """What a statistic returned, as numbers by name.

    Parameters
    ----------
    found : number, mapping, Series or array
    what : str
        What it is called: the name of a single number.

    Raises
    ------
    StudyError
        If it is none of what a statistic may return.
    """
    try:
        if isinstance(found, (Mapping, pd.Series)):
            return {str(name): float(value) for name, value in found.items()}
        values = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise StudyError(
            f"the {what} returned {type(found).__name__}; it must return a number, an array, or numbers by name."
        ) from None
    if values.ndim == 0:
        return {what: float(values)}
    return {str(k): float(value) for k, value in enumerate(values.ravel())}
