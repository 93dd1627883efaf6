"""Profiles of single parameters as numbered tasks, so that each may run on a worker of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ..engines.maximum.profile import Profiler, warn_if_higher
from ..parallel.tasks import all_results

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..engines.maximum.objective import Objective
    from ..engines.maximum.parameter_profiles import Profile
    from ..estimate import Estimate
    from ..model_spec import ModelSpec
    from ..parallel.workers import AnyExecutor

FloatArray = npt.NDArray[np.float64]
#: Where an interval has no end, the profile goes as far as on the other side, or this many standard errors.
OPEN_REACH = 4.0


class Profiled[R](NamedTuple):
    """What a profile told, and how much higher than at the estimate it was."""

    value: R
    gain: float


@dataclass(frozen=True)
class _Ends:
    """Task that finds the interval of one parameter.

    Attributes
    ----------
    model : ModelSpec
    estimate : Estimate
    labels : tuple of str
        Parameters by number; phi is the one after them.
    prob : float
    """

    model: ModelSpec
    estimate: Estimate
    labels: tuple[str, ...]
    prob: float

    def __call__(self, number: int) -> Profiled[tuple[float, float]]:
        """Low and high end; not numbers if the parameter has no profile."""
        # With a profiler of its own, a profile does not depend on those before it, not even in the last digit.
        return _ends_of(Profiler(self.model, self.estimate), self.labels, self.prob, number)


def _ends_of(profiler: Profiler, labels: Sequence[str], prob: float, number: int) -> Profiled[tuple[float, float]]:
    """Low and high end of the interval of one parameter."""
    if number == len(labels):
        return Profiled(profiler.ends_of_phi(prob), profiler.highest_gain)
    make = profiler.by_label()[labels[number]]
    ends = (np.nan, np.nan) if make is None else profiler.ends(make(), prob)
    return Profiled(ends, profiler.highest_gain)


@dataclass(frozen=True)
class _Zeta:
    """Task that computes the signed roots of the likelihood-ratio statistic along one parameter.

    Attributes
    ----------
    model : ModelSpec
    estimate : Estimate
    labels : tuple of str
    prob : float
        The values reach over the interval of this probability.
    points : int
    """

    model: ModelSpec
    estimate: Estimate
    labels: tuple[str, ...]
    prob: float
    points: int

    def __call__(self, number: int) -> Profiled[ZetaCurve | None]:
        """The curve of a parameter; None if it has no profile."""
        profiler = Profiler(self.model, self.estimate)
        make = profiler.by_label()[self.labels[number]]
        if make is None:
            return Profiled(None, 0.0)
        profile = make()
        values = _values(profiler, profile, self.prob, self.points)
        return Profiled(ZetaCurve(profile.estimate, values, profiler.zeta(profile, values)), profiler.highest_gain)


class ZetaCurve(NamedTuple):
    """Signed roots of the likelihood-ratio statistic at values of a parameter, in ascending order."""

    estimate: float
    values: FloatArray
    zeta: FloatArray


def profile_ends(
    model: ModelSpec, estimate: Estimate, prob: float, executor: AnyExecutor | None, what: str | None
) -> tuple[FloatArray, FloatArray]:
    """Ends of the intervals of all parameters, in the order of a summary; NaN for parameters without a profile.

    Parameters
    ----------
    model : ModelSpec
    estimate : Estimate
    prob : float
    executor : concurrent.futures.Executor, distributed.Client or None
    what : str or None
        Text of the progress bar; None shows none.

    Raises
    ------
    FitError
        If the estimate is that of a restricted likelihood, or its covariance matrix is computed from clusters.
    """
    labels = tuple(Profiler(model, estimate).by_label())
    return _of_all(_Ends(model, estimate, labels, prob), labels, estimate, executor, what)


def profile_ends_in_turn(objective: Objective, estimate: Estimate, prob: float) -> tuple[FloatArray, FloatArray]:
    """The same for an objective each evaluation of which is distributed, and whose parameters are profiled in turn."""
    profiler = Profiler(objective.model, estimate, objective)
    labels = tuple(profiler.by_label())
    return _of_all(partial(_ends_of, profiler, labels, prob), labels, estimate, None, "Profiling")


def _of_all(
    task: Callable[[int], Profiled[tuple[float, float]]],
    labels: Sequence[str],
    estimate: Estimate,
    executor: AnyExecutor | None,
    what: str | None,
) -> tuple[FloatArray, FloatArray]:
    """Ends of the intervals of all parameters, phi included."""
    ends = _all(task, len(labels) + (estimate.phi is not None), estimate, executor, what)
    low, high = np.array(ends, dtype=np.float64).T
    return low, high


def zeta_curves(
    model: ModelSpec, estimate: Estimate, labels: Sequence[str], prob: float, points: int, executor: AnyExecutor | None
) -> dict[str, ZetaCurve | None]:
    """Curves of parameters by label; None for those without a profile."""
    task = _Zeta(model, estimate, tuple(labels), prob, points)
    return dict(zip(labels, _all(task, len(labels), estimate, executor, "Profiling"), strict=True))


def _all[R](
    task: Callable[[int], Profiled[R]],
    count: int,
    estimate: Estimate,
    executor: AnyExecutor | None,
    what: str | None,
) -> list[R]:
    """Results of all tasks, after a warning if a profile was higher than the estimate."""
    found = all_results(task, range(count), executor, what)
    warn_if_higher(estimate, max((one.gain for one in found.values()), default=0.0))
    return [one.value for one in found.values()]


def _values(profiler: Profiler, one: Profile, prob: float, points: int) -> FloatArray:
    """Values from one end of an interval to the other, and the estimate."""
    low, high = profiler.ends(one, prob)
    reach = [abs(end - one.estimate) for end in (low, high) if np.isfinite(end)]
    away = max(reach, default=OPEN_REACH * one.error)
    low, high = (
        end if np.isfinite(end) else min(max(one.estimate + sign * away, one.least), one.most)
        for end, sign in ((low, -1.0), (high, 1.0))
    )
    # As densely on both sides, of which one may be much shorter.
    sides = np.linspace(low, one.estimate, points // 2 + 1), np.linspace(one.estimate, high, points - points // 2 + 1)
    values: FloatArray = np.unique(np.concatenate(sides))
    return values
