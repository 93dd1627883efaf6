"""Models of shards with factors that cross them: the likelihood and the fits of all rows."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.density.marginal.laplace import LaplaceLikelihood
from hierlogit.engines.maximum.objective import Objective
from hierlogit.errors import DesignError, EngineError, FitError
from hierlogit.shards import rows
from hierlogit.shards.crossed import CrossedSums

#: Persons have a random intercept, items a random intercept and slope, and situations a third factor.
FORMULA = "r2 ~ Anger + (1 | id) + (1 + Anger | item) + (1 | situ)"
PSI = np.array([-1.1, 0.05, 1.2, 0.8, 0.01, 0.02, 0.4])


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    answers = hl.datasets.load("verbagg")
    return answers[answers["id"].astype(int) % 4 == 0].reset_index(drop=True)


@pytest.fixture(scope="module")
def shards(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> hl.Shards:
    # One of the shards lacks an item, and another one has a single person.
    return hl.Shards.write(table, tmp_path_factory.mktemp("answers") / "shards", group="id", shards=3)


def sums_of(shards: hl.Shards, formula: str = FORMULA) -> CrossedSums:
    sums = shards.model(formula).__dict__["_sums"]
    assert isinstance(sums, CrossedSums)
    return sums


def in_memory(table: pd.DataFrame) -> Objective:
    model = hl.Model(FORMULA, table)
    return Objective(model, LaplaceLikelihood(model.arrangement), penalised=False)


def test_value_and_gradient_are_those_of_all_rows(table: pd.DataFrame, shards: hl.Shards) -> None:
    expected = in_memory(table).evaluate(PSI)
    value, gradient, converged = sums_of(shards).evaluate(1, PSI)
    assert converged
    assert value == pytest.approx(expected.value, rel=1e-12)
    np.testing.assert_allclose(gradient, expected.gradient, atol=1e-9 * np.abs(expected.gradient).max())


def test_information_is_that_of_all_rows(table: pd.DataFrame, shards: hl.Shards) -> None:
    objective, sums = in_memory(table), sums_of(shards)
    objective.evaluate(PSI)
    # The bases of the fixed effects' columns may differ by rounding.
    expected, found = (
        R.T @ of_basis @ R
        for R, of_basis in (
            (objective.triangular, objective.fixed_information()),
            (sums.triangular, sums.information(1, PSI)),
        )
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_gradient_is_that_of_finite_differences(shards: hl.Shards) -> None:
    sums, step = sums_of(shards), 1e-4
    differences = []
    for k in range(len(PSI)):
        ends = [PSI + sign * step * (np.arange(len(PSI)) == k) for sign in (1, -1)]
        values = [sums.evaluate(1, end)[0] for end in ends]
        differences.append((values[0] - values[1]) / (2 * step))
    np.testing.assert_allclose(sums.evaluate(1, PSI)[1], differences, rtol=1e-5, atol=1e-5)


def test_a_fit_is_that_of_all_rows(table: pd.DataFrame, shards: hl.Shards) -> None:
    found, expected = shards.model(FORMULA).fit("laplace"), hl.Model(FORMULA, table).fit("laplace")
    assert expected.estimate is not None
    assert found.estimate.log_likelihood == pytest.approx(expected.estimate.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(found.estimate.vector, expected.estimate.vector, atol=1e-5)
    assert [one.code for one in found.diagnostics.findings] == [one.code for one in expected.diagnostics.findings]


def test_threads_do_not_change_a_bit(shards: hl.Shards) -> None:
    formula = "r2 ~ Anger + (1 | id) + (1 | item)"
    alone = shards.model(formula).fit("laplace").estimate
    for workers in (2, 3):
        with ThreadPoolExecutor(workers) as pool:
            other = shards.model(formula, executor=pool).fit("laplace", executor=pool).estimate
        assert other.log_likelihood == alone.log_likelihood
        np.testing.assert_array_equal(other.vector, alone.vector)
        np.testing.assert_array_equal(other.covariance, alone.covariance)


def test_a_shard_returns_the_same_whatever_it_returned_before(shards: hl.Shards) -> None:
    # Between two rounds, a worker may evaluate other vectors, or be another one.
    first, other = sums_of(shards), sums_of(shards)
    expected = first.evaluate(1, PSI)
    other.evaluate(1, 0.9 * PSI)
    found = CrossedSums(other.recipe, other.numbers, other.triangular, None, common=other.common).evaluate(1, PSI)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


def test_modes_of_both_kinds_of_factors_are_written(
    table: pd.DataFrame, shards: hl.Shards, tmp_path_factory: pytest.TempPathFactory
) -> None:
    formula = "r2 ~ Anger + (1 | id) + (1 + Anger | item)"
    fit = shards.model(formula).fit("laplace")
    expected = hl.ranef(hl.Model(formula, table).fit("laplace"))
    for group, files in (("id", 3), ("item", 1)):
        folder = fit.ranef(tmp_path_factory.mktemp("modes") / group, group)
        assert len(list(folder.iterdir())) == files
        written = pd.read_parquet(folder)
        written["level"] = written["level"].astype(str)
        of_group = expected.xs(group, level="group").reset_index()
        of_group["level"] = of_group["level"].astype(str)
        both = written.merge(of_group, on=["level", "effect"])
        assert len(both) == len(written) == len(of_group)
        for column in ("mode", "conditional_sd"):
            np.testing.assert_allclose(both[f"{column}_x"], both[f"{column}_y"], atol=1e-5)


def test_what_crossed_shards_cannot_do_is_refused(shards: hl.Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    model = shards.model("r2 ~ Anger + (1 | id) + (1 | item)")
    with pytest.raises(EngineError, match="quadrature needs one grouping factor"):
        model.fit("agq")
    with pytest.raises(FitError, match=r"clusters of 'item', which cross the shards, have rows in several of 'id'"):
        model.fit("laplace").robust()
    with pytest.raises(DesignError, match=r"those of 'id', 'id:situ' do not"):
        shards.model("r2 ~ Anger + (1 | id/situ) + (1 | item)")
    with pytest.raises(DesignError, match=r"there are none of 'id' itself: add \(1 \| id\)"):
        shards.model("r2 ~ Anger + (1 | item)")
    monkeypatch.setattr(rows, "MOST_COMMON", 30)
    with pytest.raises(DesignError, match=r"'item', have at least 48 effects, and at most 30 are taken"):
        shards.model("r2 ~ Anger + (1 | id) + (1 + Anger | item)")
