"""Convergence measures of the parameters of sampled fits; of pooled fits, those within the imputations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..fits.pooled_fit import imputations_of
from ..fits.posterior import parameter_draws
from ..fits.rank_normalised import bulk_ess, rhat

if TYPE_CHECKING:
    import xarray as xr

    from ..fits.fit import Fit
    from ..model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]


def convergence_columns(fit: Fit) -> dict[str, FloatArray]:
    """R-hat, effective sample sizes and Monte Carlo errors of each parameter, by the names of their columns.

    Chains of different imputations have different posteriors, and so differ however long they are. Of a pooled fit,
    R-hat is therefore the largest within an imputation, effective sizes are sums, and the errors of the mean and sd of
    all draws follow from those of each imputation.
    """
    members = [_with_moments(one.model, one.posterior) for one in imputations_of(fit)]
    return _combined(members) if len(members) > 1 else members[0][0]


def convergence_of_draws(model: ModelSpec, posterior: xr.Dataset) -> dict[str, FloatArray]:
    """R-hat, effective sample sizes and Monte Carlo errors of each parameter, by the names of their columns."""
    return _with_moments(model, posterior)[0]


def _with_moments(model: ModelSpec, posterior: xr.Dataset) -> tuple[dict[str, FloatArray], FloatArray]:
    """The measures of a posterior, and the means and sds of its draws, shape (2, parameters)."""
    from ..arviz_statistics import arviz_stats

    values = parameter_draws(model, posterior)
    dataset = values.to_dataset(name="value")
    columns: dict[str, FloatArray] = {}
    if dataset.sizes["chain"] > 1:
        columns["r_hat"] = rhat(values)
    columns["ess_bulk"] = bulk_ess(values)
    columns["ess_tail"] = arviz_stats.ess(dataset, method="tail")["value"].to_numpy()
    columns["mcse_mean"] = arviz_stats.mcse(dataset, method="mean")["value"].to_numpy()
    columns["mcse_sd"] = arviz_stats.mcse(dataset, method="sd")["value"].to_numpy()
    draws = dataset["value"].to_numpy().reshape(-1, dataset.sizes["parameter"])
    return columns, np.array([draws.mean(axis=0), draws.std(axis=0)])


def _combined(members: Sequence[tuple[dict[str, FloatArray], FloatArray]]) -> dict[str, FloatArray]:
    """The measures of all draws together, of which each imputation has the same number."""
    m = len(members)
    measures = {name: np.array([columns[name] for columns, _ in members]) for name in members[0][0]}
    means, sds = np.swapaxes([moments for _, moments in members], 0, 1)
    apart = means - means.mean(axis=0)
    sd = np.sqrt((sds**2 + apart**2).mean(axis=0))
    # The sd of all draws changes with the mean of an imputation by apart / (m sd), with its sd by its sd / (m sd).
    of_sd = np.sqrt((((apart * measures["mcse_mean"]) ** 2) + (sds * measures["mcse_sd"]) ** 2).sum(axis=0))
    columns = {"r_hat": measures["r_hat"].max(axis=0)} if "r_hat" in measures else {}
    return columns | {
        "ess_bulk": measures["ess_bulk"].sum(axis=0),
        "ess_tail": measures["ess_tail"].sum(axis=0),
        "mcse_mean": np.sqrt((measures["mcse_mean"] ** 2).sum(axis=0)) / m,
        "mcse_sd": np.divide(of_sd, m * sd, out=np.zeros_like(sd), where=sd > 0),
    }
