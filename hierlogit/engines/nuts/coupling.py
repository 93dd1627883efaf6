"""Which quantities move together in the draws of a sampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .quantities import Quantity, mean_quantities, parameter_quantities

if TYPE_CHECKING:
    import xarray as xr

    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: A quantity moves with others if its multiple correlation with them is at least this.
COUPLED = 0.7
#: Others are named one by one, up to this number, as long as each explains at least this share of the variance more.
MOST_NAMED, WORTH_NAMING = 3, 0.05


@dataclass(frozen=True)
class Coupling:
    """Quantities with which one quantity moves.

    Attributes
    ----------
    others : tuple of Quantity
        The most important first; empty if it moves alone.
    correlation : float
        With the first of them.
    together : float
        Multiple correlation with all of them.
    """

    others: tuple[Quantity, ...] = ()
    correlation: float = 0.0
    together: float = 0.0

    def sentence(self, worst: Quantity) -> str:
        """In words; empty if it moves alone."""
        if not self.others:
            return ""
        words = worst.words[:1].upper() + worst.words[1:] if worst.kind == "effect" else worst.words
        first, *others = (other.words for other in self.others)
        sentence = f"{words} moves with {first} (correlation {self.correlation:.2f})"
        return (
            f"{sentence}, and with {' and '.join(others)} ({self.together:.2f} together)." if others else f"{sentence}."
        )


@dataclass(frozen=True)
class Movements:
    """Draws of all quantities of a model that may move together.

    Attributes
    ----------
    quantities : tuple of Quantity
    values : ndarray, shape (draws of all chains, k)
        Standardised; 0 for what is constant or not finite.
    """

    quantities: tuple[Quantity, ...]
    values: FloatArray

    @classmethod
    def of(cls, model: ModelSpec, posterior: xr.Dataset, singles: Sequence[tuple[Quantity, FloatArray]]) -> Movements:
        """Of a model's parameters, the means of its cluster effects, and single effects, shape (chains, draws)."""
        found = [*parameter_quantities(model, posterior), *mean_quantities(model, posterior), *singles]
        values = np.stack([values.ravel() for _, values in found], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):  # of what is constant or not finite
            standard = (values - values.mean(axis=0)) / values.std(axis=0)
        return cls(tuple(quantity for quantity, _ in found), np.nan_to_num(standard, nan=0.0, posinf=0.0, neginf=0.0))

    def coupling(self, worst: Quantity) -> Coupling:
        """What a quantity moves with: the direction in which its draws lie, one other quantity after the other."""
        target = self.quantities.index(worst)
        correlations = self.values.T @ self.values / len(self.values)
        named: list[int] = []
        share = 0.0
        for _ in range(min(MOST_NAMED, len(self.quantities) - 1)):
            left = [k for k in range(len(self.quantities)) if k != target and k not in named]
            shares = [_explained(correlations, target, [*named, k]) for k in left]
            best = int(np.argmax(shares))
            if shares[best] < share + WORTH_NAMING:
                break
            named.append(left[best])
            share = shares[best]
        if share < COUPLED**2:
            return Coupling()
        others = tuple(self.quantities[k] for k in named)
        return Coupling(others, float(correlations[target, named[0]]), float(np.sqrt(share)))


def _explained(correlations: FloatArray, target: int, others: list[int]) -> float:
    """Share of the variance of one quantity that is linear in others."""
    known = correlations[others, target]
    return float(known @ np.linalg.lstsq(correlations[np.ix_(others, others)], known, rcond=None)[0])
