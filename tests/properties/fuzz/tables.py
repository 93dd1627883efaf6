"""Tables for the fuzz tests: small studies, spoiled in one or several ways, under any names, as any kind of table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st

#: Text that must be shown as it is, and never be evaluated or become part of a page.
SCRIPT = "<script>alert('x')</script>"
CODE = "__import__('pathlib').Path('canary').touch()"

#: The columns of every table, by the part they play.
ROLES = (
    "y", "word", "flag", "s", "d", "n", "x", "z", "w", "lg", "t", "u", "g", "h", "k", "wf", "ws", "wc",
)  # fmt: skip


def study(seed: int, rows: int, clusters: int) -> pd.DataFrame:
    """Rows of a small study, with outcomes of each form and predictors of each type.

    ``y``, ``word`` and ``flag`` are one binary outcome as number, text and True/False; ``s`` successes and ``d``
    failures make ``n`` trials; ``h`` crosses the clusters ``g``, and ``k`` is nested in them. ``wf`` are counts of
    rows, ``ws`` sampling weights of rows and ``wc`` of the clusters ``g``.
    """
    rng = np.random.default_rng(seed)
    g, h = rng.permutation(np.arange(rows) % clusters), rng.integers(0, 5, rows)
    x, z, n = rng.normal(size=rows).round(2), rng.uniform(0.5, 5, rows).round(2), rng.integers(1, 9, rows)
    p = 1 / (1 + np.exp(-(rng.normal(0, 0.8, clusters)[g] + 0.7 * x - 0.2 * z + 0.3)))
    y = (rng.uniform(size=rows) < p).astype(int)
    s = rng.binomial(n, p)
    of_weights = np.random.default_rng([seed, 1])
    return pd.DataFrame(
        {
            "y": y,
            "word": np.where(y == 1, "yes", "no"),
            "flag": y == 1,
            "s": s,
            "d": n - s,
            "n": n,
            "x": x,
            "z": z,
            "w": rng.integers(0, 4, rows),
            "lg": rng.uniform(size=rows) < 0.5,
            "t": rng.choice(["a", "b", "c"], rows),
            "u": pd.Categorical(rng.choice(["hi", "lo", "mid"], rows), ["lo", "mid", "hi", "top"], ordered=True),
            "g": 10 * g + 101,
            "h": np.array([f"h{i}" for i in h], dtype=object),
            "k": np.array([f"{i}/{j % 2}" for i, j in zip(g, h, strict=True)], dtype=object),
            "wf": of_weights.integers(0, 4, rows),
            "ws": of_weights.uniform(0.3, 4, rows).round(2),
            "wc": of_weights.uniform(0.3, 4, clusters).round(2)[g],
        }
    )


# ---- ways of spoiling a table --------------------------------------------------------------------------------------

Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def some(rng: np.random.Generator, rows: int, share: float = 0.1) -> np.ndarray:
    """A few of the rows, at least one."""
    chosen = rng.uniform(size=rows) < share
    chosen[rng.integers(rows)] = True
    return chosen


def column(role: str, values: Callable[[pd.Series[Any], np.random.Generator], Any]) -> Change:
    """The table with other values in one column."""
    return lambda frame, rng: frame.assign(**{role: values(frame[role], rng)})


def spotted(role: str, value: Any, dtype: Any = object) -> Change:
    """The table with `value` in a few cells of one column."""

    def values(old: pd.Series[Any], rng: np.random.Generator) -> pd.Series[Any]:
        new = old.astype(dtype)
        new[some(rng, len(old))] = value
        return new

    return column(role, values)


def lists(values: pd.Series[Any], rng: np.random.Generator) -> pd.Series[Any]:
    return pd.Series([[value] for value in values], values.index)


def renamed_levels(*levels: str) -> Callable[[pd.Series[Any], np.random.Generator], pd.Series[Any]]:
    return lambda values, _: pd.Series(np.array(levels, dtype=object)[np.arange(len(values)) % len(levels)])


def rare_level(values: pd.Series[Any], rng: np.random.Generator) -> pd.Series[Any]:
    return values.where(np.arange(len(values)) != 0, "only once")


#: What can be done to the predictors, clusters and outcomes of a table.
CHANGES: Mapping[str, Change] = {
    # ---- other types of the same values
    "nullable numbers": column("x", lambda v, _: v.astype("Float64")),
    "nullable whole numbers": column("w", lambda v, _: v.astype("Int64")),
    "nullable outcome": column("y", lambda v, _: v.astype("Int8")),
    "nullable booleans": column("lg", lambda v, _: v.astype("boolean")),
    "boolean objects": column("lg", lambda v, _: v.astype(object)),
    "string dtype": column("t", lambda v, _: v.astype("string")),
    "arrow text": column("t", lambda v, _: v.astype(pd.ArrowDtype(pa.string()))),
    "arrow numbers": column("x", lambda v, _: v.astype(pd.ArrowDtype(pa.float32()))),
    "arrow decimals": column("x", lambda v, _: v.map(str).map(Decimal).astype(pd.ArrowDtype(pa.decimal128(9, 2)))),
    "arrow clusters": column("g", lambda v, _: v.astype(pd.ArrowDtype(pa.int32()))),
    "arrow booleans": column("lg", lambda v, _: v.astype(pd.ArrowDtype(pa.bool_()))),
    "arrow dictionary": column("t", lambda v, _: v.astype(pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string())))),
    "decimals": column("x", lambda v, _: v.map(str).map(Decimal)),
    "fractions": column("x", lambda v, _: v.map(Fraction)),
    "object numbers": column("x", lambda v, _: v.astype(object)),
    "half precision": column("x", lambda v, _: v.astype(np.float16)),
    "small unsigned": column("w", lambda v, _: v.astype(np.uint8)),
    "sparse": column("w", lambda v, _: v.astype("Sparse[int]")),
    "categorical numbers": column("w", lambda v, _: v.astype("category")),
    "intervals": column("z", lambda v, _: pd.cut(v, 3)),
    "interval clusters": column("g", lambda v, _: pd.cut(v, 4)),
    "float clusters": column("g", lambda v, _: v.astype(float)),
    "padded clusters": column("g", lambda v, _: v.map("{:05d}".format)),
    "large clusters": column("g", lambda v, _: v + 2**60),
    "huge clusters": column("g", lambda v, _: v.map(lambda value: value + 2**70)),
    "bytes": column("t", lambda v, _: v.map(str.encode)),
    "complex": column("x", lambda v, _: v.astype(complex)),
    "dates": column("x", lambda v, _: pd.Timestamp("2020-01-01") + pd.to_timedelta(v, "D")),
    "durations": column("z", lambda v, _: pd.to_timedelta(v, "D")),
    "periods": column("g", lambda v, _: pd.PeriodIndex.from_ordinals(v.to_numpy(), freq="D")),
    "lists": column("x", lists),
    "nested clusters": column("g", lambda v, _: v.map(lambda value: (value, 1))),
    "numbers as text": column("x", lambda v, _: v.map(str)),
    "boolean numbers": column("x", lambda v, _: v > 0),
    "outcome as float": column("y", lambda v, _: v.astype(float)),
    "outcome as text": column("y", lambda v, _: v.map(str)),
    "outcome as categories": column("y", lambda v, _: v.astype("category")),
    # ---- missing, infinite and extreme values
    "missing numbers": spotted("x", np.nan, float),
    "missing nullable": spotted("x", pd.NA, "Float64"),
    "missing words": spotted("t", None),
    "missing booleans": spotted("lg", pd.NA, "boolean"),
    "missing clusters": spotted("g", np.nan, float),
    "missing outcomes": spotted("y", np.nan, float),
    "missing whole numbers": spotted("w", pd.NA, "Int64"),
    "missing trials": spotted("n", np.nan, float),
    "missing dates": spotted("x", pd.NaT),
    "nothing but missing": column("x", lambda *_: np.nan),
    "no decimals": spotted("x", Decimal("sNaN")),
    "infinite decimals": spotted("x", Decimal("Infinity")),
    "infinite": spotted("x", np.inf, float),
    "huge": column("x", lambda v, _: v * 1e200),
    "one huge": spotted("x", 1e300, float),
    "largest": spotted("z", np.finfo(float).max, float),
    "tiny": column("x", lambda v, _: v * 1e-200),
    "denormal": spotted("x", 5e-324, float),
    "far from zero": column("x", lambda v, _: v + 1e9),
    "a year": column("x", lambda v, rng: 1990 + rng.integers(0, 30, len(v))),
    "minus zero": spotted("x", -0.0, float),
    "zero": spotted("z", 0.0, float),
    "negative": column("z", lambda v, _: -v),
    "constant": column("x", lambda *_: 1.0),
    "nearly constant": spotted("x", 1.0 + 1e-12, float),
    "one level": column("t", lambda *_: "a"),
    "one truth": column("lg", lambda *_: True),
    "rare level": column("t", rare_level),
    "copy": lambda frame, _: frame.assign(z=frame["x"]),
    "nearly a copy": lambda frame, rng: frame.assign(z=frame["x"] + 1e-9 * rng.normal(size=len(frame))),
    "cluster level": lambda frame, _: frame.assign(x=frame["g"] % 7.0),
    "mixed": spotted("x", "?"),
    "mixed truth": spotted("lg", "maybe"),
    "few words": spotted("x", "1,234"),
    # ---- hostile words
    "levels of markup": column("t", renamed_levels(SCRIPT, "<b>b</b>", "&amp;")),
    "levels of code": column("t", renamed_levels(CODE, "0 / 0", "x")),
    "levels of formulas": column("t", renamed_levels("x | g", "a:b", "[a]", "`")),
    "empty levels": column("t", renamed_levels("", " ", "\t")),
    "levels that look alike": column("t", renamed_levels("a", "A", "a ")),
    "levels of control characters": column("t", renamed_levels("\0", "\n", "\x1b[31m")),
    "long levels": column("t", renamed_levels("a" * 300, "b" * 300)),
    "levels of LaTeX": column("t", renamed_levels("\\end{aligned}", "$x$", "100 %", "a_b")),
    "foreign levels": column("t", renamed_levels("größe", "日本", "🙂")),
    "clusters of markup": column("g", lambda v, _: v.map(lambda value: f"{SCRIPT}{value}")),
    "clusters of code": column("g", lambda v, _: v.map(lambda value: f"{CODE}#{value}")),
    "clusters that look alike": column("h", renamed_levels("h1", "H1", "h1 ", "h2")),
    "outcome of markup": column("word", lambda v, _: v.map({"yes": SCRIPT, "no": "&"})),
    # ---- outcomes and counts
    "constant outcome": column("y", lambda *_: 1),
    "one event": column("y", lambda v, _: (np.arange(len(v)) == 0).astype(int)),
    "separated": lambda frame, _: frame.assign(y=(frame["x"] > 0).astype(int)),
    "separated by a level": lambda frame, _: frame.assign(y=np.where(frame["t"] == "a", 1, frame["y"])),
    "separated by clusters": lambda frame, _: frame.assign(y=(frame["g"] % 20 < 10).astype(int)),
    "outcome of three": spotted("y", 2, int),
    "outcome of one and two": column("y", lambda v, _: v + 1),
    "proportions": column("y", lambda v, rng: rng.uniform(size=len(v)).round(2)),
    "no trials": lambda frame, rng: frame.assign(n=(none := np.where(some(rng, len(frame)), 0, frame["n"])),
                                                 s=np.minimum(frame["s"], none), d=none - np.minimum(frame["s"], none)),
    "too many successes": spotted("s", 99, int),
    "negative successes": spotted("s", -1, int),
    "fractional successes": spotted("s", 0.5, float),
    "rounded successes": column("s", lambda v, _: v + 1e-9),
    "many trials": lambda frame, _: frame.assign(n=frame["n"] * 10**6, s=frame["s"] * 10**6, d=frame["d"] * 10**6),
    "decimal trials": column("n", lambda v, _: v.map(Decimal)),
    "no failures": lambda frame, _: frame.assign(n=frame["s"], d=0),
    # ---- weights
    "missing counts": spotted("wf", pd.NA, "Int64"),
    "negative counts": spotted("wf", -1, int),
    "fractional counts": spotted("wf", 0.5, float),
    "rounded counts": column("wf", lambda v, _: v + 1e-12),
    "counts of zero": column("wf", lambda *_: 0),
    "counts of one": column("wf", lambda *_: 1),
    "counts of text": column("wf", lambda v, _: v.map(str)),
    "counts as booleans": column("wf", lambda v, _: v > 1),
    "decimal counts": column("wf", lambda v, _: v.map(Decimal)),
    "counts of arrow": column("wf", lambda v, _: v.astype(pd.ArrowDtype(pa.uint8()))),
    "large counts": column("wf", lambda v, _: v * 30),
    "huge counts": column("wf", lambda v, _: v * 10**9),
    "largest counts": spotted("wf", 2**63 - 1, int),
    "infinite counts": spotted("wf", np.inf, float),
    "missing weights": spotted("ws", np.nan, float),
    "negative weights": spotted("ws", -1.0, float),
    "infinite weights": spotted("ws", np.inf, float),
    "weights of zero": spotted("ws", 0.0, float),
    "nothing but zero": column("ws", lambda *_: 0.0),
    "equal weights": column("ws", lambda *_: 2.5),
    "huge weights": column("ws", lambda v, _: v * 1e200),
    "one huge weight": spotted("ws", 1e300, float),
    "one heavy row": spotted("ws", 1e9, float),
    "tiny weights": column("ws", lambda v, _: v * 1e-300),
    "denormal weights": spotted("ws", 5e-324, float),
    "weights of text": column("ws", lambda v, _: v.map(str)),
    "decimal weights": column("ws", lambda v, _: v.map(str).map(Decimal)),
    "nullable weights": column("ws", lambda v, _: v.astype("Float64")),
    "weights of dates": column("ws", lambda v, _: pd.Timestamp("2020-01-01") + pd.to_timedelta(v, "D")),
    "weights that vary within clusters": column("wc", lambda v, rng: rng.uniform(1, 2, len(v))),
    "missing weights of clusters": spotted("wc", np.nan, float),
    "clusters without weight": column("wc", lambda v, _: v.where(v != v.min(), 0.0)),
    "one heavy cluster": column("wc", lambda v, _: v.where(v != v.max(), 1e12)),
    "huge weights of clusters": column("wc", lambda v, _: v * 1e200),
    "negative weights of clusters": column("wc", lambda v, _: -v),
    "no column of weights": lambda frame, _: frame.drop(columns=["wf", "ws"]),
    # ---- clusters and rows
    "one cluster": column("g", lambda *_: 1),
    "two clusters": column("g", lambda v, _: v % 2),
    "every row a cluster": column("g", lambda v, _: np.arange(len(v))),
    "uneven clusters": column("g", lambda v, rng: np.minimum(rng.geometric(0.4, len(v)), 9)),
    "clusters twice": lambda frame, _: frame.assign(h=frame["g"]),
    "one row": lambda frame, _: frame.iloc[:1],
    "two rows": lambda frame, _: frame.sort_values("y").iloc[[0, -1]],
    "no rows": lambda frame, _: frame.iloc[:0],
    "rows twice": lambda frame, _: pd.concat([frame, frame]),
    "shuffled": lambda frame, rng: frame.iloc[rng.permutation(len(frame))],
    "index of one value": lambda frame, _: frame.set_axis([7] * len(frame)),
    "index of words": lambda frame, _: frame.set_axis([f"row {SCRIPT} {i}" for i in range(len(frame))]),
    "index of dates": lambda frame, _: frame.set_axis(pd.date_range("2020-01-01", periods=len(frame))),
    "index of several levels": lambda frame, _: frame.set_index(["h", "t"], drop=False).rename_axis(["one", None]),
    "index with a name": lambda frame, _: frame.rename_axis("x"),
    "missing column": lambda frame, _: frame.drop(columns="x"),
    "column twice": lambda frame, _: pd.concat([frame, frame[["x"]]], axis=1),
    "numbered columns": lambda frame, _: frame.set_axis(range(frame.shape[1]), axis=1),
    "columns of tuples": lambda frame, _: frame.set_axis([(name, 1) for name in frame], axis=1),
    "columns of several levels": lambda frame, _: frame.set_axis(
        pd.MultiIndex.from_tuples([(name, "b") for name in frame]), axis=1
    ),
    "column without a name": lambda frame, _: frame.rename(columns={"w": None}),
}  # fmt: skip

#: Changes with which most models can still be fitted.
HARMLESS = (
    "nullable numbers", "nullable whole numbers", "nullable outcome", "nullable booleans", "boolean objects",
    "string dtype", "arrow text", "arrow numbers", "arrow clusters", "arrow booleans", "arrow dictionary", "decimals",
    "fractions", "object numbers", "half precision", "small unsigned", "categorical numbers", "float clusters",
    "padded clusters", "large clusters", "outcome as float", "outcome as text", "outcome as categories",
    "missing numbers", "missing words", "missing clusters", "missing outcomes", "missing whole numbers", "minus zero",
    "a year", "cluster level", "rare level", "levels of markup", "levels of code", "levels of LaTeX", "long levels",
    "foreign levels", "clusters of markup", "clusters of code", "outcome of markup", "one event", "separated",
    "separated by a level", "separated by clusters", "two clusters", "every row a cluster", "uneven clusters",
    "clusters twice", "rows twice", "shuffled", "index of one value", "index of words", "index of dates",
    "index with a name", "one truth", "far from zero", "many trials", "rounded successes", "boolean numbers",
    "interval clusters", "clusters that look alike",
)  # fmt: skip
#: Changes of weights: the first of them are harmless.
OF_WEIGHTS = (
    "rounded counts", "counts of one", "decimal counts", "counts of arrow", "large counts", "weights of zero",
    "equal weights", "one heavy row", "decimal weights", "nullable weights", "clusters without weight",
    "one heavy cluster", "missing counts", "missing weights", "missing weights of clusters", "negative counts",
    "fractional counts", "counts of zero", "counts of text", "counts as booleans", "huge counts", "largest counts",
    "infinite counts", "negative weights", "infinite weights", "nothing but zero", "huge weights", "one huge weight",
    "tiny weights", "denormal weights", "weights of text", "weights of dates", "weights that vary within clusters",
    "huge weights of clusters", "negative weights of clusters", "no column of weights",
)  # fmt: skip

# ---- names ---------------------------------------------------------------------------------------------------------

#: Names of columns that formulas, results or pages could stumble over.
NAMES = (
    "self", "fit", "data", "newdata", "by", "model", "name", "values", "clusters", "draws", "variables", "given",
    "beta", "Intercept", "sd_g", "b_g", "cor_g", "obs", "chain", "draw", "row", "rows", "mean", "sd", "estimate",
    "group", "level", "effect", "fixed_effect", "lp", "index", "columns", "dtype", "C", "I", "np", "p", "log",
    "lambda", "class", "None", "True", "my col", "a.b", "x1", "größe", "日本", "🙂", "a:b", "a|b", "a~b", "a+b", "(a)",
    "[a]", "a]", "'", '"', "a\nb", "\t", "a", "<b>bold</b>", "&amp;", "$x$", "\\end{aligned}", "a_b", "100 %",
    "__written_1__", "__class__", "eti89_lb", "0", "1e3", "-", "{x}", "%s", "fixed", "phi",
)  # fmt: skip


def quoted(name: str) -> str:
    """A name as it is written in a formula."""
    plain = name.isidentifier() and name not in {"None", "True", "False", "lambda", "class"}
    return name if plain else f"`{name}`"


# ---- kinds of tables -----------------------------------------------------------------------------------------------


def as_polars(frame: pd.DataFrame) -> pl.DataFrame:
    try:
        return pl.DataFrame({str(name): frame[name].tolist() for name in frame}, strict=False)
    except pl.exceptions.PanicException as error:  # which is not an Exception
        raise TypeError("polars cannot hold these values") from error


def as_arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.table({str(name): frame[name].tolist() for name in frame})


def as_relation(frame: pd.DataFrame) -> duckdb.DuckDBPyRelation:
    return duckdb.from_df(frame)


def as_result(frame: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    """A connection that holds the rows as the result of its last query."""
    connection = duckdb.connect()
    connection.register("given", frame)
    return connection.execute("SELECT * FROM given")


def as_lists(frame: pd.DataFrame) -> dict[Any, list[Any]]:
    return {name: frame[name].tolist() for name in frame}


#: Tables of each kind with the same rows, or None in place of a kind that cannot hold them.
KINDS: Mapping[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "lists": as_lists,
    "polars": as_polars,
    "arrow": as_arrow,
    "lazy": lambda frame: as_polars(frame).lazy(),
    "duckdb": as_relation,
    "result of duckdb": as_result,
    "enums of polars": lambda frame: as_polars(frame).with_columns(pl.col("t").cast(pl.Enum(["a", "b", "c"]))),
    "batch": lambda frame: as_arrow(frame).combine_chunks().to_batches()[0],
    "reader": lambda frame: as_arrow(frame).to_reader(max_chunksize=10),
    "pandas in arrow": pa.Table.from_pandas,
    "arrays": lambda frame: {name: frame[name].to_numpy() for name in frame},
    "series": lambda frame: {name: frame[name] for name in frame},
}
#: What looks like a table and is none.
NO_TABLES: Mapping[str, Callable[[pd.DataFrame], Any]] = {
    "records": lambda frame: frame.to_dict("records"),
    "failing query": lambda frame: as_polars(frame).lazy().select("no such column"),
    "array of arrow": lambda frame: as_arrow(frame).column(0),
    "matrix": lambda frame: frame.to_numpy(),
    "column": lambda frame: frame.iloc[:, 0],
    "uneven lists": lambda frame: {name: [1] * i for i, name in enumerate(frame)},
    "path": lambda _: "rows.csv",
    "path of arrow": lambda _: "rows.parquet",
    "nothing": lambda _: None,
}


@dataclass(frozen=True)
class Rows:
    """How a table was made; everything follows from these values, so that a failure is read in one line."""

    seed: int
    rows: int
    clusters: int
    changes: tuple[str, ...] = ()
    names: Mapping[str, str] = None  # type: ignore[assignment]
    kind: str = "pandas"

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a pandas frame; changes that cannot follow others are left out."""
        rng = np.random.default_rng(self.seed)
        frame = study(self.seed, self.rows, self.clusters)
        for change in self.changes:
            try:
                frame = CHANGES[change](frame, rng)
            except Exception:
                continue
        return frame.rename(columns=self.names) if self.names else frame

    @property
    def table(self) -> Any:
        frame = self.frame
        try:
            return {**KINDS, **NO_TABLES}[self.kind](frame)
        except Exception:
            return frame

    def name(self, role: str) -> str:
        return (self.names or {}).get(role, role)

    @property
    def written(self) -> dict[str, str]:
        """The names of the roles as they are written in formulas."""
        return {role: quoted(self.name(role)) for role in ROLES}


sizes = st.tuples(st.integers(0, 9_999), st.integers(24, 60), st.integers(3, 9))
names = st.dictionaries(st.sampled_from(ROLES), st.sampled_from(NAMES), max_size=2).filter(
    lambda chosen: len({*chosen.values()} | ({*ROLES} - {*chosen})) == len(ROLES)
)


def rows(changes: st.SearchStrategy[Any], naming: st.SearchStrategy[Any], kinds: st.SearchStrategy[str]) -> Any:
    return st.builds(
        lambda size, changed, named, kind: Rows(*size, tuple(changed), named, kind), sizes, changes, naming, kinds
    )


kinds_of_tables = st.sampled_from(["pandas"] * 6 + list(KINDS))
#: Tables with which most models can be fitted.
sound_rows = rows(
    st.lists(st.sampled_from(HARMLESS), max_size=2), st.one_of(st.just({}), st.just({}), names), kinds_of_tables
)
#: Tables with weights, most of which can be used.
weighted_rows = rows(
    st.lists(st.one_of(st.sampled_from(OF_WEIGHTS), st.sampled_from(HARMLESS)), max_size=2),
    st.one_of(st.just({}), st.just({}), names),
    kinds_of_tables,
)
#: Tables with anything wrong.
any_rows = rows(
    st.lists(st.sampled_from(list(CHANGES)), max_size=3),
    st.one_of(st.just({}), names),
    st.one_of(kinds_of_tables, kinds_of_tables, st.sampled_from(list(NO_TABLES))),
)
