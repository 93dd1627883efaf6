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

#: A quantity moves with others if its multiple correlation with them is at least this, and by more standard errors
#: of Fisher's z above 0 than chance makes of the largest of many.
COUPLED, STANDARD_ERRORS = 0.7, 4.0
#: Others are named one by one, up to this number, as long as each explains at least this share of the variance more.
MOST_NAMED, WORTH_NAMING = 3, 0.05
#: Draws that vary by less than this fraction of their size are constant up to rounding errors.
ROUNDING = 1e-10


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
        Standardised within chains, since a few chains that are apart differ in everything; 0 for what is constant or
        not finite.
    """

    quantities: tuple[Quantity, ...]
    values: FloatArray

    @classmethod
    def of(cls, model: ModelSpec, posterior: xr.Dataset, singles: Sequence[tuple[Quantity, FloatArray]]) -> Movements:
        """Of a model's parameters, the means of its cluster effects, and single effects, shape (chains, draws)."""
        found = [*parameter_quantities(model, posterior), *mean_quantities(model, posterior), *singles]
        values = np.stack([_standardised(draws) for _, draws in found], axis=1)
        return cls(tuple(quantity for quantity, _ in found), values)

    def coupling(self, worst: Quantity, ess: float) -> Coupling:
        """What a quantity moves with: the direction in which its draws lie, one other quantity after the other.

        Parameters
        ----------
        worst : Quantity
        ess : float
            Its effective sample size: with few effective draws, quantities seem to move together by chance.
        """
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
        needed = max(COUPLED, np.tanh(STANDARD_ERRORS / np.sqrt(max(ess - 3, 1)))) if np.isfinite(ess) else 1.0
        if share < needed**2:
            return Coupling()
        others = tuple(self.quantities[k] for k in named)
        return Coupling(others, float(correlations[target, named[0]]), float(np.sqrt(share)))


def _standardised(draws: FloatArray) -> FloatArray:
    """Draws of all chains with mean 0 in each and mean square 1; 0 if they are constant or not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        centred = (draws - draws.mean(axis=1, keepdims=True)).ravel()
        size = np.sqrt(np.mean(centred**2))
        moves = size > ROUNDING * np.abs(draws).max()
    return centred / size if moves else np.zeros(centred.size)


def _explained(correlations: FloatArray, target: int, others: list[int]) -> float:
    """Share of the variance of one quantity that is linear in others."""
    known = correlations[others, target]
    return float(known @ np.linalg.lstsq(correlations[np.ix_(others, others)], known, rcond=None)[0])
