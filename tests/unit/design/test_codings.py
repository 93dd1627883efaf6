"""Codings of categorical predictors: those of R, matrices of one's own, and levels that there are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.design.codings import Diff, Helmert, Poly
from hierlogit.design.encoding import Encoding
from hierlogit.design.table import training_table
from hierlogit.design.transforms import formula_namespace
from hierlogit.errors import DesignError

N = 24
COLUMNS: dict[str, Any] = {
    "x": np.linspace(-1, 1, N),
    "f": np.tile(["a", "b", "c", "d"], N // 4),
    "week": np.tile([0, 2, 4, 11], N // 4),
    "h": np.repeat(["u", "v"], N // 2),
}
FRAME = training_table(COLUMNS, list(COLUMNS), "error").frame


def encoding(expression: str, **names: Any) -> Encoding:
    return Encoding(expression, FRAME, formula_namespace(names))


def codes(expression: str, **names: Any) -> Any:
    """The columns besides the intercept in the first four rows, which have the four levels."""
    return encoding(expression, **names).columns[:4, 1:]


def test_helmert_contrasts_are_those_of_r() -> None:
    # contr.helmert(4)
    expected = [[-1, -1, -1], [1, -1, -1], [0, 2, -1], [0, 0, 3]]
    np.testing.assert_array_equal(codes("C(f, Helmert)"), expected)
    assert encoding("C(f, Helmert)").labels[1:] == tuple(f"C(f, Helmert)[{level}]" for level in "bcd")


def test_successive_differences_are_those_of_r() -> None:
    # MASS::contr.sdif(4)
    expected = [[-0.75, -0.5, -0.25], [0.25, -0.5, -0.25], [0.25, 0.5, -0.25], [0.25, 0.5, 0.75]]
    np.testing.assert_allclose(codes("C(f, Diff)"), expected, atol=1e-15)
    assert encoding("C(f, Diff)").labels[1:] == tuple(f"C(f, Diff)[{level}]" for level in "bcd")
    matrix, _ = Diff().contrasts(["a", "b", "c", "d"])
    whole = np.column_stack([np.ones(4), matrix])
    np.testing.assert_allclose(np.linalg.inv(whole)[1:] @ [1.0, 4.0, 6.0, 7.0], [3.0, 2.0, 1.0], atol=1e-12)


def test_polynomial_contrasts_are_those_of_r() -> None:
    # contr.poly(4)
    expected = [
        [-0.6708204, 0.5, -0.2236068],
        [-0.2236068, -0.5, 0.6708204],
        [0.2236068, -0.5, -0.6708204],
        [0.6708204, 0.5, 0.2236068],
    ]
    np.testing.assert_allclose(codes("C(f, Poly)"), expected, atol=1e-7)
    assert encoding("C(week, Poly)").labels[1:] == (
        "C(week, Poly)[linear]",
        "C(week, Poly)[quadratic]",
        "C(week, Poly)[cubic]",
    )
    # contr.poly(3, scores = c(1, 2, 4))
    matrix, _ = Poly([1, 2, 4]).contrasts(["a", "b", "c"])
    expected = [[-0.6172134, 0.5345225], [-0.1543033, -0.8017837], [0.7715167, 0.2672612]]
    np.testing.assert_allclose(matrix, expected, atol=1e-7)


@given(st.integers(2, 12))
def test_contrasts_are_orthogonal_and_span_the_levels(k: int) -> None:
    for coding in (Helmert(), Poly()):
        matrix, labels = coding.contrasts(list(range(k)))
        assert matrix.shape == (k, k - 1) == (k, len(set(labels)))
        products = matrix.T @ matrix
        np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-8)
        np.testing.assert_allclose(matrix.sum(axis=0), 0, atol=1e-10)


OWN = np.array([[-1, 0.5, 0], [1, 0.5, 0], [0, -1, 1], [0, -1, -1]])


@pytest.mark.parametrize(
    "given_as",
    [OWN, OWN.tolist(), pd.DataFrame(OWN, columns=["ab", "rest", "cd"], index=list("abcd")), pd.DataFrame(OWN)],
)
def test_a_matrix_of_ones_own(given_as: Any) -> None:
    np.testing.assert_array_equal(codes("C(f, m)", m=given_as), OWN)


def test_rows_and_columns_of_a_matrix_have_names() -> None:
    frame = pd.DataFrame(OWN, columns=["ab", "rest", "cd"], index=list("abcd")).iloc[[3, 1, 0, 2]]
    np.testing.assert_array_equal(codes("C(f, m)", m=frame), OWN)
    assert encoding("C(f, m)", m=frame).labels[1:] == ("C(f, m)[ab]", "C(f, m)[rest]", "C(f, m)[cd]")
    whole = pd.DataFrame(OWN, index=[0, 2, 4, 11])
    np.testing.assert_array_equal(codes("C(week, m)", m=whole), OWN)


def test_a_matrix_in_the_formula() -> None:
    columns = encoding("C(h, [[-1/2], [1/2]])").columns[:, 1]
    np.testing.assert_array_equal(columns, np.repeat([-0.5, 0.5], N // 2))
    np.testing.assert_array_equal(codes("C(f, Helmert, levels=['d', 'c', 'b', 'a'])"), codes("C(f, Helmert)")[::-1])


@pytest.mark.parametrize(
    "expression", ["C(f, Helmert) * x", "x:C(f, Poly)", "C(f, m) / h", "0 + C(f, m):x", "C(data=f)"]
)
def test_other_rows_have_the_codes_of_the_training_rows(expression: str) -> None:
    made = encoding(expression, m=OWN)
    whole = made.columns
    assert np.linalg.matrix_rank(whole) == whole.shape[1]
    for row in range(5):
        np.testing.assert_allclose(made.encode(FRAME.iloc[[row]])[0], whole[[row]])


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("C(f, Treatment('zz'))", ["'zz' is not among the levels of 'f'", "'a', 'b', 'c', 'd'"]),
        ("T(f, 'A')", ["'A' is not among the levels of 'f'", "Did you mean 'a'?"]),
        ("C(f, Sum('e'))", ["'e' is not among the levels of 'f'"]),
        ("S(week, '2')", ["'2' is not among the levels of 'week'", "write 2 without quotes"]),
        ("T(f, 3)", ["3 is not among the levels of 'f'", "'a', 'b', 'c', 'd'"]),
        ("C(f, levels=['a', 'b', 'c'])", ["the list lacks 'd'", "'a', 'b', 'c', 'd'"]),
        ("C(f, levels=['a', 'b', 'c', 'd', 'd'])", ["in the list twice"]),
        ("C(f, levels=['a', 'b', 'c', 'e'])", ["'e' is not among the levels of 'f'"]),
        ("C(f, levels='abcd')", ["levels='abcd' must be a list"]),
        ("C(f, 'Sum')", ["'Sum'", "Treatment('a')", "Helmert", "Poly", "a matrix", "Write Sum without quotes."]),
        ("C(f, 'contr.helmert')", ["Write Helmert without quotes."]),
        ("C(f, 3)", ["cannot be 3 (int)", "Helmert"]),
        ("C(f, x)", ["cannot be the column 'x'", "Helmert"]),
        ("C(f, [[1, 0], [0, 1]])", ["4 rows", "'a', 'b', 'c', 'd'", "(2, 2)"]),
        ("C(h, [[1], [1]])", ["depend linearly"]),
        ("C(f, ['a', 'b'])", ["a matrix of numbers with one row for each level"]),
        ("C(f, Poly([1, 2]))", ["Poly(scores=[1, 2])", "each of the 4 levels"]),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(expression: str, words: list[str]) -> None:
    with pytest.raises(DesignError) as caught:
        encoding(expression)
    for word in words:
        assert word in str(caught.value)


def test_rows_of_a_matrix_with_other_names_than_the_levels() -> None:
    with pytest.raises(DesignError, match="rows of the contrasts are named 'a', 'b', 'c', 'e'"):
        encoding("C(f, m)", m=pd.DataFrame(OWN, index=list("abce")))


def test_a_coding_that_is_not_known() -> None:
    rows = {"y": np.tile([0, 1], N // 2), **COLUMNS}
    with pytest.raises(hl.errors.FormulaError, match="Did you mean 'Helmert'"):
        hl.Model("y ~ C(f, Helmet)", rows)
    with pytest.raises(hl.errors.FormulaError, match=r"C\(x, Poly\)"):
        hl.Model("y ~ C(f, contr.poly)", rows)
