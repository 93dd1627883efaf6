"""Rows counted where they lie give what all rows give: designs, priors, fits and results."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

import hierlogit as hl
from hierlogit.density.linear_predictor import Draws, pointwise_log_likelihood
from hierlogit.design import counted_sources
from hierlogit.engines.maximum.refitted import ReferenceFit
from hierlogit.errors import ConvergenceWarning, DataWarning, DesignError, FitError, ModelError, PredictionError
from hierlogit.fits.fit import Fit
from hierlogit.model_comparison.leave_out import integrated_log_likelihood
from hierlogit.model_comparison.slope_scores import absent_slopes, slope_scores
from hierlogit.translations.pymc_program import pymc_program

duckdb = pytest.importorskip("duckdb")
dask = pytest.importorskip("dask.dataframe")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count small sources too, in several chunks."""
    monkeypatch.setattr(counted_sources, "COUNTED_FROM", 100)
    monkeypatch.setattr(counted_sources, "CHUNK", 300)


@pytest.fixture(scope="module")
def visits() -> pd.DataFrame:
    """Rows with few distinct values, of all types, some of them missing."""
    random = np.random.default_rng(7)
    n = 2000
    clinic = random.integers(0, 12, n)
    dose = random.choice([0.5, 1.0, 2.5, 4.0], n, p=[0.4, 0.3, 0.2, 0.1])
    arm = random.choice(["placebo", "drug", "high dose"], n)
    night = random.random(n) < 0.3
    eta = -0.4 + 0.5 * np.log(dose) + 0.6 * (arm == "drug") - 0.5 * night + random.normal(0, 0.7, 12)[clinic]
    healed = random.random(n) < 1 / (1 + np.exp(-eta))
    visits = pd.DataFrame(
        {
            "healed": np.where(healed, "yes", "no"),
            "dose": dose,
            "arm": pd.Categorical(arm, ["placebo", "drug", "high dose"], ordered=True),
            "night": night,
            "clinic": clinic,
            "week": random.integers(1, 5, n),
            "unused": random.normal(size=n),
        }
    )
    visits.loc[::101, "dose"] = np.nan
    return visits


def folder_of(frame: pd.DataFrame, path: Path) -> Path:
    """A folder of Parquet files, one for each week."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pyarrow.dataset.write_dataset(
        table, path / "visits", format="parquet", partitioning=["week"], partitioning_flavor="hive"
    )
    return path / "visits"


def file_of(frame: pd.DataFrame, path: Path) -> Path:
    frame.set_index("unused").to_parquet(path / "visits.parquet", row_group_size=150)
    return path / "visits.parquet"


#: Connections to DuckDB. Before release 1.4, a table does not keep its connection open.
OPEN: list[Any] = []


def relation_of(frame: pd.DataFrame, _: Path) -> Any:
    """A table of a connection to DuckDB; an ordered categorical is an ENUM of it."""
    connection = duckdb.connect()
    OPEN.append(connection)
    connection.register("frame", frame)
    return connection.table("frame")


def lazy(frame: pd.DataFrame) -> pl.LazyFrame:
    """A lazy frame of polars, with the levels of ordered categoricals."""
    ordered = {name: pl.Enum(list(frame[name].cat.categories)) for name in frame.select_dtypes("category")}
    return pl.from_pandas(frame).cast(ordered).lazy()  # type: ignore[arg-type]


SOURCES: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "polars": lambda frame, _: lazy(frame),
    "DuckDB relation": relation_of,
    "Dask": lambda frame, _: dask.from_pandas(frame, npartitions=3),
    "Parquet file": file_of,
    "Parquet folder": folder_of,
}
FORMULAS = (
    "healed ~ dose + arm + night + (1 | clinic)",
    "healed['no'] ~ scale(dose) * night + C(week) + (1 + dose | clinic)",
    "healed ~ bs(dose, df=4) + standardize(week) + (1 | clinic)",
    "healed ~ poly(dose, 2) + night + offset(0.1 * week) + (center(week) || clinic)",
    "healed ~ within(dose, clinic) + between(dose, clinic) + I(log(dose) > 0) + (1 | clinic/week)",
    "healed ~ C(arm, Sum):night + I(2 * night) + dose",
)


def model(formula: str, data: Any, **options: Any) -> hl.Model:
    """A model, without the warning of rows with missing values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return hl.Model(formula, data, **options)


def fitted(formula: str, data: Any, **options: Any) -> Fit:
    return model(formula, data, **options).fit(hl.Laplace(seed=1))


def assert_same_fit(counted: Fit, plain: Fit) -> None:
    one, other = counted.estimate, plain.estimate
    assert one is not None
    assert other is not None
    assert one.n_rows == other.n_rows == plain.model.design.n_rows
    assert (one.log_likelihood, one.aic, one.bic) == pytest.approx(
        (other.log_likelihood, other.aic, other.bic), rel=0, abs=1e-9
    )
    np.testing.assert_allclose(one.beta, other.beta, atol=1e-8)
    np.testing.assert_allclose(one.standard_errors, other.standard_errors, rtol=1e-6)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_gives_the_fit_of_the_table(kind: str, visits: pd.DataFrame, tmp_path: Path) -> None:
    formula = "healed ~ dose + arm + C(week) + (1 | clinic)"
    with pytest.warns(DataWarning, match=r"20 of 2,000 rows have missing values in dose \(20\) and were dropped"):
        counted = hl.Model(formula, SOURCES[kind](visits, tmp_path))
    plain = model(formula, visits)
    table = counted.design.table
    assert counted.design.n_rows < 600
    assert (table.n_rows, table.n_missing, dict(table.missing_by_column)) == (1980, 20, {"dose": 20})
    assert table.source.endswith(", rows counted")
    assert list(table.frame["arm"].cat.categories) == ["placebo", "drug", "high dose"]
    assert list(counted.design.groups[0].levels) == list(plain.design.groups[0].levels)
    assert_same_fit(counted.fit(hl.Laplace(seed=1)), plain.fit(hl.Laplace(seed=1)))


@pytest.mark.parametrize("formula", FORMULAS)
def test_what_is_learned_from_counts_is_learned_from_all_rows(formula: str, visits: pd.DataFrame) -> None:
    counted, plain = fitted(formula, lazy(visits)), fitted(formula, visits)
    one, other = counted.model.design, plain.model.design
    assert one.n_rows < other.n_rows / 2
    assert one.fixed_effects == other.fixed_effects
    assert [group.effects for group in one.groups] == [group.effects for group in other.groups]
    new = visits.dropna().iloc[:40]
    encoded, expected = one.encode(new), other.encode(new)
    np.testing.assert_allclose(encoded.X, expected.X, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(one.column_means, other.column_means, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(one.column_sds, other.column_sds, rtol=1e-10)
    for group, of_all in zip(one.groups, other.groups, strict=True):
        np.testing.assert_allclose(encoded.groups[group.name].Z, expected.groups[group.name].Z, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(group.column_sds, of_all.column_sds, rtol=1e-10)
        np.testing.assert_allclose(group.column_ranges, of_all.column_ranges, rtol=1e-10, atol=1e-12)
        assert group.sizes == of_all.sizes
    assert counted.model.stated_priors() == plain.model.stated_priors()
    assert one.outcome.counted == other.outcome.counted
    assert_same_fit(counted, plain)


@pytest.fixture(scope="module")
def fits(visits: pd.DataFrame) -> tuple[Fit, Fit]:
    """The same model of counted rows and of all rows."""
    formula = "healed ~ dose + arm * night + (1 + dose | clinic)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counted_sources, "COUNTED_FROM", 100)
        counted = fitted(formula, lazy(visits))
    return counted, fitted(formula, visits)


def test_averages_and_typical_values_are_those_of_all_rows(fits: tuple[Fit, Fit]) -> None:
    counted, plain = fits
    pd.testing.assert_frame_equal(hl.datagrid(counted), hl.datagrid(plain))
    results: list[Callable[[Fit], Any]] = [
        hl.avg_predictions,
        lambda fit: hl.avg_predictions(fit, by="arm"),
        lambda fit: hl.avg_comparisons(fit, {"dose": "sd", "arm": "reference"}),
        lambda fit: hl.avg_comparisons(fit, {"dose": "iqr"}, by="night"),
        lambda fit: hl.avg_slopes(fit, "dose"),
        hl.variance_components,
        hl.ranef,
        lambda fit: hl.league_table(fit).table,
        hl.r2,
        hl.summary,
        hl.odds_ratios,
        lambda fit: hl.pooling(fit).table,
        lambda fit: pd.DataFrame(slope_scores(ReferenceFit.of(fit).observed, absent_slopes(fit.model.design))),
    ]
    for result in results:
        one, other = result(counted), result(plain)
        numbers = one.select_dtypes("number").columns
        assert list(one.columns) == list(other.columns)
        np.testing.assert_allclose(one[numbers], other[numbers], rtol=1e-4, atol=1e-6)


def test_predictions_of_rows_are_for_combinations_with_their_numbers(
    fits: tuple[Fit, Fit], visits: pd.DataFrame
) -> None:
    counted, plain = fits
    table = hl.predictions(counted)
    assert str(table).startswith("Probability of healed = 'yes', of distinct rows")
    assert str(hl.residuals(counted)).startswith("Quantile residuals of distinct rows")
    assert len(table) == counted.model.design.n_rows
    assert table["rows"].sum() == 1980
    keys = ["dose", "arm", "night", "clinic"]
    of_all = hl.predictions(plain).drop_duplicates(keys).set_index(keys)["estimate"]
    np.testing.assert_allclose(table.set_index(keys)["estimate"], of_all.loc[table.set_index(keys).index], rtol=1e-6)
    # Rows as they are in the source, with outcomes as text, and rows that have been counted.
    rows = visits.dropna().iloc[:30]
    one, other = (hl.validate(fit, data=rows, clusters="average").table["brier"] for fit in fits)
    np.testing.assert_allclose(one, other, rtol=1e-4)
    outcome = counted.model.design.encode_outcome(rows)
    np.testing.assert_array_equal(outcome.y, rows["healed"] == "yes")
    again = counted.model.design.encode_outcome(counted.model.design.table.frame)
    np.testing.assert_array_equal(again.y, counted.model.design.outcome.y)
    np.testing.assert_array_equal(counted.model.design.encode_trials(rows), 1)
    with pytest.raises(PredictionError, match="must be one of 'no', 'yes'"):
        counted.model.design.encode_outcome(rows.assign(healed="perhaps"))


def test_checks_of_data_count_rows(fits: tuple[Fit, Fit]) -> None:
    one, other = (hl.check_data(fit.model) for fit in fits)
    pd.testing.assert_series_equal(one.totals, other.totals, rtol=1e-8)
    pd.testing.assert_frame_equal(one.clusters["clinic"], other.clusters["clinic"], check_dtype=False)
    pd.testing.assert_frame_equal(one.columns, other.columns, rtol=1e-8)
    assert [finding.code for finding in one.findings] == [finding.code for finding in other.findings]
    assert "1,980, counted to" in str(one)


def test_a_saved_fit_and_a_pickled_model_are_still_counted(fits: tuple[Fit, Fit], tmp_path: Path) -> None:
    import pickle

    counted, _ = fits
    counted.save(tmp_path / "fit.nc")
    for again in (hl.load(tmp_path / "fit.nc").model, pickle.loads(pickle.dumps(counted.model))):
        assert again.design.table.counted == counted.model.design.table.counted
        assert again.design.outcome.counted == counted.model.design.outcome.counted
        np.testing.assert_allclose(again.design.X, counted.model.design.X, rtol=1e-12)
        assert list(again.design.encode_outcome({"healed": ["no", "yes"]}).y) == [0, 1]


def test_models_with_different_predictors_are_compared(visits: pd.DataFrame) -> None:
    rows = lazy(visits.dropna())
    formulas = ("healed ~ dose + (1 | clinic)", "healed ~ dose + arm + (1 | clinic)")
    counted, plain = ([fitted(formula, data) for formula in formulas] for data in (rows, visits.dropna()))
    np.testing.assert_allclose(
        hl.compare(dict(zip("ab", counted, strict=True)))["bic"], hl.compare(dict(zip("ab", plain, strict=True)))["bic"]
    )
    tests = [hl.likelihood_ratio(pair[0], pair[1], method="chibar") for pair in (counted, plain)]
    assert tests[0].p_value == pytest.approx(tests[1].p_value, rel=1e-6)
    with pytest.raises(FitError, match="the bootstrap compares rows, but those of 'fit0' and 'fit1'"):
        hl.likelihood_ratio(counted[0], counted[1], method="bootstrap")
    with pytest.raises(FitError, match="not nested: the second one has no 'arm'"):
        hl.likelihood_ratio(counted[1], fitted("healed ~ dose * night + (1 | clinic)", rows), method="chibar")


def test_leaving_clusters_out_agrees(fits: tuple[Fit, Fit]) -> None:
    one, other = (hl.influence(fit) for fit in fits)
    pd.testing.assert_frame_equal(one.table, other.table.loc[one.table.index], rtol=1e-4, check_dtype=False)
    with pytest.warns(ConvergenceWarning, match="12 clusters of clinic"):
        robust = [hl.robust(fit).estimate for fit in fits]
    np.testing.assert_allclose(robust[0].standard_errors, robust[1].standard_errors, rtol=1e-6)  # type: ignore[union-attr]
    with pytest.raises(FitError, match="have been counted, so that there is no value for each"):
        hl.robust(fits[0], cluster=np.arange(1980))


def test_log_likelihoods_of_rows_have_no_binomial_coefficients(fits: tuple[Fit, Fit]) -> None:
    plain = fits[1]
    draws = Draws.of(plain.model, plain.posterior)[np.arange(3)]
    clusters = [fit.model.design.groups[0].index for fit in fits]
    values = [
        integrated_log_likelihood(fit.model, draws, index == 5) for fit, index in zip(fits, clusters, strict=True)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=0, atol=1e-8)
    totals = [
        pointwise_log_likelihood(fit.model, plain.posterior)["healed"].isel(draw=slice(2)).sum("obs") for fit in fits
    ]
    np.testing.assert_allclose(totals[0], totals[1], rtol=0, atol=1e-7)


@pytest.mark.slow
def test_the_densities_of_a_counted_model_agree(fits: tuple[Fit, Fit]) -> None:
    assert hl.check_density(fits[0].model).agrees


def test_translations_know_of_counts(fits: tuple[Fit, Fit]) -> None:
    program = pymc_program(fits[0].model)
    assert 'trials = data["rows"].to_numpy()' in program.code
    assert "means = rows @ X / rows.sum()" in program.code
    assert program.data["rows"].sum() == 1980
    with pytest.raises(ModelError, match="the rows of this model have been counted"):
        fits[0].model.to_bambi()  # type: ignore[attr-defined]
    assert "947 of 1,980 rows" in str(hl.explain(fits[0].model))


def test_successes_out_of_trials_keep_their_constants(tmp_path: Path) -> None:
    herds = pd.concat([hl.datasets.load("cbpp")] * 6, ignore_index=True)
    for response in ("p(successes, size)", "cbind(successes, failures)", "p(successes, 40)"):
        rows = herds.assign(failures=herds["size"] - herds["successes"])
        formula = f"{response} ~ period + (1 | herd)"
        counted, plain = fitted(formula, lazy(rows)), fitted(formula, rows)
        assert counted.model.design.n_rows == 56
        assert_same_fit(counted, plain)
        np.testing.assert_array_equal(counted.model.design.encode_trials(rows), plain.model.design.encode_trials(rows))
        np.testing.assert_array_equal(
            counted.model.design.encode_trials(counted.model.design.table.frame), counted.model.design.outcome.trials
        )
        assert counted.model.design.outcome.counted == plain.model.design.outcome.counted


def test_frequency_weights_of_a_large_table_are_not_repeated(
    visits: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["healed", "dose", "clinic"]
    grouped = visits.groupby(keys, observed=True).size().rename("n").reset_index()
    plain = fitted("healed ~ dose + (1 | clinic)", visits)
    weights = hl.FrequencyWeights("n")
    of_source = fitted("healed ~ dose + (1 | clinic)", lazy(pd.concat([grouped] * 3)), weights=weights)
    assert of_source.estimate is not None
    assert of_source.estimate.n_rows == 3 * 1980
    monkeypatch.setattr("hierlogit.design.training_rows.MOST_ROWS", 1000)
    counted = fitted("healed ~ dose + (1 | clinic)", grouped, weights=weights)
    assert counted.model.design.n_rows == 48
    assert (
        counted.model.design.table.counted
        == f"1,980, counted to 48 distinct rows ({len(grouped)} rows of the table, counted by 'n')"
    )
    assert_same_fit(counted, plain)
    with pytest.raises(DesignError, match="at most 1,000 can be repeated, and they cannot be counted"):
        model("healed ~ I(dose - np.mean(dose)) + (1 | clinic)", grouped, weights=weights)


def test_sampling_weights_of_counted_rows(visits: pd.DataFrame) -> None:
    rows = visits.assign(w=np.where(visits["night"], 2.0, 1.0))
    formula, weights = "healed ~ dose + (1 | clinic)", hl.SamplingWeights("w")
    counted = fitted(formula, lazy(rows), weights=weights)
    plain = fitted(formula, rows, weights=weights)
    assert counted.model.design.n_rows == 96
    assert counted.estimate is not None
    assert plain.estimate is not None
    assert counted.estimate.log_likelihood == pytest.approx(plain.estimate.log_likelihood, rel=0, abs=1e-9)
    np.testing.assert_allclose(counted.estimate.standard_errors, plain.estimate.standard_errors, rtol=1e-6)
    alone = model("healed ~ dose", lazy(rows), weights=weights).design.table
    assert alone.source.endswith(
        "not counted, since standard errors with sampling weights come from the differences between single rows"
    )
    average, of_all = (hl.avg_predictions(fit)["estimate"] for fit in (counted, plain))
    np.testing.assert_allclose(average, of_all, rtol=1e-6)
