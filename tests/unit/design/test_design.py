"""Formula + table -> Design: against the reference fits, by brute force, for tables of every kind."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import hierlogit as hl
from hierlogit.design.design import Design, build_design
from hierlogit.errors import DataWarning, DesignError, FormulaError, HierlogitError, PredictionError
from hierlogit.formula.parser import parse

N = 48


def table(**columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "y": rng.integers(0, 2, N),
            "x": rng.normal(size=N),
            "z": rng.normal(size=N),
            "n": rng.integers(1, 9, N),
            "t": rng.choice(["a", "b", "c"], N),
            "g": rng.permutation(np.repeat([3, 1, 4, 15, 9, 2], N // 6)),
            "h": rng.choice(["p", "q", "r", "s"], N),
        }
    )
    return frame.assign(**columns)


def design(formula: str, data: Any = None, **options: Any) -> Design:
    return build_design(parse(formula), table() if data is None else data, **options)


def refused(formula: str, data: Any = None, *words: str, error: type[HierlogitError] = DesignError) -> None:
    with pytest.raises(error) as caught:
        design(formula, data)
    for word in words:
        assert word in str(caught.value)


def assert_same(one: Design, other: Design) -> None:
    assert one.fixed_effects == other.fixed_effects
    assert one.outcome.event == other.outcome.event
    np.testing.assert_array_equal(one.outcome.y, other.outcome.y)
    np.testing.assert_array_equal(one.outcome.trials, other.outcome.trials)
    np.testing.assert_array_equal(one.X, other.X)
    np.testing.assert_array_equal(one.offset, other.offset)
    for left, right in zip(one.groups, other.groups, strict=True):
        assert (left.name, left.effects, left.sets) == (right.name, right.effects, right.sets)
        assert left.levels.tolist() == right.levels.tolist()
        np.testing.assert_array_equal(left.index, right.index)
        np.testing.assert_array_equal(left.Z, right.Z)


# ---- the reference fits ------------------------------------------------------------------------------------------


def test_designs_are_those_of_the_reference_fits(reference: dict[str, Any]) -> None:
    assert len(reference["models"]) > 30
    tables = {name: hl.datasets.load(name) for name in hl.datasets.list()["name"]}
    for name, model in reference["models"].items():
        made = design(model["python_formula"], tables[model["data"].removesuffix(".csv")])
        assert made.n_rows == model["n_obs"], name
        assert made.outcome.trials.sum() == model["n_trials"], name
        assert made.outcome.y.sum() == model["n_successes"], name
        groups = {frozenset(group.name.split(":")): len(group.levels) for group in made.groups}
        assert groups == {frozenset(group.split(":")): size for group, size in model["n_groups"].items()}, name

        labels = {label.replace(" ", ""): j for j, label in enumerate(made.fixed_effects)}
        spelled = [label.replace(" ", "") for label in model["fixed_names"]["python"]]
        assert set(labels) == set(spelled), name
        columns = made.X[:, [labels[label] for label in spelled]]
        check = model["design_check"]
        np.testing.assert_allclose(columns.sum(axis=0), check["column_sums"], rtol=1e-8, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(
            (columns**2).sum(axis=0), check["column_sums_of_squares"], rtol=1e-8, atol=1e-6, err_msg=name
        )


# ---- grouping factors --------------------------------------------------------------------------------------------


def test_rows_know_their_cluster_by_brute_force() -> None:
    frame = table()
    made = design("y ~ x + (1 + x | g) + (1 | h/t) + (0 + t | h:g)", frame)
    blocks = {group.name: group for group in made.groups}
    assert list(blocks) == ["g", "h", "h:t", "h:g"]
    for name, block in blocks.items():
        columns = name.split(":")
        assert block.columns == tuple(columns)
        for row in range(N):
            label = block.levels[block.index[row]]
            expected = [frame[column].iloc[row] for column in columns]
            assert label == (expected[0] if len(columns) == 1 else ":".join(map(str, expected)))
        combinations = sorted(set(map(tuple, frame[columns].to_numpy().tolist())))
        assert [str(level) for level in block.levels] == [":".join(map(str, parts)) for parts in combinations]


@pytest.mark.parametrize(
    ("term", "effects", "sets"),
    [
        ("(1 | g)", ["Intercept"], [(0,)]),
        ("(x | g)", ["Intercept", "x"], [(0, 1)]),
        ("(1 + x + z | g)", ["Intercept", "x", "z"], [(0, 1, 2)]),
        ("(1 + x + z || g)", ["Intercept", "x", "z"], [(0,), (1,), (2,)]),
        ("(0 + x | g)", ["x"], [(0,)]),
        ("(0 + t | g)", ["t[a]", "t[b]", "t[c]"], [(0, 1, 2)]),
        ("(1 + t || g)", ["Intercept", "t[b]", "t[c]"], [(0,), (1,), (2,)]),
        ("(1 | g) + (0 + x | g)", ["Intercept", "x"], [(0,), (1,)]),
        ("(1 | g) + (0 + x + z | g)", ["Intercept", "x", "z"], [(0,), (1, 2)]),
        ("(1 | g) + (0 + t | g)", ["Intercept", "t[a]", "t[b]", "t[c]"], [(0,), (1, 2, 3)]),
        (
            "(1 + C(t) + poly(x, 2) | g)",
            ["Intercept", "C(t)[b]", "C(t)[c]", "poly(x, 2)[0]", "poly(x, 2)[1]"],
            [(0, 1, 2, 3, 4)],
        ),
    ],
)
def test_effects_and_which_of_them_correlate(term: str, effects: list[str], sets: list[tuple[int, ...]]) -> None:
    (block,) = design(f"y ~ x + {term}").groups
    assert block.effects == tuple(effects)
    assert block.sets == tuple(sets)
    assert [list(range(len(effects))[one]) for one in block.set_slices] == [list(members) for members in sets]
    assert block.correlated == any(len(members) > 1 for members in sets)
    assert block.Z.shape == (N, len(effects))


@pytest.mark.parametrize(
    ("outer", "inner", "nested"),
    [
        ([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 4], (False, True)),  # inner in outer
        ([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], (False, False)),  # crossed
        ([0, 0, 1, 1, 2, 2], [9, 9, 5, 5, 7, 7], (True, True)),  # the same clusters
        ([0, 0, 0, 1, 1, 1], [0, 1, 2, 2, 3, 4], (False, False)),  # but for one cluster
    ],
)
def test_which_factor_is_nested_in_which(outer: list[int], inner: list[int], nested: tuple[bool, bool]) -> None:
    first, second = (np.repeat(values, N // 6) for values in (outer, inner))
    one, other = design("y ~ 1 + (1 | first) + (1 | second)", table(first=first, second=second)).groups
    assert (one.nested_in(other), other.nested_in(one)) == nested
    pairs = set(zip(one.index.tolist(), other.index.tolist(), strict=True))
    for of, to, place in ((one, other, 0), (other, one, 1)):
        expected = [sum(pair[place] == level for pair in pairs) for level in range(len(of.levels))]
        assert of.overlaps(to).tolist() == expected


def test_columns_of_random_effects() -> None:
    frame = table()
    (block,) = design("y ~ 1 + (1 + x + t | g)", frame).groups
    np.testing.assert_array_equal(
        block.Z, np.column_stack([np.ones(N), frame["x"], frame["t"] == "b", frame["t"] == "c"])
    )


@pytest.mark.parametrize(
    ("ids", "levels"),
    [
        ([5, -3, 10**15], [-3, 5, 10**15]),
        ([5.0, -3.0, 7.0], [-3, 5, 7]),
        (pd.array([5, -3, 2**60 + 1], dtype="Int64"), [-3, 5, 2**60 + 1]),
        ([0.5, 1.0, -2.0], ["-2", "0.5", "1"]),
        ([1e300, 5.0, 2.0], ["2", "5", "1e+300"]),
        (["10", "9", "1"], ["1", "10", "9"]),
        (["é", "b/c", "a b"], ["a b", "b/c", "é"]),
        (pd.Categorical(["lo", "hi", "mid"], ["lo", "mid", "hi"]), ["lo", "mid", "hi"]),
        (pd.Categorical([1, 2, 3], [3, 1, 2]), [3, 1, 2]),
        ([True, False, True], ["False", "True"]),
        (pd.Categorical([True, False, True]), ["False", "True"]),
    ],
)
def test_clusters_of_every_kind(ids: Any, levels: list[Any]) -> None:
    frame = pd.DataFrame({"y": [0, 1, 1] * 2, "g": pd.concat([pd.Series(ids)] * 2, ignore_index=True)})
    made = design("y ~ 1 + (1 | g)", frame)
    (block,) = made.groups
    assert block.levels.tolist() == levels
    assert [type(level) for level in block.levels.tolist()] == [type(level) for level in levels]
    encoded = made.encode(frame.iloc[[2]]).groups["g"]
    assert block.levels[encoded.index[0]] == block.levels[block.index[2]]


def test_a_known_cluster_is_known_whatever_the_other_rows_hold() -> None:
    made = design("y ~ 1 + (1 | g)", {"y": [0, 1, 1], "g": [0.5, 1.0, 2.0]})
    assert made.encode({"g": [1]}).groups["g"].index.tolist() == [1]
    made = design("y ~ 1 + (1 | g)", {"y": [0, 1, 1], "g": [0, 1, 2]})
    assert made.encode({"g": [1.0, 0.5]}).groups["g"].index.tolist() == [1, -1]


def test_relabelled_clusters_change_labels_only() -> None:
    frame = table()
    names = {1: "a", 2: "b", 3: "c", 4: "d", 9: "e", 15: "f"}
    one, other = (
        design("y ~ x + (1 + x | g)", frame),
        design("y ~ x + (1 + x | g)", frame.assign(g=frame["g"].map(names))),
    )
    np.testing.assert_array_equal(one.groups[0].index, other.groups[0].index)
    np.testing.assert_array_equal(one.groups[0].Z, other.groups[0].Z)
    assert [names[level] for level in one.groups[0].levels] == other.groups[0].levels.tolist()


def test_combinations_that_read_the_same_are_refused() -> None:
    rows = {"y": [0, 1, 1], "a": ["u:v", "u", "w"], "b": ["w", "v:w", "z"]}
    refused("y ~ 1 + (1 | a:b)", rows, "two clusters of 'a:b' have the same label", "Replace the colons")


# ---- tables of every kind ----------------------------------------------------------------------------------------

FORMULA = "y ~ x*t + bs(z, df=4) + offset(log(n)) + (1 + x | g) + (1 | h:t)"


def test_pandas_polars_and_mappings_give_the_same_design() -> None:
    frame = table()
    expected = design(FORMULA, frame)
    columns = {name: frame[name].tolist() for name in frame}
    assert_same(expected, design(FORMULA, pl.DataFrame(columns)))
    assert_same(expected, design(FORMULA, columns))
    assert_same(expected, design(FORMULA, pl.DataFrame(columns).with_columns(pl.col("t", "h").cast(pl.Categorical))))


@pytest.mark.parametrize(
    "dtypes",
    [
        {"y": "Int64", "x": "Float64", "n": "Int32", "g": "Int64", "t": "string", "h": "string"},
        {"y": "boolean", "t": "string[pyarrow]", "h": "category"},
        dict.fromkeys("yxzngth", object),
        {"y": float, "n": "uint8", "g": float, "t": "category"},
    ],
)
def test_types_of_columns_do_not_matter(dtypes: dict[str, Any]) -> None:
    frame = table()
    made, expected = design(FORMULA, frame.astype(dtypes)), design(FORMULA, frame)
    np.testing.assert_array_equal(made.X, expected.X)
    np.testing.assert_array_equal(made.outcome.y, expected.outcome.y)
    for left, right in zip(made.groups, expected.groups, strict=True):
        assert left.levels.tolist() == right.levels.tolist()
        np.testing.assert_array_equal(left.index, right.index)


def test_permuted_rows_permute_the_design() -> None:
    frame = table()
    order = np.random.default_rng(3).permutation(N)
    one, other = design(FORMULA, frame), design(FORMULA, frame.iloc[order])
    np.testing.assert_allclose(one.X[order], other.X, atol=1e-12)
    np.testing.assert_array_equal(one.offset[order], other.offset)
    for left, right in zip(one.groups, other.groups, strict=True):
        assert left.levels.tolist() == right.levels.tolist()
        np.testing.assert_array_equal(left.index[order], right.index)
        np.testing.assert_array_equal(left.Z[order], right.Z)
    assert other.table.rows.tolist() == order.tolist()


def test_the_order_of_a_categorical_names_its_reference() -> None:
    frame = table()
    for ordered in (False, True):
        made = design("y ~ t", frame.assign(t=pd.Categorical(frame["t"], ["c", "a", "b", "unused"], ordered=ordered)))
        assert made.fixed_effects == ("Intercept", "t[a]", "t[b]")
        assert made.table.unused_levels == {"t": ("unused",)}


def test_missing_values_in_every_part_of_a_formula() -> None:
    frame = table(y=table()["y"].astype("Int64"), g=table()["g"].astype("Int64"))
    for row, column in enumerate(["y", "x", "n", "t", "g", "h"]):
        frame.loc[row, column] = None
    frame["unused"] = None
    with pytest.warns(DataWarning, match="6 of 48 rows"):
        made = design("y ~ x + t + offset(log(n)) + (1 | g) + (1 | h)", frame)
    assert made.n_rows == N - 6 == len(made.X) == len(made.groups[0].index)
    assert made.table.missing_by_column == dict.fromkeys(["y", "x", "t", "n", "g", "h"], 1)
    assert made.groups[0].levels.dtype == np.int64


def test_column_names_in_backticks() -> None:
    frame = table().rename(columns={"x": "my x", "g": "a/b", "t": "größe", "y": "to y"})
    made = design("`to y` ~ `my x`*größe + scale(`my x`):z + (1 + `my x` | `a/b`)", frame)
    plain = design("y ~ x*t + scale(x):z + (1 + x | g)")
    np.testing.assert_array_equal(made.X, plain.X)
    assert made.groups[0].name == "a/b"
    assert made.groups[0].effects == ("Intercept", "my x")
    assert "my x:größe[b]" in made.fixed_effects
    np.testing.assert_array_equal(made.encode(frame).X, made.X)


def test_unknown_names_are_formula_errors() -> None:
    refused("y ~ xx", table(), "unknown variable 'xx'", "Did you mean", error=FormulaError)
    refused("y ~ x", pd.DataFrame({0: [0, 1], 1: [1, 2]}), "unknown variable 'y'", "`0`, `1`", error=FormulaError)


def test_a_users_functions_and_values() -> None:
    frame = table()
    made = design("y ~ cube(x) + abs(x * k)", frame.drop(columns="z"), namespace={"cube": lambda v: v**3, "k": -2})
    np.testing.assert_allclose(made.X[:, 1], frame["x"] ** 3)
    np.testing.assert_allclose(made.X[:, 2], 2 * frame["x"].abs())


def test_a_users_function_that_fails_is_named() -> None:
    def fails(x: Any) -> Any:
        raise KeyError("nothing here")

    with pytest.raises(DesignError, match=r"cannot evaluate '1 \+ fails\(x\)'.*nothing here"):
        design("y ~ x + (1 + fails(x) | g)", namespace={"fails": fails})


# ---- columns that depend on others -------------------------------------------------------------------------------


def dropped(formula: str, data: Any = None) -> dict[str, tuple[str, ...]]:
    """The columns that are dropped, with those that they depend on; the warning names them."""
    with pytest.warns(DataWarning) as caught:
        made = design(formula, data)
    columns = [*made.dropped, *(column for group in made.groups for column in group.dropped)]
    said = " ".join(str(warning.message) for warning in caught)
    assert all(f"'{column.label}'" in said for column in columns)
    assert not {column.label for column in made.dropped}.intersection(made.fixed_effects)
    assert np.linalg.matrix_rank(made.X) == made.X.shape[1]
    return {column.label: column.others for column in columns}


def dependent() -> pd.DataFrame:
    frame = table()
    return frame.assign(
        double=2 * frame["x"] + 0, total=frame["x"] + frame["z"], zero=0, three=3, is_b=1.0 * (frame["t"] == "b")
    )


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("y ~ x + z + double", {"double": ("x",)}),
        ("y ~ double + x + z", {"x": ("double",)}),
        ("y ~ x + z + total", {"total": ("x", "z")}),
        ("y ~ z + t + is_b", {"is_b": ("t[b]",)}),
        ("y ~ 0 + t + is_b", {"is_b": ("t[b]",)}),
        ("y ~ x + poly(x, 2)", {"poly(x, 2)[0]": ("Intercept", "x")}),
        ("y ~ x + three", {"three": ("Intercept",)}),
        ("y ~ x + zero", {"zero": ()}),
        ("y ~ x + zero + three + double", {"zero": (), "three": ("Intercept",), "double": ("x",)}),
        ("y ~ z + (1 + x + double | g)", {"double": ("x",)}),
        ("y ~ z + (0 + zero + x || g)", {"zero": ()}),
    ],
)
def test_dependent_columns_are_dropped_from_left_to_right(formula: str, columns: dict[str, tuple[str, ...]]) -> None:
    assert dropped(formula, dependent()) == columns


def test_dependent_columns_are_refused_on_request() -> None:
    def said(formula: str) -> str:
        with pytest.raises(DesignError) as caught:
            design(formula, dependent(), collinear="error")
        return str(caught.value)

    assert said("y ~ x + z + double") == (
        "in the fixed part, 'double' is a linear combination of 'x': the data cannot tell these effects apart. Leave a "
        "term out of the formula, or pass collinear='drop' to drop these columns, as R does."
    )
    assert "'three' is a linear combination of 'Intercept'; and 'double'" not in said("y ~ x + zero + three + double")
    assert "'zero' is zero in every row; 'three' is" in said("y ~ x + zero + three + double")
    assert "in the random term (1 + x + double | g), 'double' is" in said("y ~ x + (1 + x + double | g)")
    with pytest.raises(DesignError, match="collinear='yes' is not allowed; choose one of 'drop', 'error'"):
        design("y ~ x", collinear="yes")


def test_columns_whose_squares_are_not_numbers_are_refused() -> None:
    frame = dependent().assign(tiny=lambda rows: 1e-200 * rows["x"])
    closer = "'tiny' is not 0, but closer to it than 1e-100 in every row. Express it in larger units"
    refused("y ~ z + tiny", frame, "in the fixed part", closer)
    refused("y ~ z + (1 + tiny | g)", frame, "in the random term (1 + tiny | g)", closer)


def test_long_lists_of_dependent_columns_are_cut_short() -> None:
    frame = pd.DataFrame({"y": [0, 1] * 40, "f": [f"level {k // 2}" for k in range(80)]})
    frame["copy"] = "c" + frame["f"]
    with pytest.raises(DesignError) as caught:
        design("y ~ f + copy", frame, collinear="error")
    assert len(str(caught.value)) < 900
    assert "31 more columns depend on those before them" in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "what"), [("y ~ 0 + zero", "nothing to estimate"), ("y ~ x + (0 + zero | g)", "no effects")]
)
def test_a_part_of_which_nothing_is_left_is_refused(formula: str, what: str) -> None:
    refused(formula, dependent(), what, "'zero' is zero in every row")


@pytest.mark.parametrize("scale", [1e-13, 1e-6, 1e6, 1e12])
def test_dependence_does_not_depend_on_the_units(scale: float) -> None:
    frame = table()
    frame = frame.assign(w=frame["z"] * scale, both=(frame["x"] + frame["z"]) * scale)
    assert design("y ~ x + w", frame).fixed_effects == ("Intercept", "x", "w")
    assert dropped("y ~ x + z + both", frame) == {"both": ("x", "z")}


def test_a_year_and_its_square_are_no_dependent_columns() -> None:
    frame = table(year=1990 + np.arange(N) % 31)
    made = design("y ~ year + I(year**2) + I(year**3) + (1 + year + I(year**2) | g)", frame)
    assert made.fixed_effects == ("Intercept", "year", "I(year ** 2)", "I(year ** 3)")
    np.testing.assert_array_equal(made.X[:, 2], frame["year"] ** 2)
    assert design("y ~ seconds", frame.assign(seconds=1.7e9 + 60 * frame["year"])).fixed_effects[1] == "seconds"


# ---- other refusals ----------------------------------------------------------------------------------------------


def test_what_random_terms_cannot_be() -> None:
    frame = table(one="same")
    refused("y ~ x + (1 | one)", frame, "the grouping factor 'one' has only one level", "at least two clusters")
    refused("y ~ x + (1 | g) + (1 + x | g)", frame, "the effect 'Intercept' of 'g'", "more than one random term")
    refused("y ~ x + (1 + offset(z) | g)", frame, "(1 + offset(z) | g) has an offset", "fixed part")


# ---- sds of columns ----------------------------------------------------------------------------------------------


def test_standard_deviations_of_columns() -> None:
    frame = table(tiny=table()["z"] * 1e-14)
    made = design("y ~ x + tiny + (1 + tiny | g)", frame)
    np.testing.assert_allclose(made.column_sds, [1, frame["x"].std(), frame["tiny"].std()])
    np.testing.assert_allclose(made.groups[0].column_sds, [1, frame["tiny"].std()])
    shifted = design("y ~ x + (1 + x | g)", frame.assign(x=frame["x"] + 2000))
    np.testing.assert_allclose(shifted.column_sds, [1, frame["x"].std()])


# ---- new rows ----------------------------------------------------------------------------------------------------


def test_training_rows_are_those_encoded() -> None:
    frame = table()
    made = design(FORMULA, frame)
    given, encoded = made.training_rows(), made.encode(frame.drop(columns="y"))
    assert len(given) == len(encoded) == N
    np.testing.assert_allclose(encoded.X, given.X, atol=1e-12)
    np.testing.assert_allclose(encoded.offset, given.offset)
    for name, rows in given.groups.items():
        np.testing.assert_array_equal(encoded.groups[name].index, rows.index)
        np.testing.assert_array_equal(encoded.groups[name].labels, rows.labels)
        np.testing.assert_array_equal(encoded.groups[name].Z, rows.Z)


def test_new_clusters_are_marked_and_labelled() -> None:
    made = design("y ~ x + (1 | g) + (1 | g:h)")
    new = made.encode({"x": [0.0, 1.0], "g": [3, 77], "h": ["p", "p"]})
    assert (new.groups["g"].index >= 0).tolist() == [True, False]
    assert new.groups["g"].labels.tolist() == [3, 77]
    assert new.groups["g:h"].labels.tolist() == ["3:p", "77:p"]
    assert new.groups["g:h"].index[1] == -1


def test_new_rows_in_other_tables_and_types() -> None:
    frame = table(t=pd.Categorical(table()["t"], ["b", "a", "c"]))
    made = design("y ~ x + t + (1 | g)", frame)
    expected = made.X[:5]
    head = frame.head()
    plain = {"x": head["x"].tolist(), "t": head["t"].tolist(), "g": head["g"].tolist()}
    for rows in (
        plain,
        pl.DataFrame(plain),
        pl.DataFrame(plain).with_columns(pl.col("t").cast(pl.Categorical)),
        head.assign(t=head["t"].astype(str), g=head["g"].astype(float), surplus=None),
        head.assign(t=head["t"].astype("string"), g=head["g"].astype("category")),
        head.assign(t=pd.Categorical(head["t"], ["a", "b", "c", "zzz"])),
        head[["g", "t", "x"]],
    ):
        encoded = made.encode(rows)
        np.testing.assert_array_equal(encoded.X, expected)
        np.testing.assert_array_equal(encoded.groups["g"].index, made.groups[0].index[:5])
    np.testing.assert_array_equal(made.encode(head.iloc[[4]]).X, expected[[4]])


def test_text_predictors_take_categoricals() -> None:
    frame = table()
    made = design("y ~ x + t", frame)
    np.testing.assert_array_equal(made.encode(frame.assign(t=frame["t"].astype("category"))).X, made.X)


def test_true_and_false_take_0_and_1() -> None:
    frame = table(b=table()["x"] > 0)
    made = design("y ~ b*t + (1 | b)", frame)
    for values in (frame["b"].astype(int), frame["b"].astype(object), frame["b"].astype("boolean")):
        encoded = made.encode(frame.assign(b=values))
        np.testing.assert_array_equal(encoded.X, made.X)
        np.testing.assert_array_equal(encoded.groups["b"].index, made.groups[0].index)
    with pytest.raises(PredictionError, match="'b' held True/False .* holds other values"):
        made.encode(frame.assign(b=2))


def test_numbers_as_categories_take_numbers() -> None:
    frame = table(g=pd.Categorical(table()["g"]))
    made = design("y ~ x + (1 | g)", frame)
    assert made.encode({"x": [0.0], "g": [15]}).groups["g"].index.tolist() == [5]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"t": "q"}, ["'t' has the level 'q'"]),
        ({"x": None}, ["column 'x'", "48 missing values, in rows 0, 1"]),
        ({"t": None}, ["column 't'", "missing values"]),
        ({"g": np.nan}, ["column 'g'", "missing values"]),
        ({"x": "one"}, ["column 'x' held numbers", "holds text or categories now"]),
        ({"t": 1}, ["column 't' held text or categories", "holds numbers now"]),
        ({"g": "3"}, ["column 'g' held numbers"]),
        ({"x": pd.Timestamp("2020-01-01")}, ["column 'x' holds dates"]),
        ({"x": np.inf}, ["'x' is not finite"]),
    ],
)
def test_new_rows_that_do_not_fit_are_refused(change: dict[str, Any], words: list[str]) -> None:
    made = design("y ~ x + t + (1 | g)")
    with pytest.raises(PredictionError) as caught:
        made.encode(table(**change))
    for word in words:
        assert word in str(caught.value)


def test_missing_columns_are_named() -> None:
    with pytest.raises(
        PredictionError, match=r"lack the columns 't', 'g'\. The model needs: 'x', 't', 'g'; the data have: 'x'"
    ):
        design("y ~ x + t + (1 | g)").encode({"x": [1.0]})


def test_within_and_between_of_known_and_new_clusters() -> None:
    frame = table()
    made = design("y ~ within(x, g) + between(x, g) + (1 | g)", frame)
    means = frame.groupby("g")["x"].mean()
    np.testing.assert_allclose(made.X[:, 2], means[frame["g"]])
    np.testing.assert_allclose(made.X[:, 1], frame["x"] - means[frame["g"]].to_numpy())
    new = made.encode({"x": [5.0, 1.0, 3.0], "g": [15, 99, 99]})
    np.testing.assert_allclose(new.X[:, 2], [means[15], 2, 2])
    np.testing.assert_allclose(new.X[:, 1], [5 - means[15], -1, 1])


# ---- trials of new rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "columns", "trials"),
    [
        ("y", {}, [1, 1]),
        ("p(s, n)", {"n": [4, 7]}, [4, 7]),
        ("p(s, 9)", {"x": [1, 2]}, [9, 9]),
        ("cbind(s, f)", {"s": [1, 2], "f": [3, 3]}, [4, 5]),
        ("cbind(s, n - s)", {"n": [4, 7]}, [4, 7]),
    ],
)
def test_trials_of_new_rows(left: str, columns: dict[str, Any], trials: list[int]) -> None:
    made = design(f"{left} ~ x", table(s=[0, 1] * (N // 2), f=3, n=6))
    np.testing.assert_array_equal(made.encode_trials({"x": [0.0, 0.0], **columns}), trials)


@pytest.mark.parametrize("bad", [[-1], [1.5], ["a"]])
def test_trials_must_be_counts(bad: list[Any]) -> None:
    made = design("p(s, n) ~ x", table(s=[0, 1] * (N // 2), n=6))
    with pytest.raises(PredictionError, match="'n'"):
        made.encode_trials({"n": bad})


def test_the_name_of_the_constant_is_taken() -> None:
    rows = {"y": [0, 1, 1, 0], "Intercept": [1.0, 2.0, 4.0, 3.0]}
    with pytest.raises(DesignError, match="rename that column"):
        hl.Model("y ~ 0 + Intercept", rows)


def test_a_formula_without_anything_to_estimate() -> None:
    with pytest.raises(DesignError, match="nothing to estimate"):
        hl.Model("y ~ 0 + offset(x)", {"y": [0, 1, 1, 0], "x": [1.0, 2.0, 4.0, 3.0]})


def test_powers_of_whole_numbers_do_not_overflow() -> None:
    size = np.array([50_000, 70_000, 90_000, 100_000])
    design = hl.Model("y ~ 0 + I(v**4)", {"y": [0, 1, 1, 0], "v": size}).design
    np.testing.assert_allclose(design.X[:, 0], size.astype(float) ** 4)
    assert hl.Model("y ~ C(v)", {"y": [0, 1] * 4, "v": np.tile(size, 2)}).design.fixed_effects[1] == "C(v)[70000]"


@pytest.mark.filterwarnings("ignore:Each of the 300 clusters:hierlogit.errors.DataWarning")
def test_factors_of_many_columns() -> None:
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(0, 10**9, 300) for name in "pqrst"}
    design = hl.Model("y ~ 1 + (1 | p:q:r:s:t)", {"y": [0, 1] * 150, **rows}).design
    assert len(design.groups[0].levels) == 300
    order = np.lexsort([rows[name] for name in "tsrqp"])
    assert design.groups[0].index[order].tolist() == list(range(300))
