"""Simulation-based calibration: parameters drawn from their priors rank evenly among posterior draws.

`make calibration` runs this and writes the ranks to docs/calibration/, from which report.py makes the figure and the
table of docs/calibration.md. Ranks that were written are judged with every `make test`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit import priors as pr

from .ranks import SIMULATIONS, drawn_from_prior, linear_predictor, ranks_of
from .report import FOLDER, PAGE, least_p, p_values, read_ranks, rows_of_table, written
from .studies import STUDIES


def assert_uniform(name: str, table: pd.DataFrame) -> None:
    p = p_values(STUDIES[name](), table)
    assert p[p < least_p()].to_dict() == {}


@pytest.mark.calibration
@pytest.mark.parametrize("name", STUDIES)
def test_ranks_are_uniform(name: str) -> None:
    table = ranks_of(name, SIMULATIONS)
    FOLDER.mkdir(exist_ok=True)
    table.to_csv(FOLDER / f"{name}.csv")
    assert_uniform(name, table)


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("wrong", "quantity"),
    [
        # The posterior that sampling log(sd) without its Jacobian has: the prior's density divided by the sd.
        ({"sd_clinic[Intercept]": pr.Gamma(2, 4)}, "sd_clinic[Intercept]"),
        ({"arm[new]": pr.Normal(0.5, 0.8 / 4)}, "arm[new]"),
    ],
    ids=["no Jacobian", "narrow prior"],
)
def test_a_fit_with_another_prior_is_noticed(wrong: dict[str, pr.Prior], quantity: str) -> None:
    name = "random_intercept"
    # Half of the simulations are enough, at the level that the studies themselves are held to.
    assert p_values(STUDIES[name](), ranks_of(name, SIMULATIONS // 2, wrong))[quantity] < least_p()


@pytest.mark.parametrize("name", written())
def test_the_ranks_written_down_are_uniform(name: str) -> None:
    table = read_ranks(name)
    assert len(table) == SIMULATIONS
    assert_uniform(name, table)


def test_the_page_has_the_table_of_the_ranks_written_down() -> None:
    assert rows_of_table() in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STUDIES)
def test_studies_simulate_the_model_that_is_fitted(name: str) -> None:
    study, rng = STUDIES[name](), np.random.default_rng(1)
    y = rng.integers(0, study.trials + 1)
    rows = study.rows.assign(**{study.outcome: y})
    model = hl.Model(study.formula, rows, priors=study.priors, family=study.family)
    design, truth = model.design, drawn_from_prior(study, rng)
    eta = design.X @ truth.beta
    stated: dict[str, pr.Prior] = dict(model.priors.fixed)
    for group in design.groups:
        eta += (group.Z * truth.effects[group.name][group.index]).sum(axis=1)
        held = zip(group.effects, model.priors.sd[group.name], strict=True)
        stated |= {f"sd_{group.name}[{label}]": prior for label, prior in held}
    stated |= {f"cor_{group}": prior for group, prior in model.priors.cor.items()}
    stated |= {} if model.priors.phi is None else {"phi": model.priors.phi}
    np.testing.assert_allclose(linear_predictor(study, truth), eta)
    assert list(design.fixed_effects) == ["Intercept", *study.fixed]
    assert stated == study.priors
