"""Writes opinion.csv and opinion_cells.csv into hierlogit/datasets: a simulated survey of a real population.

Run from the root: ``python tests/reference/make_opinion.py [poststrat_df.csv statelevel_predictors.csv]``.

The numbers of adult citizens by state, sex, age and education are those of the American Community Survey 2014-2018.
``repvote`` is the Republican share of the two-party vote of 2016. Both are tabulated by Lopez-Martin, Phillips and
Gelman for their Multilevel Regression and Poststratification Case Studies (data_public/chapter1/data of their
repository). With the two files, the published columns are written anew; without them, they are read from
opinion_cells.csv. Opinions and answers are simulated.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parents[2] / "hierlogit" / "datasets"
CELL = ["state", "region", "repvote", "sex", "age", "education"]
AGES = {
    "18-29": "18-29",
    "30-39": "30-49",
    "40-49": "30-49",
    "50-59": "50-69",
    "60-69": "50-69",
    "70+": "70+",
}
EDUCATION = {
    "No HS": "no high school",
    "HS": "high school",
    "Some college": "some college",
    "4-Year College": "college",
    "Post-grad": "college",
}
#: Log-odds of the opinion. The deviations of states, and of educations within states, are normal with these sds.
INTERCEPT, REPVOTE, WOMAN = -0.35, -4.0, 0.25
AGE = {"18-29": -0.45, "30-49": -0.1, "50-69": 0.15, "70+": 0.4}
SCHOOL = {"no high school": -0.4, "high school": -0.15, "some college": 0.1, "college": 0.6}
SD_STATE, SD_SCHOOL = 0.2, 0.1
#: Relative probabilities of answering, and the number of answers. Nobody was asked in these states.
ANSWERS_AGE = {"18-29": 0.35, "30-49": 0.7, "50-69": 1.3, "70+": 1.7}
ANSWERS_SCHOOL = {"no high school": 0.3, "high school": 0.6, "some college": 1.1, "college": 1.7}
RESPONDENTS, NOT_ASKED, SEED = 2500, ("AK", "HI"), 2022


def published(counts: Path, states: Path) -> pd.DataFrame:
    """The published columns: states, their vote, and the number of adult citizens of each kind."""
    people = pd.read_csv(counts)
    people["sex"] = np.where(people["male"] > 0, "man", "woman")
    people["age"], people["education"] = people["age"].map(AGES), people["educ"].map(EDUCATION)
    cells = people.groupby(["state", "sex", "age", "education"], as_index=False)["n"].sum()
    votes = pd.read_csv(states).round({"repvote": 3})
    table: pd.DataFrame = cells.merge(votes, on="state", validate="many_to_one")[[*CELL, "n"]]
    return table


def simulated(cells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The respondents, and the cells with the number of supporters."""
    random = np.random.default_rng(SEED)
    cells = cells.sort_values(CELL, key=_sorting, ignore_index=True)
    codes = cells["state"].factorize()[0]
    school = cells.groupby(["state", "education"], sort=False).ngroup().to_numpy()
    log_odds = (
        INTERCEPT
        + REPVOTE * (cells["repvote"] - 0.5)
        + WOMAN * (cells["sex"] == "woman")
        + cells["age"].map(AGE)
        + cells["education"].map(SCHOOL)
        + SD_STATE * random.standard_normal(int(codes.max()) + 1)[codes]
        + SD_SCHOOL * random.standard_normal(int(school.max()) + 1)[school]
    )
    cells["supporters"] = random.binomial(cells["n"], 1 / (1 + np.exp(-log_odds)))
    answering = cells["n"] * cells["age"].map(ANSWERS_AGE) * cells["education"].map(ANSWERS_SCHOOL)
    answering = answering.where(~cells["state"].isin(NOT_ASKED), 0.0)
    asked = random.choice(len(cells), RESPONDENTS, p=answering / answering.sum())
    people = cells.iloc[asked].reset_index(drop=True)
    people["support"] = (random.random(len(people)) < people["supporters"] / people["n"]).astype(int)
    people.insert(0, "respondent", np.arange(1, len(people) + 1))
    return people[["respondent", *CELL, "support"]], cells


def _sorting(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.map({name: place for place, name in enumerate(SCHOOL)}) if values.name == "education" else values


def main(files: list[str]) -> None:
    """Write both tables."""
    cells = published(*map(Path, files)) if files else pd.read_csv(FOLDER / "opinion_cells.csv")[[*CELL, "n"]]
    people, cells = simulated(cells)
    people.to_csv(FOLDER / "opinion.csv", index=False, lineterminator="\n")
    cells.to_csv(FOLDER / "opinion_cells.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
