"""A table of counted rows gives what the table with repeated rows gives, by every engine and function."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.engines.engine import Engine
from hierlogit.fits.fit import Fit

FORMULA = "use ~ urban + livch + (1 + urban | district)"


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Women with the same values counted, and one row for each woman in the same order."""
    columns = ["use", "urban", "livch", "district"]
    women = hl.datasets.load("contraception")[columns]
    counted = women.groupby(columns, observed=True, sort=False).size().rename("n").reset_index()
    counted.loc[len(counted)] = [*counted.loc[0, columns], 0]
    return counted, counted.loc[counted.index.repeat(counted["n"])].drop(columns="n").reset_index(drop=True)


@pytest.fixture(scope="module")
def models(tables: tuple[pd.DataFrame, pd.DataFrame]) -> tuple[hl.Model, hl.Model]:
    counted, repeated = tables
    return hl.Model(FORMULA, counted, weights=hl.FrequencyWeights("n")), hl.Model(FORMULA, repeated)


@pytest.fixture(scope="module")
def fits(models: tuple[hl.Model, hl.Model]) -> tuple[Fit, Fit]:
    counted, repeated = (model.fit(hl.Laplace(seed=1)) for model in models)
    return counted, repeated


@pytest.mark.parametrize("engine", [hl.Laplace(), hl.AGQ(nodes=5), hl.MAP()])
def test_estimates_and_criteria(models: tuple[hl.Model, hl.Model], engine: Engine) -> None:
    counted, repeated = (model.fit(engine).estimate for model in models)
    assert counted is not None
    assert repeated is not None
    assert counted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-8)
    assert (counted.aic, counted.bic) == pytest.approx((repeated.aic, repeated.bic), abs=1e-8)
    np.testing.assert_allclose(counted.beta, repeated.beta, atol=1e-8)
    np.testing.assert_allclose(counted.standard_errors, repeated.standard_errors, atol=1e-8)


def test_draws_of_the_sampler(models: tuple[hl.Model, hl.Model]) -> None:
    engine = hl.NUTS(draws=20, tune=50, chains=1, seed=1, progress=False)
    with pytest.warns(hl.errors.ConvergenceWarning):
        counted, repeated = (model.fit(engine) for model in models)
    np.testing.assert_array_equal(counted.posterior["beta"], repeated.posterior["beta"])
    np.testing.assert_array_equal(counted.posterior["b_district"], repeated.posterior["b_district"])


def test_counts_out_of_trials() -> None:
    herds = hl.datasets.load("cbpp").assign(n=lambda frame: np.arange(len(frame)) % 3)
    repeated = herds.loc[herds.index.repeat(herds["n"])].reset_index(drop=True)
    formula = "p(successes, size) ~ period + (1 | herd)"
    one = hl.Model(formula, herds, weights=hl.FrequencyWeights("n")).fit("laplace").estimate
    two = hl.Model(formula, repeated).fit("laplace").estimate
    assert one is not None
    assert two is not None
    assert one.log_likelihood == pytest.approx(two.log_likelihood, abs=1e-8)  # with the binomial coefficients


@pytest.mark.parametrize(
    "result",
    [
        lambda fit: hl.avg_predictions(fit, by="urban"),
        lambda fit: hl.avg_comparisons(fit, "urban"),
        hl.r2,
        hl.icc,
        lambda fit: hl.pooling(fit).table,
        hl.scores,
        lambda fit: hl.calibration(fit, replicates=20, seed=1),
        lambda fit: hl.residuals(fit, "pearson"),
        lambda fit: hl.influence(fit, "district").table,
        lambda fit: hl.bootstrap(fit, replicates=2, seed=1).values,
        lambda fit: hl.check_data(fit.model).clusters["district"],
        lambda fit: hl.posterior_predictive(fit, seed=1)["posterior_predictive/use"].to_numpy()[0],
    ],
)
def test_functions_of_a_fit(fits: tuple[Fit, Fit], result: Callable[[Fit], Any]) -> None:
    counted, repeated = (pd.DataFrame(result(fit)) for fit in fits)
    pd.testing.assert_frame_equal(counted, repeated, check_exact=True)


def test_a_saved_fit_knows_its_weights(fits: tuple[Fit, Fit], tmp_path: Path) -> None:
    fits[0].save(tmp_path / "fit.nc")
    again = hl.load(tmp_path / "fit.nc")
    assert again.model.weights == hl.FrequencyWeights("n")
    assert again.model.design.table.counted == fits[0].model.design.table.counted


def test_the_program_of_a_report_has_the_weights(fits: tuple[Fit, Fit], tmp_path: Path) -> None:
    path = hl.report(fits[0], tmp_path / "report.html", sections=["data"])
    page = html.unescape(Path(path).read_text(encoding="utf-8"))
    assert "rows, weights=hl.FrequencyWeights(rows='n'))" in page
    assert "Rows of the table, counted" in page
    assert "your table: 579 complete rows, with 'use', 'urban', 'livch', 'district', 'n'" in page
