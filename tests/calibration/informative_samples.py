"""Two-stage samples from a population of schools, in which selection depends on school effects and on outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

import hierlogit as hl

FORMULA = "y ~ x + (1 | school)"
TRUTH = {"Intercept": -0.5, "x": 0.7, "sd_school[Intercept]": 1.0}
#: Models by name: how row weights are scaled, or None without weights.
SCALINGS = {"unweighted": None, "size": "size", "effective": "effective"}


@dataclass(frozen=True)
class Population:
    """A population of schools, and how it is sampled.

    Attributes
    ----------
    schools : int
    pupils : int
        In each school.
    of_low, of_high : float
        Probabilities of selection of schools with effects below and above zero.
    without, with_event : float
        Probabilities of selection of the pupils of a selected school, without and with the event.
    """

    schools: int = 1000
    pupils: int = 100
    of_low: float = 0.05
    of_high: float = 0.15
    without: float = 0.3
    with_event: float = 0.6

    def sample(self, random: np.random.Generator) -> pd.DataFrame:
        """A population drawn from the model, and a sample of it with its weights."""
        effects = TRUTH["sd_school[Intercept]"] * random.normal(size=self.schools)
        of_schools = np.where(effects > 0, self.of_high, self.of_low)
        chosen = np.flatnonzero(random.random(self.schools) < of_schools)
        school = np.repeat(chosen, self.pupils)
        x = random.normal(size=len(school))
        y = (random.random(len(school)) < expit(TRUTH["Intercept"] + TRUTH["x"] * x + effects[school])).astype(int)
        of_pupils = np.where(y == 1, self.with_event, self.without)
        rows = pd.DataFrame({"y": y, "x": x, "school": school, "w": 1 / of_pupils, "w_school": 1 / of_schools[school]})
        return rows[random.random(len(rows)) < of_pupils].reset_index(drop=True)


def study(population: Population, replicates: int, seed: int, ci_prob: float = 0.95) -> Iterator[pd.DataFrame]:
    """For each sample, the estimates, standard errors and whether intervals hold the truth, by model and parameter."""
    for number in range(replicates):
        rows = population.sample(np.random.default_rng([seed, number]))
        tables = {}
        for name, scaling in SCALINGS.items():
            weights = None if scaling is None else hl.SamplingWeights("w", {"school": "w_school"}, scaling)
            fit = hl.Model(FORMULA, rows, weights=weights).fit(hl.AGQ(nodes=9))
            table = pd.DataFrame(hl.summary(fit, ci_prob=ci_prob))
            truth = pd.Series(TRUTH)
            ends = table.filter(like="wald")
            tables[name] = pd.DataFrame(
                {
                    "estimate": table["estimate"],
                    "se": table["se"],
                    "covered": (ends.iloc[:, 0] < truth) & (truth < ends.iloc[:, 1]),
                }
            )
        yield pd.concat(tables, names=["model", "parameter"])


def summarised(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Bias, standard deviation of the estimates, mean standard error and coverage, by model and parameter."""
    every = pd.concat(tables, keys=range(len(tables)), names=["replicate"])
    grouped = every.groupby(["model", "parameter"], sort=False)
    table = pd.DataFrame(
        {
            "bias": grouped["estimate"].mean() - pd.Series(TRUTH).rename_axis("parameter"),
            "sd": grouped["estimate"].std(),
            "mean_se": grouped["se"].mean(),
            "coverage": grouped["covered"].mean(),
        }
    )
    table["mcse_bias"] = table["sd"] / np.sqrt(len(tables))
    return table
