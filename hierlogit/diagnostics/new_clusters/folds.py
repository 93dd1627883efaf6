"""Folds of clusters: which clusters are left out together, and which never."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import PredictionError
from ...fits.row_clusters import Clusters
from ...validation import number_of, whole_number

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Number of a cluster that is in no fold, because it is never left out.
KEPT = -1


@dataclass(frozen=True)
class Folds:
    """Clusters divided into folds, which are left out in turn.

    Attributes
    ----------
    clusters : Clusters
    number : ndarray of int, shape (J,)
        Fold of each cluster, `KEPT` for those that are never left out.
    count : int
        Number of folds.
    """

    clusters: Clusters
    number: IntArray
    count: int

    @classmethod
    def of(
        cls,
        clusters: Clusters,
        y: FloatArray,
        trials: FloatArray,
        *,
        folds: int | None = None,
        least_events: int = 0,
        seed: int = 0,
    ) -> Folds:
        """Each cluster as a fold of its own, or a number of folds with nearly equal numbers of clusters.

        Parameters
        ----------
        clusters : Clusters
        y, trials : ndarray, shape (n,)
            Successes and trials of the rows.
        folds : int, optional
        least_events : int
            Clusters with fewer events or fewer non-events are never left out.
        seed : int
            Clusters are assigned to folds at random.

        Raises
        ------
        PredictionError
            If there are too few clusters.
        """
        least_events = whole_number("least_events", least_events, PredictionError, least=0)
        size = len(clusters.labels)
        events, others = (np.bincount(clusters.index, weights=one, minlength=size) for one in (y, trials - y))
        chosen = np.flatnonzero((events >= least_events) & (others >= least_events))
        if not len(chosen):
            raise PredictionError(
                f"least_events={least_events:,}: none of {number_of(size, 'cluster')} of {clusters.group} has as many "
                f"events and non-events; give at most {np.minimum(events, others).max():,.0f}."
            )
        number = np.full(size, KEPT, dtype=np.intp)
        if folds is None:
            number[chosen] = np.arange(len(chosen))
            return cls(clusters, number, len(chosen))
        folds = whole_number("folds", folds, PredictionError, least=2)
        if folds > len(chosen):
            raise PredictionError(
                f"folds={folds:,}: there are only {number_of(len(chosen), 'cluster')} to divide into folds; give at "
                f"most {len(chosen):,}, or leave folds= out to leave out each cluster by itself."
            )
        number[np.random.default_rng(seed).permutation(chosen)] = np.arange(len(chosen)) % folds
        return cls(clusters, number, folds)

    @property
    def of_rows(self) -> IntArray:
        """Fold of each row, shape (n,)."""
        return self.number[self.clusters.index]

    def described(self, number: int) -> str:
        """A fold in a message: its cluster, or its number."""
        members = self.clusters.labels[self.number == number]
        return str(members[0]) if len(members) == 1 else f"fold {number + 1}"
