"""Importance sampling of models of shards: the draws of the fits in memory, whatever the shards and the workers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

import hierlogit as hl
from hierlogit import progress
from hierlogit.errors import ConvergenceWarning, EngineError, FitError, StudyError
from hierlogit.shards import importance
from hierlogit.shards.objective import Sums

FORMULA = "use ~ urban + (1 + urban | district)"
ENGINE = hl.ImportanceSampling(draws=300, seed=1, progress=False)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return hl.datasets.load("contraception")


@pytest.fixture(scope="module")
def shards(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> hl.Shards:
    return hl.Shards.write(table, tmp_path_factory.mktemp("women") / "shards", group="district", shards=3)


@pytest.fixture(scope="module")
def whole(table: pd.DataFrame) -> hl.results.Fit:
    return hl.Model(FORMULA, table).fit(ENGINE)


@pytest.fixture(scope="module")
def found(shards: hl.Shards) -> hl.results.ShardedPosterior:
    return shards.model(FORMULA).fit(ENGINE)


def assert_same_draws(found: hl.results.ShardedPosterior, whole: hl.results.Fit) -> None:
    for group in ("posterior", "log_prior"):
        for name, values in found.data[group].data_vars.items():
            xr.testing.assert_allclose(values, whole.data[group][str(name)], rtol=1e-9, atol=1e-9)
    assert set(whole.posterior.data_vars) - set(found.posterior.data_vars) == {
        f"b_{one.result_name}" for one in whole.model.design.groups
    }
    for name, value in whole.diagnostics.measures.items():
        assert found.diagnostics.measures[name] == pytest.approx(value, rel=1e-7, abs=1e-9)
    assert found.diagnostics.settings["nodes"] == whole.diagnostics.settings["nodes"]
    assert found.diagnostics.findings == whole.diagnostics.findings
    assert found.diagnostics.status == whole.diagnostics.status


def assert_same_bits(first: hl.results.ShardedPosterior, second: hl.results.ShardedPosterior) -> None:
    xr.testing.assert_identical(first.posterior, second.posterior)
    assert first.diagnostics.measures == second.diagnostics.measures


def test_draws_are_those_of_all_rows(found: hl.results.ShardedPosterior, whole: hl.results.Fit) -> None:
    assert_same_draws(found, whole)
    pd.testing.assert_frame_equal(pd.DataFrame(found.summary()), pd.DataFrame(hl.summary(whole)), rtol=1e-7)
    narrow = found.summary(ci_prob=0.5, ci_kind="hdi")
    assert {"hdi50_lb", "hdi50_ub"} <= set(narrow)


def test_draws_of_nested_factors_are_those_of_all_rows(tmp_path: Path) -> None:
    rows = hl.datasets.load("guimmun")
    rows = rows[rows["comm"].isin(sorted(rows["comm"].unique())[:30])]
    formula, engine = "immun ~ kid2p + (1 | comm/mom)", hl.ImportanceSampling(draws=100, nodes=5, seed=2)
    shards = hl.Shards.write(rows, tmp_path / "shards", group="comm", shards=3)
    with pytest.warns(ConvergenceWarning):
        found = shards.model(formula).fit(engine)
    with pytest.warns(ConvergenceWarning):
        fit = hl.Model(formula, rows).fit(engine)
    for name, values in found.posterior.data_vars.items():
        xr.testing.assert_allclose(values, fit.posterior[name], rtol=1e-9, atol=1e-9)
    assert [one.code for one in found.diagnostics.findings] == [one.code for one in fit.diagnostics.findings]
    assert not any("NUTS" in one.remedy for one in found.diagnostics.findings)
    written = pd.read_parquet(found.ranef(tmp_path / "mothers", group="comm:mom"))
    assert len(written) == rows.groupby(["comm", "mom"], observed=True).ngroups


def test_coefficients_of_trials_and_priors_count(tmp_path: Path) -> None:
    rows = hl.datasets.load("cbpp")
    shards = hl.Shards.write(rows, tmp_path / "herds", group="herd", shards=3)
    formula = "p(successes, size) ~ period + (1 | herd)"
    priors = {"period": hl.priors.Normal(-1.0, 0.2), "sd_herd": hl.priors.HalfNormal(0.3)}
    model = shards.model(formula, priors=priors)
    assert_same_draws(model.fit(ENGINE), hl.Model(formula, rows, priors=priors).fit(ENGINE))


def test_workers_do_not_change_a_bit(shards: hl.Shards, found: hl.results.ShardedPosterior) -> None:
    for workers in (1, 2):
        with ThreadPoolExecutor(workers) as pool:
            other = shards.model(FORMULA, executor=pool).fit(ENGINE, executor=pool)
        assert_same_bits(other, found)


def test_an_interrupted_fit_goes_on_to_the_same_bits(
    shards: hl.Shards, found: hl.results.ShardedPosterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, model, asked = tmp_path / "fit.json", shards.model(FORMULA), []
    results_at = Sums.results_at

    def counted(*arguments: object) -> object:
        asked.append(arguments)
        if len(asked) == 9:
            raise KeyboardInterrupt
        return results_at(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Sums, "results_at", counted)
    with pytest.raises(KeyboardInterrupt, match=r"interrupted after round \d+, .*fit\.json has its rounds: repeat"):
        model.fit(ENGINE, store=store)
    resumed = model.fit(ENGINE, store=store)
    assert_same_bits(resumed, found)
    rounds = len(asked)
    assert rounds > 12
    assert_same_bits(shards.model(FORMULA).fit(ENGINE, store=store), found)
    assert len(asked) == rounds
    with pytest.raises(StudyError, match="holds another study, with another engine"):
        model.fit(hl.ImportanceSampling(draws=300, seed=2), store=store)
    with pytest.raises(EngineError, match=r"pass one, hl\.ImportanceSampling\(seed=1\)"):
        model.fit("importance", store=store)


def test_an_interruption_before_the_first_round_says_so(shards: hl.Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    model = shards.model(FORMULA)
    monkeypatch.setattr(Sums, "plain_regression", interrupted)
    with pytest.raises(KeyboardInterrupt, match="before its first round; nothing of it is kept"):
        model.fit(ENGINE)


def test_rounds_are_shown(
    shards: hl.Shards, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    monkeypatch.setattr(progress, "LINE_PAUSE", -1.0)
    with progress.lines_where_unwatched():
        fit = shards.model(FORMULA).fit(hl.ImportanceSampling(draws=300, nodes=5, seed=1))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Sampling shards")]
    assert len(lines) == fit.diagnostics.measures["rounds"]
    assert any("gradients at 10 points" in line for line in lines)
    assert any("log densities at 250 of 500 vectors" in line for line in lines)
    with progress.lines_where_unwatched():
        shards.model(FORMULA).fit(hl.ImportanceSampling(draws=300, nodes=5, seed=1, progress=False))
    assert "Sampling shards" not in capsys.readouterr().err


def test_effects_are_those_of_all_rows_up_to_chance(
    found: hl.results.ShardedPosterior, whole: hl.results.Fit, shards: hl.Shards, tmp_path: Path
) -> None:
    written = pd.read_parquet(found.ranef(tmp_path / "effects")).set_index(["level", "effect"]).sort_index()
    expected = hl.ranef(whole).droplevel("group").sort_index()
    assert len(written) == 120
    assert list(written) == list(expected.columns)
    errors = expected["sd"] * np.sqrt(2 / 300)
    z = (written["mean"] - expected.loc[written.index, "mean"]) / errors
    assert np.abs(z).max() < 5
    assert 0.7 < np.sqrt((z**2).mean()) < 1.3
    assert np.abs(np.log(written["sd"] / expected["sd"])).max() < 0.25
    # The random numbers of different shards are different ones.
    with ThreadPoolExecutor(2) as pool:
        again = pd.read_parquet(found.ranef(tmp_path / "again", executor=pool)).set_index(["level", "effect"])
    pd.testing.assert_frame_equal(again.sort_index(), written)
    with pytest.raises(FitError, match="not empty"):
        found.ranef(tmp_path / "effects")
    with pytest.raises(FitError, match="'nonsense'"):
        found.ranef(tmp_path / "more", group="nonsense")


def test_predictions_are_those_of_all_rows(
    found: hl.results.ShardedPosterior, whole: hl.results.Fit, table: pd.DataFrame, tmp_path: Path
) -> None:
    expected = table.sort_values("woman")
    for clusters, atol in (("typical", 1e-9), ("average", 1e-6), ("observed", 0.03)):
        written = pd.read_parquet(found.predictions(tmp_path / clusters, clusters)).sort_values("woman")  # type: ignore[arg-type]
        assert list(written) == [*table, "mean", "sd", "eti89_lb", "eti89_ub"]
        inside = hl.predictions(whole, expected, clusters=clusters)  # type: ignore[arg-type]
        for column in ("mean", "sd"):
            np.testing.assert_allclose(written[column], inside[column], atol=atol)
    first = expit(found.posterior["beta"].sel(fixed_effect="Intercept")).mean().item()
    typical = pd.read_parquet(tmp_path / "typical")
    np.testing.assert_allclose(typical.loc[typical["urban"] == "N", "mean"], first, atol=1e-12)


def test_other_functions_name_the_methods(found: hl.results.ShardedPosterior) -> None:
    with pytest.raises(FitError, match=r"\(got ShardedPosterior\)\. A posterior of shards has methods instead"):
        hl.summary(found)  # type: ignore[arg-type]


def test_columns_with_names_of_predictions_are_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    named = hl.Shards.write(table.assign(sd=1.0), tmp_path / "shards", group="district", shards=2)
    fit = named.model("use ~ urban + (1 | district)").fit(hl.ImportanceSampling(draws=100, nodes=2, seed=1))
    with pytest.raises(FitError, match="names of the predictions, 'sd': rename them"):
        fit.predictions(tmp_path / "predicted")


def test_draws_are_saved_for_arviz(found: hl.results.ShardedPosterior, tmp_path: Path) -> None:
    path = found.save(tmp_path / "posterior.nc")
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        again = opened.load()
    for group in ("posterior", "log_prior"):
        xr.testing.assert_equal(again[group].to_dataset(), found.data[group].to_dataset())
    with pytest.raises(FitError, match=r"draws of a model of shards.*xarray\.open_datatree"):
        hl.load(path)


def test_factors_that_cross_the_shards_are_refused(tmp_path: Path) -> None:
    shards = hl.Shards.write(hl.datasets.load("bacteria"), tmp_path / "shards", group="ID", shards=2)
    with pytest.raises(EngineError, match=r"those of 'week' cross the shards.*use hl\.MAP\(\)"):
        shards.model("y ~ trt + (1 | ID) + (1 | week)").fit("importance")
    with pytest.raises(EngineError, match=r"hl\.ImportanceSampling\(\), and the engine is hl\.NUTS\(\)"):
        shards.model("y ~ trt + (1 | ID)").fit("nuts")


def test_unreliable_weights_are_an_error(shards: hl.Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "khat_threshold", lambda _: -1.0)
    with pytest.warns(ConvergenceWarning, match="Pareto k-hat of the importance weights"):
        fit = shards.model(FORMULA).fit(hl.ImportanceSampling(draws=200, nodes=3, seed=1))
    assert fit.diagnostics.status == "failed"
    assert "unreliable_weights" in [one.code for one in fit.diagnostics.findings]
