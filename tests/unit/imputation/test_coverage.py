"""Coverage of pooled intervals in simulated studies with values missing completely at random and at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, unsaid

CLUSTERS, SIZE, IMPUTATIONS = 50, 12, 10
FORMULA = "y ~ x + z + (1 | g)"
TRUTH = {"Intercept": -0.5, "x": 0.8, "z": 0.5}
SD = 0.7


def complete_rows(random: np.random.Generator) -> pd.DataFrame:
    """Rows in which x differs between clusters, is related to z, and increases the probability of y."""
    g = np.repeat(np.arange(CLUSTERS), SIZE)
    z = random.binomial(1, 0.5, len(g)).astype(float)
    x = 0.6 * z + random.normal(0, 0.6, CLUSTERS)[g] + random.normal(0, 0.8, len(g))
    eta = TRUTH["Intercept"] + TRUTH["x"] * x + TRUTH["z"] * z + random.normal(0, SD, CLUSTERS)[g]
    y = (random.uniform(size=len(g)) < 1 / (1 + np.exp(-eta))).astype(float)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g})


def is_missing(frame: pd.DataFrame, mechanism: str, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """The rows without x: a share of 0.3, or more of them where y = 1 and z = 1."""
    logit = np.log(3 / 7) if mechanism == "mcar" else -2.2 + 1.6 * frame["y"] + 1.0 * frame["z"]
    gone: npt.NDArray[np.bool_] = random.uniform(size=len(frame)) < 1 / (1 + np.exp(-np.asarray(logit)))
    return gone


def imputed(frame: pd.DataFrame, random: np.random.Generator) -> list[pd.DataFrame]:
    """Tables with x drawn from a linear mixed model given y, z and the cluster, by Gibbs sampling (mice's 2l.pan)."""
    gone, g = frame["x"].isna().to_numpy(), frame["g"].to_numpy()
    X = np.column_stack([np.ones(len(frame)), frame["y"], frame["z"], frame["y"] * frame["z"]])
    x = frame["x"].fillna(frame["x"].mean()).to_numpy(copy=True)
    v, sigma2, tau2, tables = np.zeros(CLUSTERS), 1.0, 0.5, []
    inverse, counts = np.linalg.inv(X.T @ X), np.bincount(g, minlength=CLUSTERS)
    for step in range(50 + 10 * IMPUTATIONS):
        beta = random.multivariate_normal(inverse @ X.T @ (x - v[g]), sigma2 * inverse)
        rest = x - X @ beta
        precision = counts / sigma2 + 1 / tau2
        v = np.bincount(g, rest, CLUSTERS) / sigma2 / precision + random.normal(size=CLUSTERS) / np.sqrt(precision)
        sigma2 = ((rest - v[g]) ** 2).sum() / random.chisquare(len(x))
        tau2 = (v**2).sum() / random.chisquare(CLUSTERS)
        x[gone] = (X @ beta + v[g] + random.normal(0, np.sqrt(sigma2), len(x)))[gone]
        if step >= 50 and step % 10 == 9:
            tables.append(frame.assign(x=x.copy()))
    return tables


def study(mechanism: str, number: int) -> dict[Any, Any]:
    """Estimates of a simulated study, whether intervals contain the truth, and those of the complete rows."""
    random = np.random.default_rng([17, number])
    frame = complete_rows(random)
    average = _average_difference(frame)
    gone = is_missing(frame, mechanism, random)
    frame = frame.assign(x=frame["x"].mask(gone))
    engine = hl.Laplace(draws=400, seed=number)
    fit = hl.fit_imputed(FORMULA, imputed(frame, random), engine)
    dropped = hl.Model(FORMULA, frame[~gone]).fit(engine)
    found: dict[Any, Any] = {"missing": gone.mean()}
    for name, one in (("pooled", fit), ("dropped", dropped)):
        table = hl.summary(one, ci_prob=0.95)
        for label, true in {**TRUTH, "sd_g[Intercept]": SD}.items():
            estimate, low, high = (table[column][label] for column in ("estimate", "wald95_lb", "wald95_ub"))
            found |= {(name, label, "estimate"): estimate, (name, label, "inside"): low < true < high}
    effect = hl.avg_comparisons(fit, "x", clusters="average", ci_prob=0.95).iloc[0]
    found["effect", "inside"] = effect["eti95_lb"] < average < effect["eti95_ub"]
    found["effect", "error"] = effect["estimate"] - average
    found["fmi"] = hl.summary(fit)["fmi"]["x"]
    return found


def _average_difference(frame: pd.DataFrame) -> float:
    """The true average difference in probability for one more unit of x, at these rows, over the clusters."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    eta = TRUTH["Intercept"] + TRUTH["x"] * frame["x"] + TRUTH["z"] * frame["z"]

    def probability(more: float) -> Any:
        values = 1 / (1 + np.exp(-(eta.to_numpy()[:, None] + more + SD * nodes)))
        return values @ weights / weights.sum()

    return float((probability(TRUTH["x"]) - probability(0.0)).mean())


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["mcar", "mar"])
def test_pooled_estimates_are_unbiased_and_intervals_cover_as_those_of_complete_rows(mechanism: str) -> None:
    with unsaid(ConvergenceWarning):
        studies = pd.DataFrame([study(mechanism, k) for k in range(100)])
    for label, true in TRUTH.items():
        estimates = studies["pooled", label, "estimate"]
        assert abs(estimates.mean() - true) < 3 * estimates.std() / np.sqrt(len(estimates))
        if mechanism == "mcar":  # intervals of the complete rows are right as well, and of the same studies
            inside = studies["pooled", label, "inside"].mean() - studies["dropped", label, "inside"].mean()
            assert inside > -0.05
    if mechanism == "mar":  # the complete rows lack events
        assert studies["dropped", "Intercept", "inside"].mean() < 0.7
