"""Columns of an expression: learned once, the same map on any rows, and errors that name the term."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierlogit.design.encoding import Encoding
from hierlogit.design.table import training_table
from hierlogit.design.transforms import formula_namespace
from hierlogit.errors import DesignError, PredictionError

N = 40
_RNG = np.random.default_rng(20)
COLUMNS: dict[str, Any] = {
    "x": _RNG.normal(size=N),
    "z": _RNG.uniform(0.5, 3, size=N),
    "k": np.tile([0, 1, 2, 3], N // 4),
    "b": np.tile([True, False, False, True, True], N // 5),
    "t": np.tile(["a", "b", "c", "a", "c"], N // 5),
    "u": pd.Categorical(np.tile(["mid", "lo", "hi", "lo"], N // 4), ["lo", "mid", "hi"]),
    "g": np.repeat([10, 20, 30, 40], N // 4),
}
FRAME = training_table(COLUMNS, list(COLUMNS), "error").frame


def encoding(expression: str, frame: pd.DataFrame = FRAME, /, **names: Any) -> Encoding:
    return Encoding(expression, frame, formula_namespace(names))


def square(x: Any) -> Any:
    return x**2


# ---- labels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "labels", "terms"),
    [
        ("x + t", ["Intercept", "x", "t[b]", "t[c]"], ["Intercept", "x", "t", "t"]),
        ("0 + t", ["t[a]", "t[b]", "t[c]"], ["t"] * 3),
        ("u", ["Intercept", "u[mid]", "u[hi]"], ["Intercept", "u", "u"]),
        ("C(k)", ["Intercept", "C(k)[1]", "C(k)[2]", "C(k)[3]"], ["Intercept"] + ["C(k)"] * 3),
        ("S(t)", ["Intercept", "S(t)[a]", "S(t)[b]"], ["Intercept", "S(t)", "S(t)"]),
        ("T(t, 'b')", ["Intercept", "T(t, 'b')[a]", "T(t, 'b')[c]"], ["Intercept"] + ["T(t, 'b')"] * 2),
        ("b", ["Intercept", "b[True]"], ["Intercept", "b"]),
        ("0 + b", ["b[False]", "b[True]"], ["b", "b"]),
        ("0 + x:b", ["x:b[False]", "x:b[True]"], ["x:b", "x:b"]),
        (
            "b:u",
            ["Intercept", "u[mid]", "u[hi]", "b[True]:u[lo]", "b[True]:u[mid]", "b[True]:u[hi]"],
            ["Intercept", "u", "u", *["b:u"] * 3],
        ),
        ("I(x > 0)", ["Intercept", "I(x > 0)[True]"], ["Intercept", "I(x > 0)"]),
        ("C(b)", ["Intercept", "C(b)[True]"], ["Intercept", "C(b)"]),
        ("poly(x, 2)", ["Intercept", "poly(x, 2)[0]", "poly(x, 2)[1]"], ["Intercept"] + ["poly(x, 2)"] * 2),
        ("x + offset(z)", ["Intercept", "x"], ["Intercept", "x"]),
        ("0 + offset(z)", [], []),
        ("t / x", ["Intercept", "t[b]", "t[c]", "t[a]:x", "t[b]:x", "t[c]:x"], ["Intercept", "t", "t"] + ["t:x"] * 3),
    ],
)
def test_labels_and_terms(expression: str, labels: list[str], terms: list[str]) -> None:
    made = encoding(expression)
    assert made.labels == tuple(labels)
    assert made.terms == tuple(terms)
    columns = made.columns
    assert columns.shape == (N, len(labels))
    assert columns.dtype == np.float64


# ---- the columns against arithmetic ------------------------------------------------------------------------------


def test_columns_are_what_their_labels_say() -> None:
    x, z, t = FRAME["x"].to_numpy(), FRAME["z"].to_numpy(), np.asarray(FRAME["t"])
    made = encoding("x + t + x:t + I(x**2) + scale(z):b + C(k, Treatment(2))")
    columns = dict(zip(made.labels, made.columns.T, strict=True))
    np.testing.assert_allclose(columns["Intercept"], 1)
    np.testing.assert_allclose(columns["x"], x)
    np.testing.assert_allclose(columns["t[c]"], t == "c")
    np.testing.assert_allclose(columns["x:t[b]"], x * (t == "b"))
    np.testing.assert_allclose(columns["I(x ** 2)"], x**2)
    np.testing.assert_allclose(columns["scale(z):b[True]"], (z - z.mean()) / z.std() * FRAME["b"])
    np.testing.assert_allclose(columns["C(k, Treatment(2))[3]"], FRAME["k"] == 3)


def test_sum_contrasts() -> None:
    columns = encoding("S(t)").columns
    rows = {level: columns[FRAME["t"] == level][0] for level in "abc"}
    np.testing.assert_allclose(rows["a"], [1, 1, 0])
    np.testing.assert_allclose(rows["b"], [1, 0, 1])
    np.testing.assert_allclose(rows["c"], [1, -1, -1])


def test_orthogonal_polynomials() -> None:
    columns = encoding("0 + poly(x, 3)").columns
    np.testing.assert_allclose(columns.T @ columns, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(columns.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("expression", "names", "expected"),
    [
        ("x + offset(log(z))", {}, np.log(COLUMNS["z"])),
        ("x + offset(z) + offset(k)", {}, COLUMNS["z"] + COLUMNS["k"]),
        ("x + offset(2)", {}, np.full(N, 2.0)),
        ("x + offset(-2)", {}, np.full(N, -2.0)),
        ("x + offset(shift)", {"shift": 1.5}, np.full(N, 1.5)),
        ("x", {}, np.zeros(N)),
    ],
)
def test_offsets_are_summed_and_known_for_new_rows(expression: str, names: dict[str, Any], expected: Any) -> None:
    made = encoding(expression, **names)
    assert made.has_offset == ("offset" in expression)
    np.testing.assert_allclose(made.offset, expected)
    np.testing.assert_allclose(made.encode(FRAME.iloc[3:5])[1], expected[3:5])


def test_powers_of_large_whole_numbers_do_not_overflow() -> None:
    income = pd.DataFrame({"m": np.array([5, 4, 7]) * 10**9})
    made = encoding("m + I(m**2)", income)
    np.testing.assert_allclose(made.columns[:, 2], np.array([25, 16, 49]) * 1e18)
    np.testing.assert_allclose(made.encode(income.iloc[:1])[0][:, 2], 25e18)


def test_whole_numbers_keep_plain_labels() -> None:
    assert encoding("C(m)", pd.DataFrame({"m": [1990, 1991]})).labels[1] == "C(m)[1991]"


# ---- learned once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 + scale(x)", lambda v: (v - COLUMNS["x"].mean()) / COLUMNS["x"].std()),
        ("0 + standardize(x)", lambda v: (v - COLUMNS["x"].mean()) / COLUMNS["x"].std()),
        ("0 + center(x)", lambda v: v - COLUMNS["x"].mean()),
    ],
)
def test_new_rows_are_scaled_by_the_training_rows(expression: str, expected: Any) -> None:
    new = pd.DataFrame({"x": [100.0, 101.0]})
    np.testing.assert_allclose(encoding(expression).encode(new)[0][:, 0], expected(new["x"].to_numpy()))


def test_splines_keep_their_knots() -> None:
    made = encoding("0 + bs(x, df=5)")
    inside = np.linspace(np.quantile(FRAME["x"], 0.2), np.quantile(FRAME["x"], 0.8), 7)
    alone = np.vstack([made.encode(pd.DataFrame({"x": [value]}))[0] for value in inside])
    np.testing.assert_allclose(made.encode(pd.DataFrame({"x": inside}))[0], alone)


@pytest.mark.parametrize(
    "expression",
    ["C(t)", "C(t, levels=order)", "C(t, None, order)", "S(t, levels=order)", "T(t, 'b', order)", "C(u)", "S(u)", "u"],
)
def test_rows_that_lack_some_levels_can_be_encoded(expression: str) -> None:
    made = encoding(expression, order=["c", "a", "b"])
    whole = made.columns
    for row in range(5):
        np.testing.assert_array_equal(made.encode(FRAME.iloc[[row]])[0], whole[[row]])


def test_lists_and_tuples_of_numbers() -> None:
    made, named = encoding("bs(x, knots=[-0.5, 1/2]) + x"), encoding("bs(x, knots=kn) + x", kn=[-0.5, 0.5])
    np.testing.assert_array_equal(made.columns, named.columns)
    assert made.labels[1] == "bs(x, knots=[-0.5, 0.5])[0]"
    assert encoding("bs(x, knots=(0, 1))").columns.shape == (N, 6)
    np.testing.assert_array_equal(made.encode(FRAME.iloc[3:9])[0], made.columns[3:9])


def test_a_comparison_goes_by_the_order_of_the_levels() -> None:
    made = encoding("0 + I(w >= 'mid')", FRAME.assign(w=FRAME["u"]))
    expected = np.isin(np.asarray(FRAME["u"]), ["mid", "hi"])
    assert made.labels == ("I(w >= 'mid')[False]", "I(w >= 'mid')[True]")
    np.testing.assert_array_equal(made.columns, np.column_stack([~expected, expected]))


@pytest.mark.parametrize("expression", ["t / x", "t / (x + z)", "x + t:(x + z)", "C(k) / t", "(x + t + u)**2 - t:u"])
def test_terms_that_share_a_column_code_it_apart(expression: str) -> None:
    made = encoding(expression)
    whole = made.columns
    assert whole.shape[1] == len(made.labels) == np.linalg.matrix_rank(whole)
    np.testing.assert_allclose(made.encode(FRAME)[0], whole)


# ---- True/False -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("0 + b", ["b[False]", "b[True]"]),
        ("x:b", ["Intercept", "x:b[False]", "x:b[True]"]),
        ("x + x:b", ["Intercept", "x", "x:b[True]"]),
        ("b * u", ["Intercept", "b[True]", "u[mid]", "u[hi]", "b[True]:u[mid]", "b[True]:u[hi]"]),
        ("0 + I(x > 0)", ["I(x > 0)[False]", "I(x > 0)[True]"]),
        ("I(t == 'a') * x", ["Intercept", "I(t == 'a')[True]", "x", "I(t == 'a')[True]:x"]),
    ],
)
def test_true_and_false_are_levels_of_a_factor(expression: str, labels: list[str]) -> None:
    made = encoding(expression)
    assert made.labels == tuple(labels)
    np.testing.assert_allclose(made.encode(FRAME.iloc[5:11].reset_index(drop=True))[0], made.columns[5:11])


def test_a_term_before_its_parts_leaves_them_their_columns() -> None:
    assert encoding("u:b + b").labels == (
        *("Intercept", "u[mid]:b[False]", "u[mid]:b[True]", "u[hi]:b[False]", "u[hi]:b[True]", "b[True]"),
    )
    assert encoding("u:b + b:u + b").labels == encoding("u:b + b").labels


def test_true_and_false_in_arithmetic_are_one_and_zero() -> None:
    b, x = np.asarray(FRAME["b"]), np.asarray(FRAME["x"])
    frame = FRAME.assign(c=x > 0)
    for expression, expected in {
        "I(b + c)": b.astype(float) + (x > 0),
        "I(b - c)": b.astype(float) - (x > 0),
        "I(-b)": -b.astype(float),
        "I(b * x)": b * x,
        "I((b == c) * x)": (b == (x > 0)) * x,
        "scale(b)": (b - b.mean()) / b.std(),
        "exp(b)": np.exp(b.astype(float)),
        "np.sqrt(1 + b)": np.sqrt(1.0 + b),
        "poly(b, 1)": (b - b.mean()) / np.sqrt(((b - b.mean()) ** 2).sum()),
    }.items():
        made = Encoding(f"0 + {expression}", frame, formula_namespace())
        np.testing.assert_allclose(made.columns[:, 0], expected, err_msg=expression)


def test_columns_of_true_and_false_are_levels_and_those_of_conditions_are_not() -> None:
    assert encoding("b + I(x > 0) + x + C(I(z > 1)) + C(k)").level_columns == {"b", "k"}


# ---- the space that interactions span ---------------------------------------------------------------------------


@given(
    st.lists(st.lists(st.sampled_from("xzbcuk"), min_size=1, max_size=3, unique=True), min_size=1, max_size=3),
    st.booleans(),
)
@settings(max_examples=60)
def test_terms_span_the_products_of_their_columns(terms: list[list[str]], intercept: bool) -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({name: rng.normal(size=300) for name in "xz"} | {"b": rng.random(300) < 0.5})
    frame = frame.assign(c=rng.choice(list("pqr"), 300), u=rng.choice(list("lm"), 300), k=rng.choice(list("stuv"), 300))
    frame = training_table(frame, list(frame), "error").frame
    columns = {name: pd.get_dummies(frame[name]).to_numpy(float) for name in "bcuk"}
    columns |= {name: frame[[name]].to_numpy() for name in "xz"}
    every = [np.ones((300, 1))] if intercept else []
    for term in terms:
        product = np.ones((300, 1))
        for name in term:
            product = (product[:, :, None] * columns[name][:, None, :]).reshape(300, -1)
        every.append(product)
    wanted = np.hstack(every)
    made = Encoding(f"{int(intercept)} + " + " + ".join(map(":".join, terms)), frame, formula_namespace()).columns
    rank = np.linalg.matrix_rank(wanted)
    assert made.shape[1] == rank == np.linalg.matrix_rank(np.hstack([made, wanted]))


# ---- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["frame", "self", "expression", "namespace", "pd", "square"])
def test_a_users_function_may_have_any_name(name: str) -> None:
    columns = encoding(f"0 + {name}(x)", **{name: square}).columns
    np.testing.assert_allclose(columns[:, 0], FRAME["x"] ** 2)


def test_formulas_do_not_see_the_variables_of_this_package() -> None:
    with pytest.raises(DesignError, match="frame"):
        encoding("I(frame)")


def test_interactions_of_calls_alone() -> None:
    made = encoding("S(t):C(k)")
    np.testing.assert_allclose(made.encode(FRAME)[0], made.columns)


def test_what_a_function_prints_stays_off_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DesignError):
        encoding("f(t)", f=np.log)
    assert capsys.readouterr().out == ""


# ---- what is refused ---------------------------------------------------------------------------------------------


def broken(x: Any) -> Any:
    raise RuntimeError("no luck today")


@pytest.mark.parametrize(
    ("expression", "names", "words"),
    [
        ("x + f(x)", {"f": broken}, ["cannot evaluate 'x + f(x)'", "no luck today"]),
        ("x + f(x)", {"f": lambda x: x[:3]}, ["'f(x)' gives 3 values for 40 rows"]),
        ("0 + f(x)", {"f": lambda x: x[:3]}, ["'f(x)' gives 3 values for 40 rows"]),
        ("f(x)", {"f": lambda x: np.asarray(x) + 1j}, ["'f(x)' gives complex numbers"]),
        ("f(x)", {"f": lambda x: x * np.nan}, ["'f(x)' is not finite in 40 of 40 rows"]),
        (
            "I(1 / k)",
            {},
            ["'I(1 / k)' is not finite in 10 of 40 rows", "0, 4, 8, 12, 16, 20, 24, 28 and 2 more", "division by 0"],
        ),
        ("I(k ** -1)", {}, ["'I(k ** -1)' is not finite in 10 of 40 rows", "'k' is 0 there"]),
        ("sqrt(x - 5)", {}, ["'sqrt(x - 5)' is not finite in 40 of 40 rows", "a root of a negative number"]),
        ("exp(1000 * z)", {}, ["'exp(1000 * z)' is not finite", "an exponential of a large number"]),
        ("t:log(k)", {}, ["'t:log(k)' is not finite in 10 of 40 rows"]),
        ("log(k)", {}, ["'log(k)' is not finite", "logarithm of 0"]),
        ("x + offset(log(k))", {}, ["'offset(log(k))' is not finite in 10 of 40 rows", "'k' is 0 there"]),
        ("scale(t)", {}, ["'scale(t)' is a function of numbers", "the column 't' holds text", "'a', 'b', 'c'"]),
        ("x + offset(t)", {}, ["'offset(t)' is a function of numbers"]),
        ("center(log(t))", {}, ["'log(t)' is a function of numbers"]),
        ("np.log(u)", {}, ["'np.log(u)' is a function of numbers", "the column 'u'"]),
        ("poly(t, 2):x", {}, ["'poly(t, 2)'"]),
        ("bs(x=t, df=4)", {}, ["'bs(x=t, df=4)'"]),
        ("within(t, g)", {}, ["'within(t, g)'"]),
        ("C(Sum)", {}, ["'Sum' in 'C(Sum)' is a function. Write a column of the data"]),
        ("C(Treatment('a'))", {}, ["is a coding, which follows a column of the data: C(x, Treatment('a'))"]),
        ("C(log)", {"log": np.log}, ["'log' in 'C(log)' is a function"]),
        ("I(x > square)", {"square": np.square}, ["'square' in 'x > square' is a function"]),
        ("bs(np, df=4)", {"np": np}, ["'np' in 'bs(np, df=4)' is a module"]),
        ("I(2 * t)", {}, ["'2 * t' is arithmetic", "the column 't'"]),
        ("I(-t)", {}, ["'-t' is arithmetic"]),
        ("log(x + 2 * t)", {}, ["'2 * t' is arithmetic"]),
        ("I(t == 'q')", {}, ["'t == 'q''", "'q' is not among the levels, which are 'a', 'b', 'c'"]),
        ("I(u > 3)", {}, ["3 is not among the levels", "'lo', 'mid', 'hi'"]),
        ("I(t == u)", {}, ["compares two columns of text with different levels"]),
        ("offset(x):z", {}, ["'offset(x):z'", "interaction", "a separate term"]),
        ("x + one", {}, ["'one' has only one level, 'same'", "Leave it out"]),
        ("0 + one", {}, ["'one' has only one level"]),
        ("x + C(one)", {}, ["'C(one)' has only one level"]),
        ("one:z", {}, ["'one' has only one level"]),
    ],
)
def test_training_errors_name_the_term(expression: str, names: dict[str, Any], words: list[str]) -> None:
    frame = FRAME.assign(one=pd.Categorical(["same"] * N, ordered=True))
    with pytest.raises(DesignError) as caught:
        encoding(expression, frame, **names)
    for word in words:
        assert word in str(caught.value)


def test_a_column_of_the_name_intercept_does_not_vanish() -> None:
    with pytest.raises(DesignError, match="several terms named 'Intercept'"):
        encoding("Intercept + x", FRAME.assign(Intercept=FRAME["z"]))


def test_interrupts_are_not_swallowed() -> None:
    def interrupt(x: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoding("f(x)", f=interrupt)


@pytest.mark.parametrize(
    ("expression", "new", "words"),
    [
        ("t", {"t": ["a", "q"]}, ["'t' has the level 'q', in row 1,", "estimates for 'a', 'b', 'c' only"]),
        ("C(k)", {"k": [0, 9]}, ["'k' has the level '9'", "'0', '1', '2', '3'"]),
        ("C(u, Helmert)", {"u": ["lo", "q", "q2", "q"]}, ["the levels 'q', 'q2', in rows 1, 2, 3"]),
        ("x:t", {"x": [0.0], "t": ["q"]}, ["'t' has the level 'q', which", "only: use one of these levels."]),
        ("log(z)", {"z": [1.0, 0.0]}, ["'log(z)' is not finite in 1 of 2 rows"]),
    ],
)
def test_prediction_errors_name_the_term(expression: str, new: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(PredictionError) as caught:
        encoding(expression).encode(pd.DataFrame(new))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("poly(x, 0)", "degree=0 must be a whole number from 1. Write poly(x, 2)."),
        ("poly(x, -1)", "degree=-1 must be a whole number from 1"),
        ("poly(x, 2.5)", "degree=2.5 must be a whole number from 1"),
        ("poly(x, [2])", "degree=[2] must be a whole number from 1"),
        (
            "poly(x, z)",
            "in 'poly(x, z)', degree=z has the values of the column 'z'. It must be a whole number from 1, the same in "
            "all rows. Write poly(x, 2).",
        ),
        ("poly(x, degree=z + 1)", "degree=z + 1 has the values of the column 'z'"),
        (
            "bs(x, df=z)",
            "df=z has the values of the column 'z'. It must be a whole number from 1, the same in all rows",
        ),
        ("bs(x, knots=z)", "knots=z has the values of the column 'z'. It must be a list of numbers"),
        ("bs(x)", "neither df, the number of columns, nor knots are given. Write bs(x, df=4) or bs(x, knots=[0, 1])."),
        ("bs(x, df='4')", "df='4' must be a whole number"),
        ("bs(x, knots=3)", "knots=3 must be a list of numbers"),
        ("bs(x, knots=['a'])", "knots=['a'] must be a list of numbers"),
        ("bs(x, 4, degree=-1)", "degree=-1 must be a whole number from 0"),
        ("bs(x, 4, df=5)", "bs() is given 'df' twice"),
        ("scale(x, 2)", "scale() has 2 arguments in place of 1. Write scale(x)."),
        ("log()", "log() lacks 'x'. Write log(x)."),
        ("between(x)", "between() lacks 'g'. Write between(x, g)."),
        ("C(t, coding=Sum)", "C() has no argument 'coding'; its arguments are 'data', 'contrast', 'levels'"),
        ("C(t, Treatment('a', 'b'))", "Treatment() has 2 arguments in place of 1"),
        ("x:log(x, z)", "in 'log(x, z)', log() has 2 arguments"),
    ],
)
def test_arguments_that_a_function_does_not_take(expression: str, words: str) -> None:
    with pytest.raises(DesignError) as caught:
        encoding(expression)
    assert words in str(caught.value)


def test_a_users_own_logarithm_has_its_own_arguments() -> None:
    columns = encoding("0 + log(x, 2)", log=lambda x, power: x**power).columns
    np.testing.assert_allclose(columns[:, 0], FRAME["x"] ** 2)
