"""Contextual effects, however the formula separates the effects within and between clusters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import FitError

MakeFit = Callable[..., hl.results.Fit]
FORMULAS = ["within(dose, clinic) + between(dose, clinic)", "dose + between(dose, clinic)"]


@pytest.fixture(scope="module")
def rows(clustered_rows: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return clustered_rows(12, 12)


@pytest.mark.parametrize("engine", [hl.Laplace(seed=1), hl.MAP(seed=1)])
def test_both_ways_to_write_the_model_have_the_same_effects(rows: pd.DataFrame, engine: hl.Laplace | hl.MAP) -> None:
    tables = [
        hl.contextual_effects(hl.Model(f"healed ~ {fixed} + (1 | clinic)", rows).fit(engine), rope=(-1, 1))
        for fixed in FORMULAS
    ]
    for table in tables:
        assert table[["variable", "group"]].to_numpy().tolist() == [["dose", "clinic"]]
        np.testing.assert_allclose(table["estimate"], table["between"] - table["within"])
    if isinstance(engine, hl.Laplace):
        pd.testing.assert_frame_equal(pd.DataFrame(tables[0]), pd.DataFrame(tables[1]), rtol=1e-3, atol=1e-5)
    else:  # priors are for the coefficients as they are written
        assert "p_value" not in tables[0]


def test_several_predictors_with_draws_and_names_with_blanks(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    frame = rows.assign(**{"my dose": rows["dose"] ** 2})
    fixed = (
        "within(`my dose`, clinic) + between(`my dose`, clinic) + between(arm == 'new', clinic) + "
        "within(arm == 'new', clinic) + between(dose, reader)"
    )
    fit = make_fit(f"healed ~ {fixed} + (1 | clinic)", frame)
    table = hl.contextual_effects(fit, adjust="single-step", ci_prob=0.95)
    assert table["variable"].tolist() == ["my dose", "arm == 'new'"]  # dose itself has no effect within
    beta = fit.posterior["beta"].values.reshape(-1, 6)
    np.testing.assert_allclose(table["mean"], [(beta[:, 2] - beta[:, 1]).mean(), (beta[:, 3] - beta[:, 4]).mean()])
    np.testing.assert_allclose(table["within"], [beta[:, 1].mean(), beta[:, 4].mean()])
    assert {"p_direction", "simultaneous95_lb", "simultaneous95_ub"} <= {*table}


def test_formulas_without_cluster_means_are_refused(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    for fixed in ("dose", "within(dose, clinic)", "between(dose, clinic)"):
        with pytest.raises(FitError, match=r"no contextual effect.*within\(x, g\) \+ between\(x, g\)"):
            hl.contextual_effects(make_fit(f"healed ~ {fixed} + (1 | clinic)", rows))


def test_interactions_of_both_parts_are_no_variables(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    fixed = "(within(dose, clinic) + between(dose, clinic)) * within(arm == 'new', clinic)"
    fit = make_fit(f"healed ~ {fixed} + (1 | clinic)", rows)
    assert "between(dose, clinic):within(arm == 'new', clinic)" in fit.model.design.fixed_effects
    assert hl.contextual_effects(fit)["variable"].tolist() == ["dose"]
