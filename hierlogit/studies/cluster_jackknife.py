"""The cluster jackknife: the covariance matrix of estimates from the fits without each cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..engines.maximum.refit import Refitter
from ..errors import FitError, StudyError
from ..parallel.tasks import collect_tasks
from ..parallel.workers import AnyExecutor
from ..validation import number_of, quoted_list, shortened

if TYPE_CHECKING:
    from ..estimate import Estimate
    from ..fits.row_clusters import Clusters
    from ..model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ParametersWithoutCluster:
    """Task that repeats the search of a fit without one cluster.

    Attributes
    ----------
    model : Model
    estimate : Estimate
        With all clusters.
    index : ndarray of int, shape (n,)
        Number of each row's cluster.
    """

    model: ModelSpec
    estimate: Estimate
    index: npt.NDArray[np.intp]

    def __call__(self, number: int) -> FloatArray:
        """The parameters without cluster `number`, as a vector.

        Raises
        ------
        FitError
            If the search does not end at a maximum, or an estimate is infinite.
        """
        return Refitter(self.model, self.estimate).without(self.index == number).bounded_maximum().vector


def jackknife(model: ModelSpec, estimate: Estimate, clusters: Clusters, executor: AnyExecutor | None) -> FloatArray:
    """The jackknife covariance matrix of the estimates, shape (m, m).

    With the estimates t, and those without cluster j ``t_j``, it is ``(J - 1) / J sum_j (t_j - t) (t_j - t)'``.
    Rows and columns of parameters without a standard error in the model are as there.

    Parameters
    ----------
    model : Model
    estimate : Estimate
    clusters : Clusters
    executor : concurrent.futures.Executor, distributed.Client or None

    Raises
    ------
    FitError
        If a fit without a cluster has no maximum.
    StudyError
        If the work is interrupted.
    """
    count = len(clusters.labels)
    task = ParametersWithoutCluster(model, estimate, clusters.index)
    done, finished = collect_tasks(task, range(count), executor, "Leaving out clusters")
    if not finished:
        raise StudyError(
            f"interrupted after {len(done.results) + len(done.failures):,} of {number_of(count, 'cluster')}: the "
            "jackknife takes the fits without each of them. hl.robust(fit) needs no other fit."
        )
    if done.failures:
        number, reason = min(done.failures.items())
        failed = [clusters.labels[k] for k in sorted(done.failures)]
        raise FitError(
            f"there are no estimates without {quoted_list(failed)} of {clusters.group}, so that the jackknife is not "
            f"known. Without {shortened(clusters.labels[number])}: {reason} Use hl.MAP(), whose priors keep estimates "
            "finite, or covariance='robust'."
        )
    without = np.array([done.results[number] for number in range(count)])
    return _covariance(without - estimate.vector, estimate.model_covariance)


def _covariance(changes: FloatArray, of_model: FloatArray) -> FloatArray:
    variances = np.diag(of_model)
    # A parameter at a boundary is held there, whatever the searches without a cluster find.
    free = np.flatnonzero(variances > 0)
    found = np.where(np.isnan(of_model), np.nan, 0.0)
    count = len(changes)
    found[np.ix_(free, free)] = (count - 1) / count * changes[:, free].T @ changes[:, free]
    return found
