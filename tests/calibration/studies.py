"""The studies that are simulated: rows, model, priors, and the engine that fits them.

Covariates are the same in all simulations of a study; parameters, cluster effects and outcomes are not. An outcome that
never or always happens, which a model refuses, is next to impossible under these priors: it would stop the simulations,
not be passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.engines.engine import Engine

FloatArray = npt.NDArray[np.float64]

#: Draws of each chain, and chains.
DRAWS, CHAINS = 1000, 4


def nuts(**options: Any) -> Callable[[int, int], Engine]:
    """NUTS with its defaults but for `options`, for a number of draws of each chain and a seed."""
    return lambda draws, seed: hl.NUTS(draws=draws, chains=CHAINS, cores=1, seed=seed, progress=False, **options)


def importance(draws: int, seed: int) -> Engine:
    """Importance sampling, whose draws are independent, so that as many as one chain has are plenty."""
    return hl.ImportanceSampling(draws=draws, cores=1, seed=seed, progress=False)


DEFAULT = nuts()


@dataclass(frozen=True)
class Study:
    """A model, the rows it is simulated for, and its priors.

    Attributes
    ----------
    title : str
    formula : str
    rows : DataFrame
        Everything but the outcome.
    priors : mapping of str to Prior
        By label: of every fixed effect, ``sd_<group>[<effect>]``, ``cor_<group>``. That of the intercept is for the
        intercept at the means of the other columns.
    fixed : mapping of str to array
        Columns of the fixed part besides the intercept, by label.
    effects : mapping of str to mapping
        By grouping factor: the columns whose coefficients vary over its clusters, by label; with two, these correlate.
    outcome : str
        Name of the column of successes.
    trials : array
        Of each row.
    engine : callable
        The engine, for a number of draws of each chain and a seed.
    family : {"binomial", "betabinomial"}
        Distribution of the outcomes. There is a prior of ``phi`` for beta-binomial ones.
    """

    title: str
    formula: str
    rows: pd.DataFrame
    priors: Mapping[str, pr.Prior]
    fixed: Mapping[str, FloatArray]
    effects: Mapping[str, Mapping[str, FloatArray]]
    outcome: str
    trials: npt.NDArray[np.int64]
    engine: Callable[[int, int], Engine] = DEFAULT
    family: Literal["binomial", "betabinomial"] = "binomial"


def random_intercept(title: str, engine: Callable[[int, int], Engine]) -> Study:
    """Patients of 30 clinics of unequal sizes, a dose, two treatments."""
    rng = np.random.default_rng(1)
    sizes = rng.integers(2, 21, 30)
    clinic = np.repeat(np.arange(30), sizes)
    n = len(clinic)
    dose, new = rng.normal(3, 1.5, n).round(2), rng.integers(0, 2, n)
    rows = pd.DataFrame(
        {"clinic": [f"clinic {k:02}" for k in clinic], "dose": dose, "arm": np.where(new == 1, "new", "control")}
    )
    return Study(
        title,
        "healed ~ dose + arm + (1 | clinic)",
        rows,
        {
            "Intercept": pr.Normal(-0.5, 1),
            "dose": pr.StudentT(4, 0.2, 0.4),
            "arm[new]": pr.Normal(0.5, 0.8),
            "sd_clinic[Intercept]": pr.Gamma(3, 4),
        },
        {"dose": dose, "arm[new]": new.astype(float)},
        {"clinic": {"Intercept": np.ones(n)}},
        "healed",
        np.ones(n, dtype=np.int64),
        engine,
    )


def correlated_slopes() -> Study:
    """Forty persons seen over some weeks, each with a level and a trend of their own."""
    rng = np.random.default_rng(2)
    sizes = rng.integers(4, 17, 40)
    person = np.repeat(np.arange(40), sizes)
    n = len(person)
    week = rng.uniform(0, 4, n).round(1)
    return Study(
        "Correlated intercepts and slopes",
        "well ~ week + (1 + week | person)",
        pd.DataFrame({"person": [f"person {k:02}" for k in person], "week": week}),
        {
            "Intercept": pr.Normal(0, 1),
            "week": pr.Normal(0.2, 0.5),
            "sd_person[Intercept]": pr.HalfNormal(1),
            "sd_person[week]": pr.Exponential(2),
            "cor_person": pr.LKJ(2),
        },
        {"week": week},
        {"person": {"Intercept": np.ones(n), "week": week}},
        "well",
        np.ones(n, dtype=np.int64),
    )


def crossed_factors() -> Study:
    """Pupils who try some of the items of a test, one to three times each."""
    rng = np.random.default_rng(3)
    pupil, item = (index.ravel() for index in np.meshgrid(np.arange(25), np.arange(12), indexing="ij"))
    seen = rng.uniform(size=len(pupil)) < 0.6
    pupil, item = pupil[seen], item[seen]
    n = len(pupil)
    hard, asked = rng.normal(-1, 1, 12).round(2)[item], rng.integers(1, 4, n)
    rows = pd.DataFrame(
        {
            "pupil": [f"pupil {k:02}" for k in pupil],
            "item": [f"item {k:02}" for k in item],
            "hard": hard,
            "asked": asked,
        }
    )
    return Study(
        "Crossed factors, counts",
        "p(right, asked) ~ hard + (1 | pupil) + (1 | item)",
        rows,
        {
            "Intercept": pr.Normal(0.3, 1),
            "hard": pr.Laplace(-0.4, 0.4),
            "sd_pupil[Intercept]": pr.LogNormal(-0.4, 0.5),
            "sd_item[Intercept]": pr.HalfStudentT(5, 0.8),
        },
        {"hard": hard},
        {"pupil": {"Intercept": np.ones(n)}, "item": {"Intercept": np.ones(n)}},
        "right",
        asked,
    )


def strong_items() -> Study:
    """Persons who answer the items of a test, nearly all of them; the items differ more than the persons."""
    rng = np.random.default_rng(4)
    person, item = (index.ravel() for index in np.meshgrid(np.arange(40), np.arange(12), indexing="ij"))
    answered = rng.uniform(size=len(person)) < 0.95
    person, item = person[answered], item[answered]
    n = len(person)
    return Study(
        "Crossed factors, strong items",
        "right ~ 1 + (1 | person) + (1 | item)",
        pd.DataFrame({"person": [f"person {k:02}" for k in person], "item": [f"item {k:02}" for k in item]}),
        {
            "Intercept": pr.Normal(-1, 1),
            "sd_person[Intercept]": pr.Gamma(6, 4),
            "sd_item[Intercept]": pr.Gamma(16, 8),
        },
        {},
        {"person": {"Intercept": np.ones(n)}, "item": {"Intercept": np.ones(n)}},
        "right",
        np.ones(n, dtype=np.int64),
    )


def small_families(title: str, engine: Callable[[int, int], Engine]) -> Study:
    """Children of 140 families, one or two of each, in 20 villages."""
    rng = np.random.default_rng(5)
    family = np.repeat(np.arange(140), rng.integers(1, 3, 140))
    village = rng.integers(0, 20, 140)[family]
    n = len(family)
    late = rng.integers(0, 2, n).astype(float)
    rows = pd.DataFrame(
        {
            "village": [f"village {k:02}" for k in village],
            "family": [f"family {k:03}" for k in family],
            "late": late,
        }
    )
    return Study(
        title,
        "immune ~ late + (1 | village) + (1 | family)",
        rows,
        {
            "Intercept": pr.Normal(0, 1),
            "late": pr.Normal(0.5, 0.7),
            "sd_village[Intercept]": pr.HalfNormal(0.8),
            "sd_family[Intercept]": pr.HalfNormal(1.5),
        },
        {"late": late},
        {"village": {"Intercept": np.ones(n)}, "family": {"Intercept": np.ones(n)}},
        "immune",
        np.ones(n, dtype=np.int64),
        engine,
    )


def overdispersed_counts() -> Study:
    """Litters of 25 farms, two to six each, whose animals resemble each other more than those of one farm do."""
    rng = np.random.default_rng(6)
    farm = np.repeat(np.arange(25), rng.integers(2, 7, 25))
    n = len(farm)
    treated, born = rng.integers(0, 2, n).astype(float), rng.integers(1, 15, n)
    return Study(
        "Beta-binomial counts",
        "p(died, born) ~ treated + (1 | farm)",
        pd.DataFrame({"farm": [f"farm {k:02}" for k in farm], "treated": treated, "born": born}),
        {
            "Intercept": pr.Normal(-0.5, 1),
            "treated": pr.Normal(-0.3, 0.7),
            "sd_farm[Intercept]": pr.HalfNormal(0.8),
            "phi": pr.LogNormal(2, 1),
        },
        {"treated": treated},
        {"farm": {"Intercept": np.ones(n)}},
        "died",
        born,
        family="betabinomial",
    )


STUDIES: dict[str, Callable[[], Study]] = {
    "random_intercept": partial(random_intercept, "Random intercepts", DEFAULT),
    "correlated_slopes": correlated_slopes,
    "crossed_factors": crossed_factors,
    "strong_items": strong_items,
    "families_sampled": partial(small_families, "Small families, effects sampled", nuts(effects="sampled")),
    "families_integrated": partial(small_families, "Small families, effects integrated", nuts(effects="integrated")),
    "importance": partial(random_intercept, "Random intercepts, importance sampling", importance),
    # Seeds are by the places of the studies.
    "overdispersed_counts": overdispersed_counts,
}
