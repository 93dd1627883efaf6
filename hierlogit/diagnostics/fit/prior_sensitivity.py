"""Whether results hang on the priors: power-scaling of prior and likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from ...binomial import log_likelihood
from ...density.linear_predictor import Draws, linear_predictor
from ...fits.posterior import parameter_draws
from ...validation import quoted_list
from .measures import CheckResult

if TYPE_CHECKING:
    from ...fits.fit import Fit

FloatArray = npt.NDArray[np.float64]

#: From here on a posterior counts as sensitive (Kallioinen et al. 2024).
SENSITIVE = 0.05
#: Sensitivity of a normal posterior that moves by one standard deviation when a prior counts twice.
OF_ONE_SD = 0.2
STATISTIC = {
    "prior_data_conflict": "largest sensitivity to the prior, where the likelihood tells as well",
    "prior_sensitivity": "largest sensitivity to the prior, without those in conflict",
}


def prior_checks(fit: Fit) -> list[CheckResult]:
    """Conflicts of prior and data, and parameters for which the priors matter.

    A posterior that answers to the powers of both prior and likelihood is between the two. Every informative prior does
    that a little; a conflict is said where the prior would move it by a standard deviation.

    References
    ----------
    Kallioinen, Paananen, Bürkner and Vehtari (2024), Statistics and Computing 34: 57.
    """
    if "log_prior" not in fit.data.children:
        why = "the fit is by maximum likelihood, without priors."
        return [CheckResult.not_made(check, "", statistic, why) for check, statistic in STATISTIC.items()]
    found = sensitivities(fit)
    told = found.to_likelihood >= SENSITIVE
    conflict = told & (found.to_prior >= OF_ONE_SD)
    return [_conflict(found, told), _sensitivity(found, conflict, told)]


def _conflict(found: Sensitivities, told: npt.NDArray[np.bool_]) -> CheckResult:
    values = np.where(told, found.to_prior, 0.0)
    return _judged(
        "prior_data_conflict",
        values,
        OF_ONE_SD,
        f"Prior and data pull apart for {_largest_first(found.names, values, OF_ONE_SD)}",
        "Compare hl.summary(fit) with the model's priors, and widen those that rule out what the data say.",
    )


def _sensitivity(found: Sensitivities, conflict: npt.NDArray[np.bool_], told: npt.NDArray[np.bool_]) -> CheckResult:
    values = np.where(conflict, 0.0, found.to_prior)
    untold = _largest_first(found.names, np.where(told, 0.0, values), SENSITIVE)
    return _judged(
        "prior_sensitivity",
        values,
        SENSITIVE,
        f"The priors matter for {_largest_first(found.names, values, SENSITIVE)}"
        + (f", and the data say next to nothing of {untold}" if untold else ""),
        "Say which priors were used beside these results, and fit again with others, fit.model.with_priors({...}); "
        "hl.summary(fit) shows what changes.",
    )


def _largest_first(names: list[str], values: FloatArray, least: float) -> str:
    return quoted_list([names[k] for k in np.argsort(-values, kind="stable") if values[k] >= least])


def _judged(check: str, values: FloatArray, least: float, evidence: str, remedy: str) -> CheckResult:
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
            f"{evidence}: power-scaling sensitivity up to {largest:.2f}. If the priors counted twice, estimates would "
            f"move by up to about {largest / OF_ONE_SD:.1f} posterior sds"
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
        Change of the posterior with the logarithm of the power, in a distance between distributions.
    """

    names: list[str]
    to_prior: FloatArray
    to_likelihood: FloatArray


def sensitivities(fit: Fit) -> Sensitivities:
    """Sensitivities to the power of all priors together, and of the likelihood, by ArviZ."""
    import arviz_stats

    parameters = parameter_draws(fit.model, fit.posterior)
    moving = parameters.std(("chain", "draw")).to_numpy() > 0  # of what is held at a boundary there is nothing to say
    names = [str(name) for name in parameters["parameter"].to_numpy()[moving]]
    tree = xr.DataTree.from_dict(
        {
            "posterior": parameters.isel(parameter=np.flatnonzero(moving)).drop_vars("component").to_dataset(name="x"),
            "log_prior": fit.data["log_prior"].to_dataset(),
            "log_likelihood": _total_log_likelihood(fit),
        }
    )
    prior, likelihood = (
        np.nan_to_num(arviz_stats.psense(tree, group=group)["x"].to_numpy()) for group in ("prior", "likelihood")
    )
    return Sensitivities(names, prior, likelihood)


def _total_log_likelihood(fit: Fit) -> xr.Dataset:
    """Summed over the rows part by part: all of them at once would be draws times rows numbers."""
    posterior, design = fit.posterior, fit.model.design
    draws, rows, outcome = Draws.of(fit.model, posterior), design.training_rows(), design.outcome
    total = np.empty(len(draws))
    for part, some in draws.chunks(len(rows)):
        total[part] = log_likelihood(outcome.y, outcome.trials, linear_predictor(some, rows)).sum(axis=1)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], 1)
    coords = {"chain": posterior["chain"], "draw": posterior["draw"]}
    return xr.Dataset({"total": (("chain", "draw", "all"), total.reshape(shape))}, coords=coords)
