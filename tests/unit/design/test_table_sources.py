"""Tables of every kind are the same table, with the same fit; what is no table is refused with what to do."""

import decimal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.design.table import training_table
from hierlogit.design.table_sources import read_table, source_of
from hierlogit.errors import DesignError

BIG = 2**53


class Stream:
    """Any object with Arrow's interface, of a library that nobody here knows."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def written(frame: pd.DataFrame, path: Path) -> Path:
    """The table in a file of the kind that its name says."""
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".parquet":
            frame.to_parquet(path)
        case ".feather":
            pyarrow.feather.write_feather(frame, path)
        case ".arrow":
            pl.from_pandas(frame).write_ipc(path)
    return path


Kind = Callable[[pd.DataFrame, Path], Any]
KINDS: dict[str, Kind] = {
    "pandas of Arrow": lambda frame, _: frame.convert_dtypes(dtype_backend="pyarrow"),
    "pandas of nullable columns": lambda frame, _: frame.convert_dtypes(),
    "mapping": lambda frame, _: frame.to_dict("list"),
    "polars": lambda frame, _: pl.from_pandas(frame),
    "lazy polars": lambda frame, _: pl.from_pandas(frame).lazy(),
    "pyarrow table": lambda frame, _: pa.Table.from_pandas(frame),
    "record batch": lambda frame, _: pa.RecordBatch.from_pandas(frame),
    "reader": lambda frame, _: pa.Table.from_pandas(frame).to_reader(max_chunksize=7),
    "stream": lambda frame, _: Stream(pa.Table.from_pandas(frame)),
    "csv": lambda frame, folder: str(written(frame, folder / "herds.csv")),
    "parquet": lambda frame, folder: written(frame, folder / "herds.parquet"),
    "feather": lambda frame, folder: written(frame, folder / "herds.feather"),
    "arrow": lambda frame, folder: written(frame, folder / "herds.arrow"),
}
FORMULA = "p(successes, size) ~ period + (1 | herd)"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_gives_the_same_fit_and_the_same_predictions(kind: str, tmp_path: Path) -> None:
    herds = hl.datasets.load("cbpp")
    expected = hl.Model(FORMULA, herds).fit(hl.Laplace(seed=1))
    fit = hl.Model(FORMULA, KINDS[kind](herds, tmp_path)).fit(hl.Laplace(seed=1))
    assert expected.estimate is not None
    assert fit.estimate is not None
    np.testing.assert_array_equal(fit.estimate.beta, expected.estimate.beta)
    assert fit.estimate.log_likelihood == expected.estimate.log_likelihood
    pd.testing.assert_frame_equal(fit.model.design.table.frame, expected.model.design.table.frame)
    table = hl.predictions(fit, KINDS[kind](herds, tmp_path), by="period")
    # The types of labels are those of the rows that were given.
    pd.testing.assert_frame_equal(table, hl.predictions(expected, herds, by="period"), check_dtype=False)


def test_verbs_with_new_rows_take_every_kind_of_table(tmp_path: Path) -> None:
    herds = hl.datasets.load("cbpp")
    fit = hl.Model(FORMULA, herds).fit(hl.Laplace(seed=1))
    comparisons = hl.avg_comparisons(fit, "period", newdata=herds)
    for data in (pl.from_pandas(herds).lazy(), KINDS["reader"](herds, tmp_path), KINDS["parquet"](herds, tmp_path)):
        pd.testing.assert_frame_equal(hl.avg_comparisons(fit, "period", newdata=data), comparisons)
    layout = pl.from_pandas(herds).lazy()
    simulated = hl.simulate(
        "p(successes, size) ~ 1 + (1 | herd)", layout, beta={"Intercept": -1.0}, sd={"herd": 0.5}, seed=1
    )
    assert list(simulated["herd"]) == list(herds["herd"])


def test_results_of_duckdb() -> None:
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    herds = hl.datasets.load("cbpp")
    connection.register("herds", pa.Table.from_pandas(herds, preserve_index=False))
    expected = hl.Model(FORMULA, herds).design
    relation = connection.sql("SELECT *, obs / 3 AS other FROM herds")
    design = hl.Model(FORMULA, relation).design
    np.testing.assert_array_equal(design.X, expected.X)
    assert design.table.source == "query of duckdb, executed"
    assert list(read_table(relation, ["herd", "size"]).columns) == ["herd", "size"]
    other = duckdb.connect().register("herds", pa.Table.from_pandas(herds, preserve_index=False))
    np.testing.assert_array_equal(hl.Model(FORMULA, other.execute("SELECT * FROM herds")).design.X, expected.X)
    levels = read_table(connection.sql("SELECT v::ENUM('lo', 'mid', 'hi') AS u FROM (VALUES ('hi'), ('lo')) t(v)"))["u"]
    assert levels.cat.categories.tolist() == ["lo", "mid", "hi"]
    for empty in (duckdb.connect(), connection.cursor().execute("CREATE TABLE t (a INT)")):
        with pytest.raises(DesignError, match=r"no result\. Pass a table of it, connection\.table|no rows"):
            read_table(empty)
    with pytest.raises(DesignError, match="DuckDBPyRelation given as data cannot be computed: .*'y'"):
        read_table(connection.sql("SELECT 1 AS y, 2 AS y"))


# ---- what is read, and what the model says of it ------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["parquet", "feather", "arrow"])
def test_only_the_wanted_columns_of_files_are_read(ending: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"y": [0, 1], "x": [0.5, 1.5], "other": ["a", "b"]}, index=[7, 8])
    path = written(frame, tmp_path / f"rows.{ending}")
    read = read_table(path, ["x", "y"])
    assert list(read.columns) == ["y", "x"]
    assert list(read.index) == ([0, 1] if ending == "arrow" else [7, 8])  # polars has no labels to store
    assert list(read_table(path, ["x", "y", "misspelt"]).columns) == ["y", "x", "other"]
    assert list(read_table(path).columns) == ["y", "x", "other"]


def test_only_the_wanted_columns_of_lazy_frames_are_computed() -> None:
    def fail(_: object) -> int:
        raise RuntimeError("computed")

    lazy = pl.LazyFrame({"y": [0, 1], "x": [0.5, 1.5]}).with_columns(
        costly=pl.col("x").map_elements(fail, return_dtype=pl.Int64)
    )
    assert list(read_table(lazy, ["x", "y"]).columns) == ["y", "x"]
    with pytest.raises(DesignError, match=r"the LazyFrame given as data cannot be computed: .*computed"):
        read_table(lazy)
    with pytest.raises(hl.errors.FormulaError, match=r"The data has: y, x\. Did you mean 'x'"):
        hl.Model("y ~ xx", lazy.select("y", "x"))


def test_models_say_where_rows_came_from_that_were_not_in_memory(tmp_path: Path) -> None:
    herds = hl.datasets.load("cbpp")
    model = hl.Model(FORMULA, pl.from_pandas(herds).lazy())
    assert "read from LazyFrame of polars, collected" in str(model)
    fit = hl.Model(FORMULA, KINDS["parquet"](herds, tmp_path)).fit(hl.Laplace(seed=1))
    fit.save(tmp_path / "fit.nc")
    assert hl.load(tmp_path / "fit.nc").model.design.table.source == "herds.parquet"
    assert "read from" not in str(hl.Model(FORMULA, herds))
    assert source_of(pd.DataFrame({"collect": [1]})) == source_of(pl.DataFrame({"collect": [1]})) == ""


# ---- row labels and levels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [[3, 1, 2], ["u", "v", "w"], pd.RangeIndex(5, 11, 2)])
def test_row_labels_of_pandas_survive_arrow(labels: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"y": [0, 1, 1]}, index=pd.Index(labels))
    for data in (pa.Table.from_pandas(frame), KINDS["parquet"](frame, tmp_path), KINDS["feather"](frame, tmp_path)):
        read = read_table(data)
        assert list(read.index) == list(labels)
        assert list(read.columns) == ["y"]
    halved = pa.Table.from_pandas(frame).slice(0, 2)
    assert list(read_table(halved).index) == ([0, 1] if isinstance(labels, pd.RangeIndex) else list(labels)[:2])


def test_the_order_of_levels_survives_where_it_means_something(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "ordered": pd.Categorical(["z", None, "a"], ["z", "q", "a"], ordered=True),
            "factor": pd.Categorical(["z", "a", None], ["z", "q", "a"]),
        }
    )
    for data in (frame, pa.Table.from_pandas(frame), KINDS["parquet"](frame, tmp_path)):
        rows = read_table(data)
        for name in frame:
            assert rows[name].cat.categories.tolist() == ["z", "q", "a"]
            assert rows[name].isna().tolist() == frame[name].isna().tolist()
    enum = pl.DataFrame({"t": pl.Series(["b", "a"], dtype=pl.Enum(["c", "b", "a"]))})
    enum.write_parquet(tmp_path / "enum.parquet")
    for stored in (enum, enum.to_arrow(), tmp_path / "enum.parquet"):
        assert read_table(stored)["t"].cat.categories.tolist() == ["c", "b", "a"]
    # Where nobody says so, a dictionary is a way to store text, in the order of first use.
    encoded = pa.table({"t": pa.array(["b", "a", "b"]).dictionary_encode()})
    assert training_table(encoded, ["t"], "drop").frame["t"].cat.categories.tolist() == ["a", "b"]


def test_dictionaries_that_differ_between_chunks_are_one() -> None:
    kind = pa.dictionary(pa.int8(), pa.string(), ordered=True)
    chunks = [pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(words), ordered=True)
              for words in (["a", "b"], ["b", "c"])]  # fmt: skip
    read = read_table(pa.table({"t": pa.chunked_array(chunks, kind)}))
    assert read["t"].tolist() == ["a", "b", "b", "c"]


# ---- values -----------------------------------------------------------------------------------------------------


def test_a_pandas_frame_is_returned_as_it_is() -> None:
    frame = pd.DataFrame({"y": [0, 1]})
    assert read_table(frame) is frame


def test_polars_keeps_whole_numbers_whole_beside_missing_ones() -> None:
    read = read_table(pl.DataFrame({"id": [BIG + 1, None, BIG]}))
    assert [value for value in read["id"] if value is not pd.NA] == [BIG + 1, BIG]


def test_polars_columns_have_the_values_of_pandas() -> None:
    table = pl.DataFrame(
        {
            "i": [3, 1, 2],
            "f": [0.5, None, 1.5],
            "b": [True, None, False],
            "t": ["z", None, "a"],
            "u": pl.Series([1, 2, 2**64 - 1], dtype=pl.UInt64),
            "d": [decimal.Decimal("1.5"), decimal.Decimal(2), None],
            "w": pl.Series([3, None, -1], dtype=pl.Int128),
            "h": pl.Series([2**70, 2**70 + 1, 1], dtype=pl.Int128),
        }
    )
    read = read_table(table)
    assert list(read.columns) == table.columns
    for name in table.columns:
        present = read[name].dropna().tolist()
        assert present == table[name].drop_nulls().to_list(), name
        assert read[name].isna().tolist() == table[name].is_null().to_list(), name


def test_the_categories_of_polars_are_text_and_its_enums_keep_their_order() -> None:
    pl.Series(["z", "y", "x"], dtype=pl.Categorical)  # polars remembers categories in the order it met them
    table = pl.DataFrame({"t": ["y", "x", "z"]})
    table = table.with_columns(
        c=pl.col("t").cast(pl.Categorical), e=pl.col("t").cast(pl.Enum(["z", "x", "unused", "y"]))
    )
    rows = training_table(table, ["c", "e"], "drop")
    assert rows.frame["c"].cat.categories.tolist() == ["x", "y", "z"]
    assert rows.frame["e"].cat.categories.tolist() == ["z", "x", "y"]
    assert rows.unused_levels == {"e": ("unused",)}


def test_polars_needs_no_pyarrow() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import polars as pl\n"
        "from hierlogit.design.table_sources import read_table\n"
        "frame = read_table(pl.DataFrame({'i': [1, None], 't': ['a', 'b'], 'f': [0.5, 1.0]}))\n"
        "assert frame.shape == (2, 3)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1, 2], "got list, which has no names of columns"),
        (None, "pandas or polars DataFrame or LazyFrame, a pyarrow Table, an xarray Dataset, .* a mapping.*got None"),
        (np.zeros((2, 2)), "got ndarray, which has no names of columns"),
        (np.zeros(2, [("y", int), ("x", float)]), r"got ndarray with fields\. Call pandas\.DataFrame\(\.\.\.\) first"),
        (xr.DataArray([1, 2]), r"got DataArray of xarray\. Call \.to_dataset\(\.\.\.\) first"),
        (pl.Series([1]), r"got a Series, which is a single column\. Call \.to_frame\(\) first"),
        (pa.array([1]), r"got Int64Array\."),
        (pa.chunked_array([[1]]), r"got a ChunkedArray, .*Call pyarrow\.table\({'name': \.\.\.}\) first"),
        (pa.table([[1], [2]], names=["y", "y"]), "more than one column named 'y'"),
        (Stream(pa.table({"y": [1]}).column("y")), r"got Stream\."),
        ([{"y": 1}, {"y": 0}], "got a list of rows"),
        ("rows.csv", r"there is no file rows\.csv\."),
        (Path("rows.csv"), r"there is no file rows\.csv\."),
        ("visitz/", r"there is no file or folder 'visitz'\. The name of a file must end in \.csv"),
        ("visits/*.parquet", r"no file visits.\*\.parquet\. To read several files, give their folder, visits\."),
        ("a" * 5000, r"cannot open 'a+\.\.\.: |there is no file or folder 'a"),
        ("rows.doc", r"the kind of the table 'rows\.doc' is not known\. The name of a file must end in \.csv"),
        (pl.LazyFrame({"y": [1]}).select("z"), "the LazyFrame given as data cannot be computed: .*z"),
        (pd.Series([1, 2]), "a single column"),
        ({"y": [0, 1], "x": [1]}, r"cannot be read as a table: All arrays must be of the same length\.$"),
        ({"y": 0, "x": "a"}, r"cannot be read as a table: its values are not columns\. Pass lists, .*: {'x': \[1\]}"),
        (
            pd.DataFrame([[0]], columns=pd.MultiIndex.from_tuples([("y", "a")])),
            "of several levels: .*df.columns =",
        ),
        (pd.DataFrame({"y": []}), "no rows"),
        (pd.DataFrame([[0, 1, 2]], columns=["y", "x", "x"]), "more than one column named 'x'"),
        (pd.DataFrame([[0, 1, 2]], columns=["y", 1, "1"]), "more than one column named '1'"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, words: str) -> None:
    with pytest.raises(DesignError, match=words) as caught:
        read_table(data)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_folder_without_parquet_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DesignError, match=r"the folder .* holds no files whose names end in \.parquet\."):
        read_table(tmp_path)


def test_tables_of_other_libraries() -> None:
    columns = {"y": [0, 1, 1], "x": [0.5, 1.5, 2.5]}
    dataset = xr.Dataset({name: ("row", values) for name, values in columns.items()})
    for table in (pa.table(columns), dataset, pl.DataFrame(columns), columns):
        read = read_table(table)
        assert {name: read[name].tolist() for name in ("y", "x")} == columns


@given(
    st.lists(st.one_of(st.integers(), st.floats(allow_nan=False), st.tuples(st.integers(), st.text())), unique_by=str)
)
def test_names_of_columns_are_text(names: list[Any]) -> None:
    index = pd.Index([*names, None], dtype=object, tupleize_cols=False)
    frame = pd.DataFrame(np.zeros((2, len(index))), columns=index)
    assert list(read_table(frame).columns) == [str(name) for name in frame.columns]
    assert list(frame.columns) == list(index)


def test_columns_of_weights_are_read_from_files_too(tmp_path: Path) -> None:
    herds = hl.datasets.load("cbpp").assign(times=2)
    path = written(herds, tmp_path / "herds.parquet")
    weights = hl.FrequencyWeights("times")
    assert hl.Model(FORMULA, path, weights=weights).design.X.shape == (2 * len(herds), 4)


@pytest.mark.parametrize(
    "stored",
    [
        b"{", b"\xff", b"[1]", b"3", b"null", b'{"index_columns": 3}', b'{"index_columns": [{"kind": "range"}]}',
        b'{"index_columns": [{"kind": "range", "start": 0, "stop": 2, "step": 0}]}', b'{"index_columns": ["absent"]}',
        b'{"index_columns": [null]}',
    ],
)  # fmt: skip
def test_labels_that_cannot_be_read_from_metadata_are_left_out(stored: bytes, tmp_path: Path) -> None:
    """Metadata of Arrow are text that any program may have written, or that was damaged."""
    table = pa.table({"y": [0, 1], "g": ["a", "b"]}).replace_schema_metadata({b"pandas": stored})
    pyarrow.feather.write_feather(table, tmp_path / "rows.feather")
    for source in (table, tmp_path / "rows.feather"):
        frame = read_table(source, ["y"])
        assert frame["y"].tolist() == [0, 1]
        assert frame.index.tolist() == [0, 1]
