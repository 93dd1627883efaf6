"""Sensitivity of the results to the priors: power-scaling of prior and likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from ...density.linear_predictor import Draws, linear_predictor
from ...density.outcome_likelihood import total_log_likelihood
from ...fits.posterior import parameter_draws
from ...validation import quoted_list
from .measures import CheckResult

if TYPE_CHECKING:
    from ...fits.fit import Fit

FloatArray = npt.NDArray[np.float64]

#: A posterior counts as sensitive from this value on (Kallioinen et al. 2024).
SENSITIVE = 0.05
#: Sensitivity of a normal posterior that moves by one standard deviation when a prior counts twice.
OF_ONE_SD = 0.2
STATISTIC = {
    "prior_data_conflict": "largest sensitivity to the prior of a parameter sensitive to the likelihood",
    "prior_sensitivity": "largest sensitivity to the prior of the other parameters",
}


def prior_checks(fit: Fit) -> list[CheckResult]:
    """Checks for prior-data conflict and for sensitivity to the priors.

    A posterior that is sensitive to both prior and likelihood is a compromise between them. With an informative prior
    every posterior is, to some degree; it counts as a conflict if the prior moves it by a standard deviation.

    References
    ----------
    Kallioinen, Paananen, Bürkner and Vehtari (2024), Statistics and Computing 34: 57.
    """
    if "log_prior" not in fit.data.children:
        why = "the fit is by maximum likelihood, without priors."
        return [CheckResult.not_made(check, "", statistic, why) for check, statistic in STATISTIC.items()]
    try:
        by_parameter = sensitivities(fit)
    except ValueError:
        why = "the draws hardly differ in their prior density or likelihood, as if all parameters were at a boundary."
        return [CheckResult.not_made(check, "", statistic, why) for check, statistic in STATISTIC.items()]
    informed = by_parameter.to_likelihood >= SENSITIVE
    conflict = informed & (by_parameter.to_prior >= OF_ONE_SD)
    return [_conflict(by_parameter, informed), _sensitivity(by_parameter, conflict, informed)]


def _conflict(by_parameter: Sensitivities, informed: npt.NDArray[np.bool_]) -> CheckResult:
    values = np.where(informed, by_parameter.to_prior, 0.0)
    return _sensitivity_result(
        "prior_data_conflict",
        values,
        OF_ONE_SD,
        f"Priors and data disagree about {quoted_list(_largest_first(by_parameter.names, values, OF_ONE_SD))}",
        "Compare hl.summary(fit) with the model's priors, and widen those that rule out what the data support.",
    )


def _sensitivity(
    by_parameter: Sensitivities, conflict: npt.NDArray[np.bool_], informed: npt.NDArray[np.bool_]
) -> CheckResult:
    values = np.where(conflict, 0.0, by_parameter.to_prior)
    uninformed = _largest_first(by_parameter.names, np.where(informed, 0.0, values), SENSITIVE)
    return _sensitivity_result(
        "prior_sensitivity",
        values,
        SENSITIVE,
        f"The priors matter for {quoted_list(_largest_first(by_parameter.names, values, SENSITIVE))}"
        + (f", and the data carry almost no information about {quoted_list(uninformed)}" if uninformed else ""),
        "Report the priors with these results, and fit again with others, fit.model.with_priors({...}); "
        "hl.summary(fit) shows what changes.",
    )


def _largest_first(names: list[str], values: FloatArray, least: float) -> list[str]:
    return [names[k] for k in np.argsort(-values, kind="stable") if values[k] >= least]


def _sensitivity_result(check: str, values: FloatArray, least: float, evidence: str, remedy: str) -> CheckResult:
    largest = float(values.max(initial=0.0))
    return CheckResult(
        check=check,
        about="",
        statistic=STATISTIC[check],
        value=largest,
        expected=np.nan,
        p_value=np.nan,
        beyond=largest >= least,
        evidence=(
            f"{evidence}: the power-scaling sensitivity is up to {largest:.2f}. If the priors counted twice, estimates "
            f"would move by up to about {largest / OF_ONE_SD:.1f} posterior sds"
        ),
        remedy=remedy,
    )


@dataclass(frozen=True)
class Sensitivities:
    """Sensitivity of each parameter that varies.

    Attributes
    ----------
    names : list of str
    to_prior, to_likelihood : ndarray
        Change of the posterior, as a distance between distributions, with the logarithm of the power.
    """

    names: list[str]
    to_prior: FloatArray
    to_likelihood: FloatArray


def sensitivities(fit: Fit) -> Sensitivities:
    """Sensitivities to the power of all priors together and to that of the likelihood, by ArviZ.

    Raises
    ------
    ValueError
        If no parameter varies, or the largest or smallest densities of the draws are all the same.
    """
    from ...arviz_statistics import arviz_stats

    parameters = parameter_draws(fit.model, fit.posterior)
    varying = parameters.std(("chain", "draw")).to_numpy() > 0  # not those held at a boundary
    if not varying.any():
        raise ValueError("no parameter varies")
    names = [str(name) for name in parameters["parameter"].to_numpy()[varying]]
    tree = xr.DataTree.from_dict(
        {
            "posterior": parameters.isel(parameter=np.flatnonzero(varying)).drop_vars("component").to_dataset(name="x"),
            "log_prior": fit.data["log_prior"].to_dataset(),
            "log_likelihood": _total_log_likelihood(fit),
        }
    )
    prior, likelihood = (
        np.nan_to_num(arviz_stats.psense(tree, group=group)["x"].to_numpy()) for group in ("prior", "likelihood")
    )
    return Sensitivities(names, prior, likelihood)


def _total_log_likelihood(fit: Fit) -> xr.Dataset:
    """Log-likelihood of each draw, summed over the rows in chunks, so that a matrix of draws by rows is never held."""
    posterior, design = fit.posterior, fit.model.design
    draws, rows, outcome = Draws.of(fit.model, posterior), design.training_rows(), design.outcome
    total = np.empty(len(draws))
    for part, some in draws.chunks(len(rows)):
        total[part] = total_log_likelihood(outcome.y, outcome.trials, linear_predictor(some, rows), some.phi)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], 1)
    coords = {"chain": posterior["chain"], "draw": posterior["draw"]}
    return xr.Dataset({"total": (("chain", "draw", "all"), total.reshape(shape))}, coords=coords)
