"""Leave-one-out cross-validation of a sampled fit, by row or by cluster."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..density.linear_predictor import Draws
from ..errors import FitError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..fits.psis import psis, relative_efficiency
from ..progress import progress
from ..validation import flag
from .leave_out import integrated_log_likelihood, sampled_again

if TYPE_CHECKING:
    from arviz_stats.utils import ELPDData

    from ..design.grouping import GroupBlock

IntArray = npt.NDArray[np.intp]


def loo(fit: Fit, group: str | None = None, *, refit: bool = True) -> ELPDData:
    """Leave-one-out cross-validation of a sampled fit, by row or by cluster.

    A row that is left out is predicted with the effect of its own cluster, which is estimated from the other rows of
    the cluster. A cluster that is left out is predicted as a new one, with its effects integrated out by quadrature.
    Choose by the purpose of the model: predictions for known clusters, or for new ones. Fits without each unit are
    approximated by smoothed importance weights (PSIS); units whose Pareto k-hat is too large are left out by sampling
    again.

    Parameters
    ----------
    fit : Fit
        A sampled fit, by `hierlogit.NUTS`.
    group : str, optional
        A grouping factor whose clusters are left out, with the clusters nested in them; rows if not given. Effects of
        other factors are those of the draws if their clusters have other rows.
    refit : bool
        Whether the model is sampled again without each unit whose weights are unreliable; its k-hat is then 0. Each
        takes as long as the fit.

    Returns
    -------
    arviz_stats.ELPDData
        ``elpd``, ``se``, ``p``, and by unit ``elpd_i`` and ``pareto_k``, labelled by cluster or row.
        ``arviz_stats.compare`` takes it.

    Raises
    ------
    FitError
        If the fit is a likelihood fit, whose draws are not from a posterior, or has no such grouping factor.

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
    require_fit(fit)
    refit = flag("refit", refit, FitError)
    if fit.estimate is not None:
        raise FitError(
            "loo is for fits by hl.NUTS(): the draws of a likelihood engine are not from a posterior. Compare such "
            "fits by hl.compare(..., criterion='aic'), or see hl.influence for fits without each cluster."
        )
    name = fit.model.outcome_name
    if group is None:
        values, index = fit.data["log_likelihood"].to_dataset()[name], np.arange(fit.model.design.n_rows)
    else:
        factor = fit.model.design.chosen_groups(group)[0]
        values, index = _by_cluster(fit, factor), factor.index
    result = _weighted(fit, values, quiet=refit)
    failing = np.flatnonzero(result.pareto_k.to_numpy() > result.good_k)
    return _with_refits(fit, index, result, values, failing) if refit and len(failing) else result


def _weighted(fit: Fit, values: xr.DataArray, *, quiet: bool) -> ELPDData:
    """Leave-one-out by smoothed weights, of log-likelihoods with dims (chain, draw, unit)."""
    import arviz_stats

    name = fit.model.outcome_name
    by_unit = values.transpose(..., "chain", "draw").compute()
    log_ratios = -by_unit.to_numpy().reshape(len(by_unit), -1)
    log_weights, k_hat = psis(log_ratios, relative_efficiency(fit.posterior))
    tree = xr.DataTree.from_dict({"posterior": fit.posterior, "log_likelihood": by_unit.to_dataset(name=name)})
    with warnings.catch_warnings():
        if quiet:  # the units that it warns about are refitted
            warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto distribution", UserWarning)
        result: ELPDData = arviz_stats.loo(
            tree,
            var_name=name,
            pointwise=True,
            log_weights=by_unit.copy(data=log_weights.reshape(by_unit.shape)),
            pareto_k=by_unit.isel(chain=0, draw=0, drop=True).copy(data=k_hat),
        )
    return result


def _by_cluster(fit: Fit, group: GroupBlock) -> xr.DataArray:
    """Log-likelihood of each cluster and draw with its effects integrated out, dims (chain, draw, cluster)."""
    draws = Draws.of(fit.model, fit.posterior)
    values = np.empty((len(draws), len(group.levels)))
    for number in progress(range(len(group.levels)), "Integrating"):
        values[:, number] = integrated_log_likelihood(fit.model, draws, group.index == number)
    sizes, dim = fit.posterior.sizes, fit.model.dim(group)
    return xr.DataArray(
        values.reshape(sizes["chain"], sizes["draw"], -1),
        dims=("chain", "draw", dim),
        coords={"chain": fit.posterior["chain"], "draw": fit.posterior["draw"], dim: group.levels},
    )


def _with_refits(fit: Fit, index: IntArray, result: ELPDData, values: xr.DataArray, failing: IntArray) -> ELPDData:
    """The result with some units predicted by sampling again without them; `index` is the unit of each row."""
    elpd_i, pareto_k = result.elpd_i.copy(), result.pareto_k.copy()
    for number in progress(failing.tolist(), "Sampling without a unit"):
        rows = index == number
        again = sampled_again(fit, rows)
        log_p = integrated_log_likelihood(fit.model, Draws.of(fit.model, again.posterior), rows)
        elpd_i[number] = np.logaddexp.reduce(log_p) - np.log(len(log_p))
        pareto_k[number] = 0.0
    flat = values.transpose("chain", "draw", ...).to_numpy().reshape(-1, len(elpd_i))
    lppd = float((np.logaddexp.reduce(flat, axis=0) - np.log(len(flat))).sum())
    elpd = float(elpd_i.sum())
    se = float(np.sqrt(len(elpd_i) * elpd_i.to_numpy().var()))
    exact: ELPDData = replace(result, elpd=elpd, se=se, p=lppd - elpd, elpd_i=elpd_i, pareto_k=pareto_k, warning=False)
    return exact
