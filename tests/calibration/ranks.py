"""Studies simulated from their priors and fitted with the same priors: where the true values rank among the draws.

Nothing but the fit is the package's own: draws from priors, outcomes, predictors and ranks are NumPy's and SciPy's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import arviz_stats
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy.special import betaln, expit

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.errors import ConvergenceWarning
from hierlogit.fits.fit import Fit

from .studies import DRAWS, STUDIES, FloatArray, Study

#: Draws that a true value is ranked among: ranks go from 0 to this.
L = 100
#: Chains are thinned to L draws; below this effective size these would not be independent, and the fit is made longer.
LEAST_ESS = 400
LONGER = 4
SIMULATIONS = 600

#: How NumPy draws from each family that a study uses.
DRAWERS: dict[type[pr.Prior], Callable[[np.random.Generator, Any], float]] = {
    pr.Normal: lambda rng, prior: rng.normal(prior.mu, prior.sigma),
    pr.StudentT: lambda rng, prior: prior.mu + prior.sigma * rng.standard_t(prior.nu),
    pr.Laplace: lambda rng, prior: rng.laplace(prior.mu, prior.b),
    pr.HalfNormal: lambda rng, prior: abs(rng.normal(0, prior.sigma)),
    pr.HalfStudentT: lambda rng, prior: abs(prior.sigma * rng.standard_t(prior.nu)),
    pr.Exponential: lambda rng, prior: rng.exponential(1 / prior.lam),
    pr.Gamma: lambda rng, prior: rng.gamma(prior.alpha, 1 / prior.beta),
    pr.LogNormal: lambda rng, prior: rng.lognormal(prior.mu, prior.sigma),
    # Of two effects: (1 - rho^2)^(eta - 1) is a beta density on (-1, 1).
    pr.LKJ: lambda rng, prior: 2 * rng.beta(prior.eta, prior.eta) - 1,
}


@dataclass(frozen=True)
class Values:
    """Parameters and cluster effects: one value of each, or draws on the leading axes.

    Attributes
    ----------
    beta : ndarray, shape (..., p)
    sd, effects : mapping of str to ndarray, shapes (..., q) and (..., J, q)
        By grouping factor.
    cor : mapping of str to ndarray, shape (...)
        By grouping factor with two effects.
    phi : ndarray, shape (...), or None
        Of beta-binomial outcomes.
    """

    beta: FloatArray
    sd: Mapping[str, FloatArray]
    cor: Mapping[str, FloatArray]
    effects: Mapping[str, FloatArray]
    phi: FloatArray | None = None


def drawn_from_prior(study: Study, rng: np.random.Generator) -> Values:
    """Parameters and cluster effects."""
    value = {label: DRAWERS[type(prior)](rng, prior) for label, prior in study.priors.items()}
    slopes = np.array([value[label] for label in study.fixed])
    means = np.array([column.mean() for column in study.fixed.values()])
    beta = np.concatenate([[value["Intercept"] - means @ slopes], slopes])
    sds, cors, effects = {}, {}, {}
    for group, columns in study.effects.items():
        sd = np.array([value[f"sd_{group}[{label}]"] for label in columns])
        covariance = np.diag(sd**2)
        if len(columns) == 2:
            cors[group] = np.array(value[f"cor_{group}"])
            covariance[0, 1] = covariance[1, 0] = cors[group] * sd[0] * sd[1]
        sds[group] = sd
        levels = study.rows[group].nunique()
        effects[group] = rng.normal(size=(levels, len(sd))) @ np.linalg.cholesky(covariance).T
    return Values(beta, sds, cors, effects, np.array(value["phi"]) if "phi" in value else None)


def linear_predictor(study: Study, values: Values) -> FloatArray:
    """Linear predictor of each row, shape (..., n)."""
    X = np.column_stack([np.ones(len(study.rows)), *study.fixed.values()])
    eta = values.beta @ X.T
    for group, columns in study.effects.items():
        index = np.unique(study.rows[group], return_inverse=True)[1]
        for k, column in enumerate(columns.values()):
            eta = eta + values.effects[group][..., index, k] * column
    return eta


def quantities(study: Study, values: Values, y: npt.NDArray[Any]) -> dict[str, FloatArray]:
    """What is ranked, by label: parameters, effects of the clusters with fewest and most rows, the log-likelihood."""
    found = {label: values.beta[..., j] for j, label in enumerate(["Intercept", *study.fixed])}
    for group, columns in study.effects.items():
        for k, label in enumerate(columns):
            found[f"sd_{group}[{label}]"] = values.sd[group][..., k]
        if group in values.cor:
            found[f"cor_{group}"] = values.cor[group]
        sizes = np.unique(study.rows[group], return_counts=True)[1]
        for size, j in (("small", sizes.argmin()), ("large", sizes.argmax())):
            for k, label in enumerate(columns):
                found[f"b_{group}[{size}, {label}]"] = values.effects[group][..., j, k]
    eta = linear_predictor(study, values)
    # The binomial coefficients are the same for all draws.
    if values.phi is None:
        found["log-likelihood"] = (y * eta - study.trials * np.logaddexp(0, eta)).sum(axis=-1)
    else:
        found["phi"], phi = values.phi, values.phi[..., None]
        a, b = phi * expit(eta), phi * expit(-eta)
        found["log-likelihood"] = (betaln(a + y, b + study.trials - y) - betaln(a, b)).sum(axis=-1)
    return found


def outcomes(study: Study, values: Values, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Simulated successes of each row."""
    p = expit(linear_predictor(study, values))
    if values.phi is not None:
        p = rng.beta(values.phi * p, values.phi * (1 - p))
    y: npt.NDArray[np.int64] = rng.binomial(study.trials, p)
    return y


def posterior_values(study: Study, fit: Fit) -> Values:
    """Draws of a fit, chains and draws on the first two axes."""
    posterior = {name: values.transpose("chain", "draw", ...) for name, values in fit.posterior.items()}
    assert list(posterior["beta"]["fixed_effect"].values) == ["Intercept", *study.fixed]
    for group, columns in study.effects.items():
        assert list(posterior[f"b_{group}"][group].values) == list(np.unique(study.rows[group]))
        assert list(posterior[f"b_{group}"][f"{group}_effect"].values) == list(columns)
    return Values(
        posterior["beta"].to_numpy(),
        {group: posterior[f"sd_{group}"].to_numpy() for group in study.effects},
        {
            group: posterior[f"cor_{group}"].to_numpy()[..., 0, 1]
            for group in study.effects
            if len(study.effects[group]) > 1
        },
        {group: posterior[f"b_{group}"].to_numpy() for group in study.effects},
        posterior["phi"].to_numpy() if "phi" in posterior else None,
    )


def simulated(study: Study, seed: tuple[int, ...], fit_priors: Mapping[str, pr.Prior] | None = None) -> dict[str, Any]:
    """One simulation and its fit: the rank of each quantity's true value, and how the fit went.

    Parameters
    ----------
    study : Study
    seed : tuple of int
        Of parameters, outcomes and sampler.
    fit_priors : mapping of str to Prior, optional
        Priors that the fit has in place of the study's own, to see that it is noticed.
    """
    rng = np.random.default_rng(seed)
    truth = drawn_from_prior(study, rng)
    y = outcomes(study, truth, rng)
    model = hl.Model(
        study.formula,
        study.rows.assign(**{study.outcome: y}),
        priors={**study.priors, **(fit_priors or {})},
        family=study.family,
    )
    sampler_seed = int(rng.integers(2**32))
    true = quantities(study, truth, y)
    for longer in (1, LONGER):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # counted below, and nothing is left out for it
            fit = model.fit(study.engine(DRAWS * longer, sampler_seed))
        drawn = quantities(study, posterior_values(study, fit), y)
        ess = least_ess(drawn)
        if ess >= LEAST_ESS:
            break
    step = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"] // L
    ranks = {label: int((values[:, step - 1 :: step] < true[label]).sum()) for label, values in drawn.items()}
    measures = fit.diagnostics.measures
    return {
        **ranks,
        "engine": fit.diagnostics.engine,
        "divergences": int(measures.get("divergences", 0)),
        "max_rhat": round(measures.get("max_rhat", np.nan), 4),
        "min_ess": int(ess),
        "again": int(longer > 1),
    }


def least_ess(drawn: Mapping[str, FloatArray]) -> float:
    """The smallest effective sample size, of the bulk, among the quantities."""
    table = xr.Dataset({str(k): (("chain", "draw"), values) for k, values in enumerate(drawn.values())})
    sizes = arviz_stats.ess(table, method="bulk")
    return float(min(sizes[name].item() for name in sizes.data_vars))


def ranks_of(name: str, simulations: int, fit_priors: Mapping[str, pr.Prior] | None = None) -> pd.DataFrame:
    """Simulate and fit a study again and again; one row for each simulation."""
    study, number = STUDIES[name](), list(STUDIES).index(name)
    results = [simulated(study, (number, k), fit_priors) for k in range(simulations)]
    return pd.DataFrame(results, index=pd.RangeIndex(simulations, name="simulation"))


def labels(study: Study) -> list[str]:
    """Of everything that is ranked."""
    some = drawn_from_prior(study, np.random.default_rng(0))
    return list(quantities(study, some, np.zeros(len(study.rows))))
