"""The command: its files, tables and messages. The sampler is replaced by made-up draws, save in one slow test."""

import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import hierlogit as hl
from hierlogit.cli import output
from hierlogit.cli.app import app
from hierlogit.cli.output import curve_predictor
from hierlogit.cli.terminal import show_table
from hierlogit.model import Model
from hierlogit.numba_support.code_files import CodeFiles

PICTURES = {"forest.png", "caterpillar.png", "curves.png", "cluster_check.png"}
TABLES = {"summary.csv", "odds_ratios.csv", "variance_components.csv", "cluster_effects.csv", "predictions.csv"}
FORMULA = "healed ~ dose + arm + (1 + dose | clinic)"


@pytest.fixture
def engines(monkeypatch, make_fit) -> list[Any]:
    """Replace sampling by made-up draws; holds the engines that were asked for."""
    asked: list[Any] = []

    def fit(model: Model, engine: Any = "nuts") -> hl.results.Fit:
        asked.append(engine)
        return make_fit(model, None, draws=60)

    monkeypatch.setattr(Model, "fit", fit)
    return asked


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """Draw no pictures, which take most of the time of a command, where a test is of something else."""
    monkeypatch.setattr(output, "_pictures", lambda *_: {})


@pytest.fixture
def rows(tmp_path, clustered_rows) -> Path:
    path = tmp_path / "rows.csv"
    clustered_rows(12, 10).to_csv(path, index=False)
    return path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def refused(result: Any) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert not isinstance(result.exception, hl.errors.HierlogitError)
    return str(result.stderr)


def test_demo_writes_tables_and_pictures_and_lists_them(engines, tmp_path):
    out = tmp_path / "demo"
    result = run("demo", "--output", out, "--draws", 500, "--chains", 2, "--seed", 7)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == TABLES | PICTURES | {"fit.nc"}
    engine = engines[0]
    assert (engine.draws, engine.tune, engine.chains, engine.seed) == (500, None, 2, 7)
    text = result.stdout
    assert "after 400 steps of tuning" in text
    assert "the event is use = 1" in text
    assert re.search(r"^urban\[Y\] +-?\d\.\d+ ", text, re.MULTILINE)
    assert re.search(r"^sd\[urban\[Y\]\] ", text, re.MULTILINE)
    assert re.search(r"^cor\[Intercept, urban\[Y\]\] ", text, re.MULTILINE)
    assert "Predicted probability of use = 1 by district, first 8 of 60 rows" in text
    for name in TABLES | PICTURES | {"fit.nc"}:
        assert re.search(rf"^{re.escape(name)} ", text, re.MULTILINE), name
    assert max(len(line) for line in text.splitlines()) <= 80


def test_files_hold_what_the_verbs_give(engines, rows, tmp_path):
    out = tmp_path / "out"
    assert run("fit", rows, FORMULA, "-o", out, "--ci-prob", 0.95).exit_code == 0
    fit = hl.load(out / "fit.nc")
    read = pd.read_csv(out / "summary.csv", index_col=0)
    pd.testing.assert_frame_equal(read, pd.DataFrame(hl.summary(fit, ci_prob=0.95)))
    assert "eti95_lb" in read.columns
    read = pd.read_csv(out / "predictions.csv")
    expected = hl.predictions(fit, by="clinic", ci_prob=0.95)
    np.testing.assert_allclose(read["mean"], expected["mean"])
    assert list(read["clinic"]) == list(expected["clinic"])
    assert len(pd.read_csv(out / "cluster_effects.csv")) == 24
    for name in PICTURES:
        with Image.open(out / name) as picture:
            assert picture.info["Description"].endswith("."), name


def test_every_option_reaches_the_engine(engines, rows, tmp_path, undrawn):
    options = {"draws": 300, "tune": 200, "chains": 3, "cores": 1, "seed": 5, "target-accept": 0.95, "backend": "pymc"}
    options["effects"] = "sampled"
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    assert run("fit", rows, FORMULA, "-o", tmp_path / "out", *given).exit_code == 0
    engine = engines[0]
    assert engine == hl.NUTS(
        draws=300,
        tune=200,
        chains=3,
        cores=1,
        seed=5,
        target_accept=0.95,
        backend="pymc",
        effects="sampled",
        progress=engine.progress,
    )


@pytest.mark.parametrize(
    ("options", "engine"),
    [
        (["--engine", "laplace", "--seed", 3], hl.Laplace(seed=3)),
        (["--engine", "AGQ", "--nodes", 7, "--draws", 200], hl.AGQ(nodes=7, draws=200)),
        (["--engine", "map"], hl.MAP()),
    ],
)
def test_likelihood_engines_can_be_chosen(engines, rows, tmp_path, options, engine, undrawn):
    result = run("fit", rows, FORMULA, "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert engines == [engine]
    assert f"Fitting by {engine!r}" in result.stdout


def test_priors_reach_the_model(rows, tmp_path, undrawn):
    given = ["--prior", "dose=Normal(0, 0.5)", "--prior", "sd_clinic=Exponential(lam=2)", "--engine", "map"]
    assert run("fit", rows, FORMULA, "-o", tmp_path / "out", "--seed", 1, *given).exit_code == 0
    model = hl.load(tmp_path / "out" / "fit.nc").model
    assert str(model.priors.fixed["dose"]) == "Normal(mu=0, sigma=0.5)"
    assert {str(prior) for prior in model.priors.sd["clinic"]} == {"Exponential(lam=2)"}


def test_a_likelihood_fit_writes_its_estimates(rows, tmp_path, undrawn):
    result = run("fit", rows, FORMULA, "-o", tmp_path / "out", "--engine", "laplace", "--seed", 1)
    assert result.exit_code == 0, result.output
    read = pd.read_csv(tmp_path / "out" / "summary.csv", index_col=0)
    np.testing.assert_allclose(read["estimate"], hl.summary(hl.load(tmp_path / "out" / "fit.nc"))["estimate"])
    assert re.search(r"^dose +-?\d", result.stdout, re.MULTILINE)


def test_wide_tables_go_on_below_without_broken_labels(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    names = [f"column_number_{k}" for k in range(6)]
    frame = pd.DataFrame(np.arange(12.0).reshape(2, 6), columns=names)
    frame.insert(0, "parameter", ["date[2023-06-01]", "date[2023-06-02]"])
    show_table(frame)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert [name for line in lines for name in line.split() if name in names] == names
    assert sum(line.startswith("date[2023-06-02]") for line in lines) == 3


def test_plain_logistic_regression_says_what_it_leaves_out(engines, rows, tmp_path):
    out = tmp_path / "out"
    result = run("fit", rows, "healed ~ dose", "-o", out)
    assert result.exit_code == 0, result.output
    assert "no caterpillar.png, curves.png and cluster_check.png: the model has no random terms" in result.stdout
    names = {path.name for path in out.iterdir()}
    assert names == {"fit.nc", "summary.csv", "odds_ratios.csv", "predictions.csv", "forest.png"}
    assert len(pd.read_csv(out / "predictions.csv")) == 120


def test_only_random_intercepts_say_what_they_leave_out(engines, rows, tmp_path):
    out = tmp_path / "out"
    result = run("fit", rows, "healed ~ 1 + (1 | clinic)", "-o", out)
    assert result.exit_code == 0, result.output
    assert "no forest.png" in result.stdout
    assert "no curves.png" in result.stdout
    assert {path.name for path in out.iterdir()} == (TABLES | PICTURES | {"fit.nc"}) - {
        "forest.png",
        "curves.png",
        "odds_ratios.csv",
    }


def test_crossed_factors_have_a_table_of_predictions_each(engines, rows, tmp_path, undrawn):
    out = tmp_path / "out"
    result = run("fit", rows, "healed ~ arm + (1 | clinic) + (1 | arm:reader)", "-o", out)
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(out / "predictions_clinic.csv")) == 12
    assert list(pd.read_csv(out / "predictions_arm_reader.csv").columns[:3]) == ["arm", "reader", "rows"]


def test_results_are_replaced_only_when_asked(engines, rows, tmp_path):
    out = tmp_path / "out"
    assert run("fit", rows, "healed ~ dose", "-o", out).exit_code == 0
    before = (out / "summary.csv").stat().st_mtime_ns
    message = refused(run("fit", rows, "healed ~ dose", "-o", out))
    assert "already has fit.nc, summary.csv, odds_ratios.csv and 2 more. Pass --overwrite" in message
    assert (out / "summary.csv").stat().st_mtime_ns == before
    assert len(engines) == 1
    assert run("fit", rows, "healed ~ dose", "-o", out, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.csv", FORMULA), "there is no file nowhere.csv"),
        (("rows.csv", "healed ~ dose + (1 | ward)"), "'ward'"),
        (("rows.csv", "healed ~ dose + "), "healed ~ dose +"),
        (("rows.csv", "dose ~ arm"), "is not binary"),
        (("rows.csv", FORMULA, "--missing", "guess"), "--missing guess is not allowed"),
        (("rows.csv", FORMULA, "--draws", "0"), "--draws 0"),
        (("rows.csv", FORMULA, "--draws", "many"), "Invalid value for '--draws'"),
        (("rows.csv", FORMULA, "--backend", "stan"), "--backend stan is not allowed"),
        (("rows.csv", FORMULA, "--target-accept", "1.5"), "--target-accept 1.5"),
        (("rows.csv", FORMULA, "--ci-prob", "89"), "--ci-prob 89.0 must be a number between 0 and 1"),
        (("rows.csv", FORMULA, "--seed", "-1"), "--seed -1"),
        (("rows.csv", FORMULA, "-o", "rows.csv"), "rows.csv is a file"),
        (("rows.csv", FORMULA, "-o", "rows.csv/out"), "rows.csv"),
        (("rows.xlsx", FORMULA), "is a spreadsheet: export the table as CSV"),
        (("empty.csv", FORMULA), "empty.csv is empty"),
        (("binary.csv", FORMULA), "binary.csv is not text in utf-8"),
        (("not_zipped.csv.gz", FORMULA), "cannot read not_zipped.csv.gz"),
        (("no_rows.csv", FORMULA), "no rows"),
        (("german.csv", FORMULA), "separated by semicolons"),
        (("broken.csv.zip", FORMULA), "cannot read broken.csv.zip"),
        (("broken.csv.xz", FORMULA), "cannot read broken.csv.xz"),
        (("rows.csv",), "Missing argument"),
        (("rows.csv", FORMULA, "--engine", "glmer"), "there is no engine 'glmer'"),
        (
            ("rows.csv", FORMULA, "--engine", "laplace", "--tune", "5"),
            "--engine laplace does not have the option --tune",
        ),
        (("rows.csv", FORMULA, "--nodes", "5"), "--engine nuts does not have the option --nodes"),
        (("rows.csv", FORMULA, "--engine", "agq", "--nodes", "0"), "--nodes 0"),
        (("rows.csv", FORMULA, "--prior", "beta"), "--prior needs a name and a family"),
        (("rows.csv", FORMULA, "--prior", "nothing=Normal(0, 1)"), "'nothing'"),
    ],
)
def test_bad_input_gives_one_message_and_status_2(engines, rows, monkeypatch, arguments, message):
    monkeypatch.chdir(rows.parent)
    Path("empty.csv").touch()
    Path("binary.csv").write_bytes(bytes(range(128, 256)))
    Path("not_zipped.csv.gz").write_text("healed,dose\n", encoding="utf-8")
    Path("no_rows.csv").write_text("healed,dose,arm,clinic\n", encoding="utf-8")
    Path("german.csv").write_text("healed;dose;arm;clinic\nyes;1,5;new;1\n", encoding="utf-8")
    Path("broken.csv.zip").write_bytes(b"PK not a zip file")
    Path("broken.csv.xz").write_bytes(b"\xfd7zXZ\x00 broken")
    Path("rows.xlsx").touch()
    error = refused(run("fit", *arguments))
    assert message in error
    assert not engines


@pytest.mark.parametrize(
    ("value", "message"), [("1,234", "'1,234' (1 row)"), (".", "'.' (1 row)"), ("person", "60 levels in 60 rows")]
)
def test_numbers_read_as_text_stop_before_a_fit(tmp_path, value, message):
    rng = np.random.default_rng(1)
    dose = [f"{number:.3f}" for number in rng.uniform(1, 9, 60)]
    dose = [f"person {number}" for number in range(60)] if value == "person" else [*dose[:-1], value]
    path = tmp_path / "rows.csv"
    pd.DataFrame({"y": rng.integers(0, 2, 60), "dose": dose}).to_csv(path, index=False)
    text = refused(run("fit", path, "y ~ dose", "-o", tmp_path / "out"))
    assert message in text
    assert "write C(dose)" in text


def test_marks_stay_under_the_part_of_a_long_formula_they_mark(rows):
    formula = "healed ~ dose + arm + I(dose**2) + I(dose**3) + I(dose**4) + I(dose**5) + I(dose**6) + (1 + [x] | ward)"
    formula = formula.replace("[x]", "colour")
    error = refused(run("fit", rows, formula)).splitlines()
    line = next(k for k, text in enumerate(error) if text.strip() == formula)
    marks = error[line + 1]
    assert set(marks.strip()) == {"^"}
    marked = error[line][marks.index("^") : marks.index("^") + marks.count("^")]
    assert marked in {"colour", "ward"}


def test_brackets_in_messages_are_no_markup(rows):
    assert "healed[...]" in refused(run("fit", rows, "healed[red] ~ dose"))


def test_warnings_are_one_line_each(engines, rows, tmp_path, monkeypatch, undrawn):
    frame = pd.read_csv(rows)
    frame.loc[3, "dose"] = np.nan
    frame.to_csv(rows, index=False)
    fitted = Model.fit

    def warn(model: Model, engine: Any = "nuts") -> hl.results.Fit:
        warnings.warn("3 transitions diverged.\nRaise target_accept.", hl.errors.ConvergenceWarning, stacklevel=2)
        warnings.warn("a library is old", DeprecationWarning, stacklevel=2)
        return fitted(model, engine)

    monkeypatch.setattr(Model, "fit", warn)
    result = run("fit", rows, FORMULA, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert [line[:9] for line in lines] == ["warning: ", "warning: "]
    assert "1 of 120 rows has missing values in dose (1) and was dropped" in lines[0]
    assert lines[1] == "warning: 3 transitions diverged. Raise --target-accept."


def test_missing_values_can_be_refused(rows, tmp_path):
    frame = pd.read_csv(rows)
    frame.loc[3, "dose"] = np.nan
    frame.to_csv(rows, index=False)
    assert "missing values" in refused(run("fit", rows, FORMULA, "--missing", "error", "-o", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_interruption_has_a_status_of_its_own(rows, tmp_path, monkeypatch):
    def interrupt(model: Model, engine: Any = "nuts") -> hl.results.Fit:
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "fit", interrupt)
    result = run("fit", rows, FORMULA, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr.startswith("error: interrupted")


def test_warm_shows_what_is_compiled_and_where(monkeypatch, tmp_path):
    compiled = CodeFiles(functions=12, missing=(), size=3_456_789, folder=tmp_path)
    monkeypatch.setattr("hierlogit.compile_ahead.compile_ahead", lambda: compiled)
    result = run("warm")
    assert result.exit_code == 0, result.output
    assert "".join(result.stdout.split("\n")) == f"12 functions are compiled: 3.5 MB in {tmp_path}"


def test_warm_shows_what_came_with_the_package(monkeypatch, tmp_path):
    compiled = CodeFiles(functions=2, missing=(), size=100_000, folder=tmp_path, shipped=85)
    monkeypatch.setattr("hierlogit.compile_ahead.compile_ahead", lambda: compiled)
    result = run("warm")
    assert result.stdout.startswith("85 functions came with the package as machine code.\n2 functions are compiled")


def test_an_interrupted_warm_keeps_what_is_compiled(monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hierlogit.compile_ahead.compile_ahead", interrupt)
    result = run("warm")
    assert result.exit_code == 130
    assert result.stderr.startswith("error: interrupted: what was compiled until then is kept")


def test_a_sampler_that_stops_early_still_gives_its_results(engines, rows, tmp_path, monkeypatch):
    fitted = Model.fit

    def stop(model: Model, engine: Any = "nuts") -> hl.results.Fit:
        fit = fitted(model, engine)
        return hl.results.Fit(fit.model, fit.data, replace(fit.diagnostics, status="interrupted"))

    monkeypatch.setattr(Model, "fit", stop)
    result = run("fit", rows, FORMULA, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert "these results are of the draws until then" in result.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == PICTURES | TABLES | {"fit.nc"}


def test_a_picture_that_cannot_be_drawn_does_not_lose_the_rest(engines, rows, tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise hl.errors.PredictionError("too many levels")

    monkeypatch.setattr(hl.plots, "curves", fail)
    out = tmp_path / "out"
    result = run("fit", rows, FORMULA, "-o", out)
    assert result.exit_code == 0
    assert "note: curves.png was not drawn: too many levels" in result.stdout
    assert (out / "cluster_check.png").exists()
    assert not re.search("^curves.png ", result.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("formula", "column"),
    [
        ("healed ~ arm + dose + (1 | clinic)", "dose"),
        ("healed ~ arm + (1 + dose | clinic)", "arm"),
        ("healed ~ I(dose**2) + (1 | clinic)", "dose"),
        ("healed ~ 1 + (1 + dose | clinic)", None),
        ("healed ~ arm + offset(dose) + (1 | clinic)", "arm"),
    ],
)
def test_curves_go_along_the_first_number_of_the_fixed_part(formula, column, clustered_rows):
    assert curve_predictor(Model(formula, clustered_rows(5, 10))) == column


def test_data_sets_are_listed():
    result = run("datasets")
    assert result.exit_code == 0
    for name in hl.datasets.list()["name"]:
        assert re.search(rf"^{name} +\d+", result.stdout, re.MULTILINE)


def test_version_and_help():
    assert re.match(r"hierlogit \S+", run("--version").stdout)
    text = run("--help").stdout
    assert all(command in text for command in ("demo", "fit", "datasets"))


def test_help_is_light():
    code = (
        "import sys; from hierlogit.cli.app import app; app(['--help'], standalone_mode=False); "
        "assert not {'pymc', 'pandas', 'xarray', 'matplotlib', 'formulae'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_a_real_run(rows, tmp_path):
    out = tmp_path / "out"
    result = run("fit", rows, FORMULA, "-o", out, "--draws", 100, "--tune", 200, "--chains", 2, "--seed", 1)
    assert result.exit_code == 0, result.output
    assert hl.load(out / "fit.nc").diagnostics.seed == 1


def test_what_the_data_cannot_tell_is_said_before_the_fit(tmp_path, clustered_rows, monkeypatch):
    frame = clustered_rows(12, 10)
    frame["row"] = range(len(frame))
    path = tmp_path / "rows.csv"
    frame.to_csv(path, index=False)
    outcome = FORMULA.split("~", maxsplit=1)[0].strip()

    def fit(self, engine):
        raise hl.errors.EngineError("here the fit would begin.")

    monkeypatch.setattr(Model, "fit", fit)
    result = run("fit", path, f"{outcome} ~ dose + (1 | row)", "-o", tmp_path / "one")
    assert "warning: Each of the 120 clusters of 'row' has a single trial" in result.stderr
    assert result.stderr.count("single trial") == 1
    few = frame[frame["clinic"].isin(["clinic 1", "clinic 2", "clinic 3"])]
    few.to_csv(path, index=False)
    result = run("fit", path, f"{outcome} ~ dose + (1 | clinic)", "-o", tmp_path / "two")
    assert "warning: 'clinic' has 3 clusters: so few carry little information" in result.stderr
    assert result.stderr.index("3 clusters") < result.stderr.index("here the fit would begin")


def test_predictions_of_a_saved_fit(make_fit, clustered_rows, tmp_path):
    fit = make_fit(FORMULA, clustered_rows(12, 10), draws=60)
    fit.save(tmp_path / "fit.nc")
    grid = hl.datagrid(fit, arm=["control", "new"])
    grid.to_csv(tmp_path / "grid.csv", index=False)
    out = tmp_path / "low.csv"
    result = run("predict", tmp_path, tmp_path / "grid.csv", "-o", out, "--clusters", "low,0.9", "--ci-prob", 0.5)
    assert result.exit_code == 0, result.output
    assert "4 predictions in" in result.stdout
    written, expected = pd.read_csv(out), hl.predictions(fit, grid, clusters=[0.1, 0.9], ci_prob=0.5)
    assert written["clusters"].tolist() == ["clinic 10%"] * 2 + ["clinic 90%"] * 2
    np.testing.assert_allclose(written["eti50_lb"], expected["eti50_lb"])
    assert "already exists. Pass --overwrite" in refused(run("predict", tmp_path, "-o", out))
    result = run(
        "predict", tmp_path / "fit.nc", "-o", out, "--overwrite", "--clusters", "clinic=average", "--by", "arm"
    )
    assert result.exit_code == 0, result.output
    assert pd.read_csv(out)["rows"].sum() == 120
    wrong = refused(run("predict", tmp_path, "-o", tmp_path / "no.csv", "--clusters", "1.5"))
    assert "clusters=1.5 must be a number between 0 and 1" in wrong
    twice = refused(run("predict", tmp_path, "-o", tmp_path / "no.csv", "--clusters", "low", "--clusters", "high"))
    assert "pass --clusters once for each grouping factor" in " ".join(twice.split())
    assert not (tmp_path / "no.csv").exists()
