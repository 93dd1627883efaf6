"""The fit of a model of a build-up, and fits of several models at a time by an executor."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..engines.maximum.agq import AGQ
from ..engines.maximum.laplace import Laplace
from ..errors import HierlogitError, HierlogitWarning, unsaid
from ..parallel.tasks import all_results

if TYPE_CHECKING:
    from ..fits.fit import Fit
    from ..model import Model
    from ..parallel.workers import AnyExecutor
    from .plan import Structure


class TimedFit(NamedTuple):
    """A fit, and the seconds that it took.

    Attributes
    ----------
    fit : Fit
    seconds : float
    """

    fit: Fit[Model]
    seconds: float


def fitted(model: Model, engine: Laplace | AGQ) -> Fit[Model]:
    """The fit; by Laplace in place of quadrature without random effects, where there is nothing to integrate."""
    used = engine if model.design.groups else Laplace(draws=engine.draws, seed=engine.seed)
    with unsaid(HierlogitWarning):  # the fit has them as findings
        return used.run(model)


@dataclass(frozen=True)
class _FitOne:
    """Task that fits one of several models.

    Attributes
    ----------
    models : tuple of Model
    engine : Laplace or AGQ
    """

    models: tuple[Model, ...]
    engine: Laplace | AGQ

    def __call__(self, number: int) -> TimedFit | None:
        """The fit of model `number`; None if there is none."""
        begun = time.perf_counter()
        try:
            fit = fitted(self.models[number], self.engine)
        except HierlogitError:
            return None
        return TimedFit(fit, time.perf_counter() - begun)


def fits_ahead(
    models: Mapping[Structure, Model], engine: Laplace | AGQ, executor: AnyExecutor
) -> dict[Structure, TimedFit]:
    """Fits of several models by an executor; without those that have none, for which it is asked again.

    Raises
    ------
    StudyError
        If the executor cannot run the fits.
    KeyboardInterrupt
        After an interruption.
    """
    found = all_results(_FitOne(tuple(models.values()), engine), range(len(models)), executor, None)
    return {one: fit for one, fit in zip(models, found.values(), strict=True) if fit is not None}
