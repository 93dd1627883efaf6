"""Leave-one-out cross-validation of a sampled fit, by row or by cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..density.linear_predictor import Draws
from ..effects.numerics.given_other_rows import GivenOthers
from ..engines.nuts.advice import duration
from ..errors import FitError
from ..fits.arguments import NO_LIKELIHOOD, refuse_pooled, require_unweighted
from ..fits.fit import Fit
from ..fits.psis import psis, relative_efficiency
from ..parallel.tasks import all_results
from ..parallel.workers import check_executor
from ..progress import progress, steps
from ..validation import flag, number_of
from .leave_out import integrated_log_likelihood, same_sampler, sampled_without

if TYPE_CHECKING:
    from arviz_stats.utils import ELPDData

    from ..design.grouping import GroupBlock
    from ..engines.engine import Engine
    from ..model_spec import ModelSpec
    from ..parallel.workers import AnyExecutor

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


def loo(fit: Fit, group: str | None = None, *, refit: bool = True, executor: AnyExecutor | None = None) -> ELPDData:
    """Leave-one-out cross-validation of a sampled fit, by row or by cluster.

    A row that is left out is predicted with the effect of its own cluster, which is estimated from the other rows of
    the cluster. A cluster that is left out is predicted as a new one, with its effects integrated out by quadrature.
    Choose by the purpose of the model: predictions for known clusters, or for new ones. Fits without each unit are
    approximated by smoothed importance weights (PSIS); units whose Pareto k-hat is too large are left out by sampling
    again. Where a row carries much of the information about its cluster, because the cluster has few rows or the row
    many trials, the effects of its cluster are integrated out by quadrature, given the other rows of the cluster.

    Parameters
    ----------
    fit : Fit
        A sampled fit, by `hierlogit.NUTS`.
    group : str, optional
        A grouping factor whose clusters are left out, with the clusters nested in them; rows if not given. Effects of
        other factors are those of the draws if their clusters have other rows.
    refit : bool
        Whether the model is sampled again without each unit whose weights are unreliable; its k-hat is then 0. Each
        takes as long as the fit; the progress bar says before the first one how many there are, and about how long all
        of them take.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes these fits over workers, as for `bootstrap`; each runs its chains as the fit did.

    Returns
    -------
    arviz_stats.ELPDData
        ``elpd``, ``se``, ``p``, and by unit ``elpd_i`` and ``pareto_k``, labelled by cluster or row.
        ``arviz_stats.compare`` takes it. The coordinate ``method`` of ``elpd_i`` says how each unit was left out:
        ``"weights"``, with the effects of the draws; ``"integrated"``, by weights with the effects of its own clusters
        integrated out; or ``"refit"``.

    Raises
    ------
    FitError
        If the fit is a likelihood fit, whose draws are not from a posterior, or has no such grouping factor, or if it
        cannot be sampled again without a unit.
    StudyError
        If the executor cannot run the fits.

    Notes
    -----
    The effects of a row's cluster are integrated out if the row carries a twentieth or more of the information about
    them, or if their posterior variance is half a squared logit or more. Draws of these effects know the outcome of the
    row, and weights would fail, or make the prediction look too good while every k-hat is small. For each draw, the row
    has the probability ``p(y_i | other rows of the cluster)``, the ratio of two integrals. Of two nested factors with
    one effect each, ``(1 | a/b)``, both are integrated out together, over all clusters within an outer one, so that the
    weights depend on coefficients and sds alone. Of crossed factors, this is done for the one in which the row's share
    is largest, and for others in which it is above a fifth. ``p``, the effective number of parameters, includes the
    cluster effects.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), Statistics and Computing 27: 1413-1432.
    Merkle, Furr and Rabe-Hesketh (2019), Psychometrika 84: 802-829, for conditional and marginal likelihoods.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> result = hl.loo(model.fit(hl.NUTS(seed=1, progress=False)), group="ID")
    >>> int(result.n_data_points), round(result.elpd)
    (50, -101)
    """
    require_unweighted(fit, "hl.loo", NO_LIKELIHOOD)
    refuse_pooled(fit, "fit", "Leave-one-out predictions are of the outcomes")
    refit = flag("refit", refit, FitError)
    check_executor(executor)
    if fit.estimate is not None:
        raise FitError(
            "loo is for fits by hl.NUTS(): the draws of a likelihood engine are not from a posterior. Compare such "
            "fits by hl.compare(..., criterion='aic'), or see hl.influence for fits without each cluster."
        )
    units = _by_row(fit) if group is None else _by_cluster(fit, fit.model.design.chosen_groups(group)[0])
    result = _weighted(fit, units, quiet=refit)
    failing = np.flatnonzero(result.pareto_k.to_numpy() > result.good_k)
    if not refit or not len(failing):
        return result
    return _with_refits(fit, units, result, failing, executor, _announcement(fit, len(failing), group))


@dataclass(frozen=True)
class _Units:
    """What is left out, one at a time.

    Attributes
    ----------
    values : DataArray
        Log probability of the outcomes of each unit given those of the others, for each draw; dims (chain, draw, unit).
    index : ndarray of int, shape (n,)
        Unit of each row.
    integrated : ndarray of bool, shape (units,)
        Whether cluster effects are integrated out.
    seen : float
        Sum over the units of the log posterior mean probability of their outcomes.
    """

    values: xr.DataArray
    index: IntArray
    integrated: npt.NDArray[np.bool_]
    seen: float


def _by_row(fit: Fit) -> _Units:
    """Each row given the others of its clusters."""
    model = fit.model
    given, rows = GivenOthers(model, Draws.of(model, fit.posterior)), model.design.n_rows
    in_sample = fit.data["log_likelihood"].to_dataset()[model.outcome_name]
    values, seen = np.empty((len(given.draws), rows)), 0.0
    for at in progress(given.parts(), "Leaving rows out"):
        values[:, at] = given.of(at)[0]
        seen += _log_mean(in_sample.isel(obs=at))
    return _Units(_labelled(fit, values, in_sample["obs"]), np.arange(rows), given.is_integrated, seen)


def _by_cluster(fit: Fit, group: GroupBlock) -> _Units:
    """Each cluster with its effects integrated out."""
    draws = Draws.of(fit.model, fit.posterior)
    values = np.empty((len(draws), len(group.levels)))
    for number in progress(range(len(group.levels)), "Integrating"):
        values[:, number] = integrated_log_likelihood(fit.model, draws, group.index == number)
    dim = fit.model.dim(group)
    by_cluster = _labelled(fit, values, xr.DataArray(group.levels, dims=dim, coords={dim: group.levels}))
    return _Units(by_cluster, group.index, np.ones(len(group.levels), dtype=bool), _log_mean(by_cluster))


def _labelled(fit: Fit, values: FloatArray, labels: xr.DataArray) -> xr.DataArray:
    """Values of each draw and unit, shape (draws, units), with dims (chain, draw, unit)."""
    sizes, (dim,) = fit.posterior.sizes, labels.dims
    return xr.DataArray(
        values.reshape(sizes["chain"], sizes["draw"], -1),
        dims=("chain", "draw", dim),
        coords={"chain": fit.posterior["chain"], "draw": fit.posterior["draw"], dim: labels.to_numpy()},
    )


def _log_mean(values: xr.DataArray) -> float:
    """Logarithms of the means over draws of probabilities given by their logarithms, summed over units."""
    flat = values.transpose("chain", "draw", ...).to_numpy().reshape(values.sizes["chain"] * values.sizes["draw"], -1)
    return float((np.logaddexp.reduce(flat, axis=0) - np.log(len(flat))).sum())


@steps("Smoothing weights")
def _weighted(fit: Fit, units: _Units, *, quiet: bool) -> ELPDData:
    """Leave-one-out by smoothed weights."""
    import arviz_stats

    name = fit.model.outcome_name
    by_unit = units.values.transpose(..., "chain", "draw")
    log_ratios = -by_unit.to_numpy().reshape(len(by_unit), -1)
    log_weights, k_hat = psis(log_ratios, relative_efficiency(fit.posterior))
    tree = xr.DataTree.from_dict({"posterior": fit.posterior, "log_likelihood": by_unit.to_dataset(name=name)})
    pareto_k = by_unit.isel(chain=0, draw=0, drop=True).copy(data=k_hat)
    result: ELPDData = arviz_stats.loo(
        tree,
        var_name=name,
        pointwise=True,
        log_weights=by_unit.copy(data=log_weights.reshape(by_unit.shape)),
        # ArviZ only warns about them; where it need not, the units in question are refitted.
        pareto_k=xr.zeros_like(pareto_k) if quiet else pareto_k,
    )
    method = (by_unit.dims[0], np.where(units.integrated, "integrated", "weights"))
    elpd_i = result.elpd_i.assign_coords(method=method)
    of_units: ELPDData = replace(result, p=units.seen - result.elpd, elpd_i=elpd_i, pareto_k=pareto_k)
    return of_units


@dataclass(frozen=True)
class _WithoutUnit:
    """Task that samples the model again without one unit, and predicts it.

    Attributes
    ----------
    model : ModelSpec
    sampler : Engine
        That of the fit, with its settings and seed.
    index : ndarray of int, shape (n,)
        Number of each row's unit.
    """

    model: ModelSpec
    sampler: Engine
    index: IntArray

    def __call__(self, number: int) -> float:
        """Log predictive density of a unit.

        Raises
        ------
        FitError
            If the chains do not converge.
        """
        rows = self.index == number
        draws = Draws.of(self.model, sampled_without(self.model, self.sampler, rows).posterior)
        if rows.sum() == 1:
            log_p = GivenOthers(self.model, draws).of(np.flatnonzero(rows))[0][:, 0]
        else:
            log_p = integrated_log_likelihood(self.model, draws, rows)
        return float(np.logaddexp.reduce(log_p) - np.log(len(log_p)))


def _announcement(fit: Fit, count: int, group: str | None) -> str:
    """How many times the model is sampled again, and how long that takes by the time of the fit.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")).fit("laplace")
    >>> _announcement(fit, 3, "ID").split(",")[0]
    'Sampling again without 3 clusters of ID one by one'
    """
    seconds = sum(each for stage, each in fit.diagnostics.seconds.items() if stage != "compile")
    units = number_of(count, *((f"cluster of {group}", f"clusters of {group}") if group else ("row",)))
    return f"Sampling again without {units} one by one, about {duration(count * seconds)} in all"


def _with_refits(
    fit: Fit, units: _Units, result: ELPDData, failing: IntArray, executor: AnyExecutor | None, what: str
) -> ELPDData:
    """The result with some units predicted by sampling again without them."""
    elpd_i, pareto_k = result.elpd_i.copy(), result.pareto_k.copy()
    method = elpd_i["method"].to_numpy().astype(object)
    task = _WithoutUnit(fit.model, same_sampler(fit), units.index)
    for number, value in all_results(task, failing.tolist(), executor, what, patience=-1.0).items():
        elpd_i[number] = value
        pareto_k[number], method[number] = 0.0, "refit"
    elpd_i = elpd_i.assign_coords(method=(elpd_i.dims[0], method.astype(str)))
    elpd = float(elpd_i.sum())
    se = float(np.sqrt(len(elpd_i) * elpd_i.to_numpy().var()))
    exact: ELPDData = replace(
        result, elpd=elpd, se=se, p=units.seen - elpd, elpd_i=elpd_i, pareto_k=pareto_k, warning=False
    )
    return exact
