"""Sources are counted if that pays, read as a whole if it does not and they fit, and refused if they do not."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

import hierlogit as hl
from hierlogit.design import counted_sources
from hierlogit.design.row_counts import CountedColumn, most_frequent
from hierlogit.design.training_rows import uncountable
from hierlogit.errors import DataWarning, DesignError, FormulaError, PredictionError
from hierlogit.formula.parser import parse


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted_sources, "COUNTED_FROM", 20)
    monkeypatch.setattr(counted_sources, "CHUNK", 16)


def rows(n: int = 120) -> pd.DataFrame:
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "y": random.integers(0, 2, n),
            "x": random.integers(0, 3, n),
            "z": random.normal(size=n),
            "g": random.choice(["a", "b", "c"], n),
        }
    )


def lazy(frame: pd.DataFrame) -> pl.LazyFrame:
    return pl.from_pandas(frame).lazy()


def test_rows_are_counted_only_where_it_pays() -> None:
    few = hl.Model("y ~ x + (1 | g)", lazy(rows(20))).design.table
    assert (few.counts, few.source) == (None, "LazyFrame of polars, collected")
    many = hl.Model("y ~ x + (1 | g)", lazy(rows())).design.table
    assert many.counted == "120, counted to 9 distinct rows"
    assert many.source == "LazyFrame of polars, rows counted"
    distinct = hl.Model("y ~ z + (1 | g)", lazy(rows()))
    assert distinct.design.n_rows == 120
    assert distinct.design.table.source == (
        "LazyFrame of polars, collected; rows not counted, since most of them are distinct"
    )
    assert "rows not counted, since most of them are distinct" in str(hl.check_data(distinct))
    assert hl.Model("y ~ x + (1 | g)", rows()).design.table.counts is None
    assert hl.Model("y ~ x + (1 | g)", pl.from_pandas(rows())).design.table.counts is None


@pytest.mark.parametrize(
    ("formula", "options", "reason"),
    [
        ("y ~ I(x - np.mean(x)) + (1 | g)", {}, "'np.mean' depends on all rows at once"),
        (
            "y ~ f(x) + (1 | g)",
            {"namespace": {"f": lambda x: x - x.mean()}},
            "'f' is a function of your program, which may depend on all rows at once",
        ),
        ("p(y, x) ~ log(x) + (1 | g)", {}, "the trials 'x' are also a predictor"),
        ("p(y * x, x) ~ 1 + (1 | g)", {}, "'y * x' is computed from columns"),
        ("p(y, x) ~ 1 + (1 | g)", {"family": "betabinomial"}, "sums of beta-binomial outcomes are not beta-binomial"),
    ],
)
def test_rows_that_cannot_be_added_up_are_read(formula: str, options: dict[str, Any], reason: str) -> None:
    frame = rows().assign(x=lambda frame: frame["x"] + 1)
    model = hl.Model(formula, lazy(frame), **options)
    assert model.design.table.source.endswith(f"; rows not counted, since {reason}")
    expected = hl.Model(formula, frame, **options)
    np.testing.assert_array_equal(model.design.X, expected.design.X)


@pytest.mark.parametrize("function", ["np.average", "np.median", "np.nanmean", "np.ptp", "np.var"])
def test_functions_of_all_rows_are_not_computed_from_distinct_ones(function: str) -> None:
    assert uncountable(parse(f"y ~ I(x - {function}(x)) + (1 | g)"), None, None, "binomial")


def test_values_of_the_program_may_be_used() -> None:
    options: dict[str, Any] = {"namespace": {"knots": [1.0]}}
    design = hl.Model("y ~ bs(x, knots=knots, degree=1) + (1 | g)", lazy(rows()), **options).design
    assert design.n_rows == 9


def test_what_does_not_fit_into_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted_sources, "memory", lambda: 48_000)
    monkeypatch.setattr(counted_sources, "COUNTED_FROM", 20)
    assert hl.Model("y ~ x + (1 | g)", lazy(rows())).design.n_rows == 9
    message = (
        r"the 120 rows of {} cannot be counted together, since {} of them are distinct \('z' has 20 different values "
        r"in the first 20 rows\), and a model of all of them would need about 5.76e-05 GB of memory, .* about 50 rows "
        r"fit. If 'z' is a predictor, round it in the source, cut it into intervals or leave it out. Divide the rows "
        r"into files of whole clusters with hl.Shards.write, or fit the model to a sample of the clusters."
    )
    with pytest.raises(DesignError, match=message.format("the LazyFrame of polars", "more than 50")):
        hl.Model("y ~ z + (1 | g)", lazy(rows()))
    rows().to_parquet(tmp_path / "visits.parquet")
    with pytest.raises(DesignError, match=message.format("visits.parquet", "more than 50")):
        hl.Model("y ~ z + (1 | g)", tmp_path / "visits.parquet")
    with pytest.raises(DesignError, match=r"\('z' has 20 different values"):
        hl.Model("y ~ z + w + (1 | g)", lazy(rows()).with_columns(w=pl.concat_list("z", "x")))
    with pytest.raises(DesignError, match=r"depends on all rows at once, and a model .* rows fit. Divide the rows"):
        hl.Model("y ~ I(z - np.mean(z)) + (1 | g)", lazy(rows()))


def test_errors_come_before_rows_are_read() -> None:
    def fail(_: object) -> int:
        raise AssertionError("rows were read")

    source = lazy(rows()).with_columns(pl.col("x").map_elements(fail, return_dtype=pl.Int64))
    with pytest.raises(FormulaError, match="unknown variable 'xx'"):
        hl.Model("y ~ xx + (1 | g)", source)
    with pytest.raises(DesignError, match="the table lacks the column 'w'"):
        hl.Model("y ~ x + (1 | g)", source, weights=hl.FrequencyWeights("w"))


def test_no_rows_and_no_complete_rows(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="the table has no rows"):
        hl.Model("y ~ x + (1 | g)", lazy(rows().iloc[:0]))
    rows().iloc[:0].to_parquet(tmp_path / "none.parquet")
    with pytest.raises(DesignError, match="the table has no rows"):
        hl.Model("y ~ x + (1 | g)", tmp_path / "none.parquet")
    with (
        pytest.warns(DataWarning, match="120 of 120 rows have missing values"),
        pytest.raises(DesignError, match=r"every row has a missing value, in x \(120\)"),
    ):
        hl.Model("y ~ x + (1 | g)", lazy(rows().assign(x=np.nan)))


def test_missing_values_and_a_group_without_complete_rows() -> None:
    frame = rows().astype({"x": "Int64"})
    frame.loc[frame["g"] == "b", "x"] = pd.NA
    frame.loc[[0, 1], "y"] = None
    gone = int((frame["x"].isna() | frame["y"].isna()).sum())
    with pytest.warns(DataWarning, match=rf"{gone} of 120 rows have missing values in x \(\d+\), y \(2\)|y \(2\), x"):
        counted = hl.Model("y ~ x + (1 | g)", lazy(frame)).design
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        plain = hl.Model("y ~ x + (1 | g)", frame).design
    assert counted.table.n_missing == plain.table.n_missing == gone
    assert counted.table.missing_by_column == plain.table.missing_by_column
    assert list(counted.groups[0].levels) == ["a", "c"]
    assert counted.table.unused_levels == plain.table.unused_levels
    with pytest.raises(DesignError, match=rf"{gone} of 120 rows have missing values in .*\)\. Fill or drop them"):
        hl.Model("y ~ x + (1 | g)", lazy(frame), missing="error")
    with pytest.raises(DesignError, match=r"column 'x' has 40 infinite values\. Replace"):
        hl.Model("y ~ x", lazy(rows().assign(x=[np.inf, 1.0, 2.0] * 40)))


def test_a_column_named_rows_keeps_its_name() -> None:
    design = hl.Model("y ~ rows + (1 | g)", lazy(rows().rename(columns={"x": "rows"}))).design
    assert design.table.counts is not None
    assert design.table.counts.column == "rows_"
    assert design.fixed_effects == ("Intercept", "rows")


def test_the_order_of_rows_and_engines_does_not_matter(tmp_path: Path) -> None:
    frame = rows(400)
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=40)
    sources = (lazy(frame), lazy(frame.sample(frac=1, random_state=1)), tmp_path / "rows.parquet")
    first, *others = (hl.Model("y ~ x + (1 | g)", source).design.table.frame for source in sources)
    for other in others:
        pd.testing.assert_frame_equal(first, other)


def test_counted_rows_with_impossible_counts_are_named_by_their_values() -> None:
    frame = rows().assign(n=2, x=lambda frame: frame["x"].astype(float))
    frame.loc[7, ["y", "x", "g"]] = [3, 9.0, "b"]
    with pytest.raises(DesignError) as caught:
        hl.Model("p(y, n) ~ x + (1 | g)", lazy(frame))
    found = (
        "1 of 19 distinct rows has more successes ('y') than trials. It has y = 3, n = 2, x = 9.0, g = 'b', rows = 1."
    )
    assert found in str(caught.value)


def test_constants_of_successes_out_of_trials_do_not_depend_on_the_order_of_rows() -> None:
    random = np.random.default_rng(4)
    trials = random.integers(1, 12, 3000)
    frame = pd.DataFrame({"k": random.binomial(trials, 0.4), "n": trials, "x": random.integers(0, 2, 3000)})
    first, *others = (
        hl.Model("p(k, n) ~ x", lazy(frame.sample(frac=1, random_state=seed))).design.table.frame for seed in range(4)
    )
    assert first["log_coefficients"].gt(100).all()
    for other in others:
        pd.testing.assert_frame_equal(first, other, check_exact=True)


def test_weights_and_counts_together_are_not_beyond_all_numbers() -> None:
    weighted = lazy(rows().assign(w=2**48))
    with pytest.raises(DesignError, match=r"frequency weights in 'w' add up to 3\.38e\+16 rows, which are too many"):
        hl.Model("y ~ x + (1 | g)", weighted, weights=hl.FrequencyWeights("w"))
    table = hl.Model("y ~ x + (1 | g)", lazy(rows().assign(w=2**44)), weights=hl.FrequencyWeights("w")).design.table
    assert table.n_rows == 120 * 2**44


@pytest.mark.parametrize(
    ("numbers", "found"),
    [([2, -1], "row 1 has -1"), ([0.5, 1], "row 0 has 0.5"), ([0, 0], "all of them are zero")],
)
def test_new_rows_are_counted_by_whole_numbers(numbers: list[float], found: str) -> None:
    design = hl.Model("y ~ x + (1 | g)", lazy(rows())).design
    new = pd.DataFrame({"x": [0, 1], "g": ["a", "b"]})
    np.testing.assert_array_equal(design.encode_trials(new.assign(rows=[2, 0])), [2, 0])
    with pytest.raises(PredictionError, match=rf"'rows' of the new data .* not only zeros, but {found}\. Rename"):
        design.encode_trials(new.assign(rows=numbers))


def test_a_counted_outcome_is_shown_by_its_values() -> None:
    frame = rows().assign(y=lambda frame: np.where(frame["y"] == 1, "yes", "no"))
    table = hl.Model("y ~ x + (1 | g)", lazy(frame)).design.table
    events = table.frame["y"]
    assert f"y     no, yes; yes in {events.min()} to {events.max()} of the rows counted together" in str(table)


def test_dates_are_refused_before_rows_are_read(tmp_path: Path) -> None:
    def fail(_: object) -> int:
        raise AssertionError("rows were read")

    dated = rows().assign(day=pd.Timestamp("2024-05-01"))
    source = lazy(dated).with_columns(pl.col("x").map_elements(fail, return_dtype=pl.Int64))
    dated.to_parquet(tmp_path / "dated.parquet")
    damage(tmp_path / "dated.parquet")
    for data in (source, tmp_path / "dated.parquet"):
        with pytest.raises(DesignError, match=r"'day' holds dates or durations \(\w+(\[\w+\])?\)\. Turn it into"):
            hl.Model("y ~ x + (1 | day)", data)
    with pytest.raises(DesignError, match=r"cannot read .*dated\.parquet as parquet"):
        hl.Model("y ~ x", tmp_path / "dated.parquet")


def damage(path: Path) -> None:
    """Overwrite the values of a Parquet file, but not its end with the columns."""
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)


@pytest.mark.parametrize("counted_from", [20, 1000])
def test_a_file_of_a_folder_that_cannot_be_used_is_named(
    counted_from: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted_sources, "COUNTED_FROM", counted_from)
    for part in range(3):
        rows().to_parquet(tmp_path / f"part{part}.parquet", index=False)

    def refused(words: str, formula: str = "y ~ x + (1 | g)") -> None:
        with pytest.raises(DesignError, match=words):
            hl.Model(formula, tmp_path)

    damage(tmp_path / "part1.parquet")
    refused(r"cannot read \S*part1\.parquet as parquet: ")
    rows().assign(y="no").to_parquet(tmp_path / "part1.parquet", index=False)
    refused(r"cannot read \S*part1\.parquet as parquet: .*'no'")
    rows().drop(columns="x").to_parquet(tmp_path / "part1.parquet", index=False)
    refused(r"^\S*part1\.parquet lacks the column 'x', which other files of \S* have\. Write the file with all columns")
    rows().assign(w=1).to_parquet(tmp_path / "part1.parquet", index=False)
    refused(r"^\S*part0\.parquet lacks the column 'w', which other files", "y ~ w + (1 | g)")
    assert hl.Model("y ~ x + (1 | g)", tmp_path).design.table.n_rows == 360


@pytest.mark.parametrize("written_by", ["pandas", "arrow"])
def test_dictionaries_of_files_keep_the_order_of_their_levels(written_by: str, tmp_path: Path) -> None:
    frame = rows().assign(g=lambda frame: pd.Categorical(frame["g"], ["c", "b", "a", "unused"]))
    path = tmp_path / "rows.parquet"
    if written_by == "pandas":
        frame.to_parquet(path)
    else:
        chunks = [pa.Table.from_pandas(part).replace_schema_metadata(None) for part in (frame[:50], frame[50:])]
        pa.parquet.write_table(pa.concat_tables(chunks), path)
    levels = hl.Model("y ~ x + g", path).design.table.frame["g"].cat.categories
    assert list(levels) == (["c", "b", "a"] if written_by == "pandas" else ["a", "b", "c"])


def test_statistics_of_counted_columns_are_those_of_all_rows() -> None:
    random = np.random.default_rng(5)
    values, counts = random.normal(size=30), random.integers(1, 9, 30)
    counted, every = CountedColumn(values, counts.astype(float)), pd.Series(np.repeat(values, counts))
    for name in ("mean", "std", "median", "min", "max"):
        assert getattr(counted, name)() == pytest.approx(getattr(every, name)(), rel=1e-12)
    places = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]
    np.testing.assert_allclose(counted.quantile(places), every.quantile(places), rtol=1e-12)


@pytest.mark.parametrize("kind", [object, "category"])
def test_of_values_that_are_as_frequent_the_first_is_taken(kind: Any) -> None:
    names = [f"{k:02}" for k in (*range(30, 0, -1), *range(1, 31))]
    values = pd.Series(pd.Categorical(names, ordered=True) if kind == "category" else names, dtype=kind)
    for counts in (None, np.ones(60)):
        assert most_frequent(values, counts) == "01"
        assert most_frequent(pd.DataFrame({"g": values, "h": values}), counts) == ("01", "01")
        assert most_frequent(pd.Series([2, 3, 3, 1]), None if counts is None else counts[:4]) == 3


def test_a_query_that_runs_is_interrupted() -> None:
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.connect().sql(
        "SELECT (a.range + b.range) % 2 AS y, a.range % 3 AS x FROM range(2000000) a, range(100000) b"
    )
    if not hasattr(relation, "_con"):
        pytest.skip("this version of DuckDB ends its queries itself")
    hl.Model("y ~ x", rows())  # imports what models need
    begun = time.perf_counter()
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        hl.Model("y ~ x", relation)
    assert time.perf_counter() - begun < 60
