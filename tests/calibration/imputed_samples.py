"""Simulated studies with values missing completely at random and at random, imputed in two ways and pooled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

import hierlogit as hl

FloatArray = npt.NDArray[np.float64]

CLUSTERS, SIZE, IMPUTATIONS = 50, 12, 5
FORMULA = "y ~ x + z + (1 | g)"
TRUTH = {"Intercept": -0.5, "x": 0.8, "z": 0.5, "sd_g[Intercept]": 0.7}
#: Label of the average difference in probability for one more unit of x.
EFFECT = "average difference for x"
MECHANISMS = ("mcar", "mar")
#: Steps of a Gibbs sampler before the first imputation and between two.
BURN_IN, APART = 50, 10
#: Exponential variables of which a Pólya-Gamma variable is made; the rest is replaced by its mean.
TERMS = 60


def complete_rows(random: np.random.Generator) -> pd.DataFrame:
    """Rows in which x differs between clusters, is related to z, and increases the probability of y."""
    g = np.repeat(np.arange(CLUSTERS), SIZE)
    z = random.binomial(1, 0.5, len(g)).astype(float)
    x = 0.6 * z + random.normal(0, 0.6, CLUSTERS)[g] + random.normal(0, 0.8, len(g))
    effects = random.normal(0, TRUTH["sd_g[Intercept]"], CLUSTERS)
    eta = TRUTH["Intercept"] + TRUTH["x"] * x + TRUTH["z"] * z + effects[g]
    y = (random.uniform(size=len(g)) < expit(eta)).astype(float)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g})


def is_missing(frame: pd.DataFrame, mechanism: str, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """The rows without x: a share of 0.3, or more of them where y = 1 and z = 1."""
    logit = np.log(3 / 7) if mechanism == "mcar" else -2.2 + 1.6 * frame["y"] + 1.0 * frame["z"]
    gone: npt.NDArray[np.bool_] = random.uniform(size=len(frame)) < expit(np.asarray(logit))
    return gone


class RegressionDraw(NamedTuple):
    """Coefficients and cluster effects of a mixed model, drawn together, and the sd of the effects drawn after them."""

    coefficients: FloatArray
    effects: FloatArray
    sd: float


def drawn_regression(
    X: FloatArray,
    g: npt.NDArray[np.int64],
    weighted: FloatArray,
    weight: FloatArray,
    sd: float,
    random: np.random.Generator,
) -> RegressionDraw:
    """A draw given normal outcomes with known precisions, flat priors of the coefficients and of the sd.

    Parameters
    ----------
    X : ndarray, shape (n, p)
    g : ndarray, shape (n,)
        Cluster of each row.
    weighted, weight : ndarray, shape (n,)
        Outcomes times their precisions, and the precisions.
    sd : float
        Of the cluster effects.
    random : Generator
    """
    p = X.shape[1]
    design = np.concatenate([X, np.eye(CLUSTERS)[g]], axis=1)
    precision = design.T @ (weight[:, None] * design) + np.diag([0.0] * p + [sd**-2] * CLUSTERS)
    factor = np.linalg.cholesky(precision)
    mean = np.linalg.solve(precision, design.T @ weighted)
    both = mean + np.linalg.solve(factor.T, random.normal(size=len(mean)))
    effects = both[p:]
    return RegressionDraw(both[:p], effects, float(np.sqrt((effects**2).sum() / random.chisquare(CLUSTERS - 1))))


class Covariate:
    """The linear mixed model of x, whose residual variance has a flat prior on the log scale."""

    def __init__(self, X: FloatArray, g: npt.NDArray[np.int64]) -> None:
        self.X, self.g = X, g
        self.variance, self.sd = 1.0, 0.5

    def draw(self, x: FloatArray, random: np.random.Generator) -> FloatArray:
        """Mean of x in each row, from new draws of all parameters."""
        precision = np.full(len(x), 1 / self.variance)
        coefficients, effects, self.sd = drawn_regression(self.X, self.g, x / self.variance, precision, self.sd, random)
        mean: FloatArray = self.X @ coefficients + effects[self.g]
        self.variance = float(((x - mean) ** 2).sum() / random.chisquare(len(x)))
        return mean


def polya_gamma(c: FloatArray, random: np.random.Generator) -> FloatArray:
    """Pólya-Gamma variables PG(1, c) (Polson, Scott and Windle 2013, Journal of the American Statistical Association).

    The sum of exponential variables of their equation 1, cut after `TERMS`, with the mean of what is left out.
    """
    scales = 0.5 / ((np.pi * (np.arange(TERMS) + 0.5)) ** 2 + 0.25 * c[:, None] ** 2)
    half = 0.5 * np.maximum(np.abs(c), 1e-6)
    left_out = np.tanh(half) / (4 * half) - scales.sum(axis=1)
    drawn: FloatArray = (scales * random.exponential(size=scales.shape)).sum(axis=1) + left_out
    return drawn


def by_linear_mixed_model(frame: pd.DataFrame, random: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Tables with x drawn from a linear mixed model given y, z and the cluster, as mice's 2l.pan."""
    y, z, g = frame["y"].to_numpy(), frame["z"].to_numpy(), frame["g"].to_numpy()
    gone, x = frame["x"].isna().to_numpy(), frame["x"].fillna(frame["x"].mean()).to_numpy(copy=True)
    model = Covariate(np.column_stack([np.ones(len(y)), y, z, y * z]), g)
    for step in range(BURN_IN + APART * IMPUTATIONS):
        mean = model.draw(x, random)
        x[gone] = (mean + random.normal(0, np.sqrt(model.variance), len(x)))[gone]
        if step >= BURN_IN and step % APART == APART - 1:
            yield frame.assign(x=x.copy())


def by_the_models_of_the_study(frame: pd.DataFrame, random: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Tables with x drawn from its distribution under the models by which the rows were simulated.

    These are the logistic mixed model that is fitted afterwards, and a linear mixed model of x given z, so that the
    imputation is congenial. Pólya-Gamma variables make the logistic model a normal one in x and in all coefficients.
    """
    y, z, g = frame["y"].to_numpy(), frame["z"].to_numpy(), frame["g"].to_numpy()
    gone, x = frame["x"].isna().to_numpy(), frame["x"].fillna(frame["x"].mean()).to_numpy(copy=True)
    ones = np.ones(len(y))
    covariate, kappa, eta, sd = Covariate(np.column_stack([ones, z]), g), y - 0.5, np.zeros(len(y)), 0.5
    for step in range(BURN_IN + APART * IMPUTATIONS):
        omega = polya_gamma(eta, random)
        beta, effects, sd = drawn_regression(np.column_stack([ones, x, z]), g, kappa, omega, sd, random)
        mean, rest = covariate.draw(x, random), beta[0] + beta[2] * z + effects[g]
        precision = 1 / covariate.variance + beta[1] ** 2 * omega
        centre = (mean / covariate.variance + beta[1] * (kappa - omega * rest)) / precision
        x[gone] = (centre + random.normal(size=len(x)) / np.sqrt(precision))[gone]
        eta = rest + beta[1] * x
        if step >= BURN_IN and step % APART == APART - 1:
            yield frame.assign(x=x.copy())


#: Ways of imputing x, by what the table of the study calls them.
METHODS: dict[str, Callable[[pd.DataFrame, np.random.Generator], Iterator[pd.DataFrame]]] = {
    "linear": by_linear_mixed_model,
    "congenial": by_the_models_of_the_study,
}


def true_effect(frame: pd.DataFrame) -> float:
    """The average difference in probability for one more unit of x, at these rows, over the clusters."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    eta = TRUTH["Intercept"] + TRUTH["x"] * frame["x"] + TRUTH["z"] * frame["z"]

    def probability(more: float) -> FloatArray:
        values: FloatArray = expit(eta.to_numpy()[:, None] + more + TRUTH["sd_g[Intercept]"] * nodes)
        return np.asarray(values @ weights / weights.sum())

    return float((probability(TRUTH["x"]) - probability(0.0)).mean())


class Study(NamedTuple):
    """One simulated study: the rows before values were deleted, those deleted from, and the fits of imputed tables."""

    whole: pd.DataFrame
    gone: npt.NDArray[np.bool_]
    pooled: hl.results.Fit


def simulated(mechanism: str, method: str, number: int) -> Study:
    """A study with values missing by a mechanism, imputed by a method; the rows are the same for all of these."""
    whole = complete_rows(np.random.default_rng([17, number]))
    random = np.random.default_rng([18, number, MECHANISMS.index(mechanism), list(METHODS).index(method)])
    gone = is_missing(whole, mechanism, random)
    tables = METHODS[method](whole.assign(x=whole["x"].mask(gone)), random)
    return Study(whole, gone, hl.fit_imputed(FORMULA, list(tables), hl.Laplace(draws=100, seed=number)))


def estimates_of(study: Study) -> pd.DataFrame:
    """Errors of estimates, and whether 95 % intervals contain the truth, by fit and parameter.

    The fits are the pooled one, that of the complete rows and that of the whole rows.
    """
    rows = {"complete rows": study.whole[~study.gone], "whole": study.whole}
    fits = {name: hl.Model(FORMULA, one).fit(hl.Laplace(draws=100)) for name, one in rows.items()}
    tables = {
        name: pd.DataFrame(hl.summary(fit, ci_prob=0.95)) for name, fit in {"pooled": study.pooled, **fits}.items()
    }
    table, truth = pd.concat(tables, names=["fit", "parameter"]), pd.Series(TRUTH).rename_axis("parameter")
    low, error = table["wald95_lb"].lt(truth, level="parameter"), table["estimate"].sub(truth, level="parameter")
    return pd.DataFrame({"error": error, "inside": low & table["wald95_ub"].gt(truth, level="parameter")})


def average_of(study: Study) -> pd.DataFrame:
    """The same of the average difference in probability by the pooled fit."""
    average = hl.avg_comparisons(study.pooled, "x", clusters="average", ci_prob=0.95).iloc[0]
    true = true_effect(study.whole)
    index = pd.MultiIndex.from_tuples([("pooled", EFFECT)], names=["fit", "parameter"])
    inside = average["eti95_lb"] < true < average["eti95_ub"]
    return pd.DataFrame({"error": average["estimate"] - true, "inside": inside}, index=index)


def summarised(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Studies, bias with its Monte Carlo standard error, and intervals with the truth, by fit and parameter."""
    grouped = pd.concat(tables).groupby(level=["fit", "parameter"], sort=False)
    count, error, inside = grouped.size(), grouped["error"], grouped["inside"]
    return pd.DataFrame(
        {
            "studies": count,
            "bias": error.mean(),
            "mcse": error.std() / np.sqrt(count),
            "inside": inside.sum(),
            "coverage": inside.mean(),
        }
    )
