"""What holds for every hypothesis written as text: it is read as written, or refused by an error of this package."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hierlogit.effects.expressions import Hypothesis, Labels, parse_hypothesis
from hierlogit.errors import PredictionError

#: Labels as coefficients and rows have them, among them some that are parts of others and look like expressions.
LABELS = (
    "Intercept", "age", "age:urban[Y]", "urban[Y]", "I(age ** 2)", "Y - N", "Y", "N", "3+", "0", "1, N", "x > 3[True]",
    "b2", "µ", "day 1", "a=b", "-1", "(old)", "", "within(age, district)",
)  # fmt: skip
KNOWN = Labels(LABELS, "row")
RELATIONS = {"=": 0, "==": 0, "<": -1, "<=": -1, ">": 1, ">=": 1}
amounts = st.floats(1e-3, 1e3).map(lambda number: float(f"{number:.4g}"))
spaces = st.sampled_from(["", " ", "  ", "\t", "\n"])


@st.composite
def sides(draw: st.DrawFn) -> tuple[str, np.ndarray, float]:
    """A sum as text, with the weights of the labels and the constant that it has."""
    text, weights, constant = "", np.zeros(len(LABELS)), 0.0
    for k in range(draw(st.integers(1, 4))):
        sign, factor, space = draw(st.sampled_from([1.0, -1.0])), draw(amounts), draw(spaces)
        text += f"{space}{'-' if sign < 0 else '+' if k else ''}{space}"
        at = draw(st.integers(-1, len(LABELS) - 1))
        if at < 0:
            text, constant = f"{text}{factor!r}", constant + sign * factor
            continue
        plain = LABELS[at][:1].isalpha() and draw(st.booleans())
        label = LABELS[at] if plain else f"`{LABELS[at]}`"
        form = draw(st.sampled_from(["{label}", "{factor} * {label}", "({label})/{factor}", "{label}*{factor}"]))
        # Blanks about the label, since 'Y' followed by '- N' would be the label 'Y - N'.
        text += form.format(label=f" {label} ", factor=repr(factor))
        weights[at] += sign * (1.0 if form == "{label}" else 1 / factor if "/" in form else factor)
    return text, weights, constant


def read(text: str) -> Hypothesis | str:
    """The hypothesis, or the message of the error of this package that refuses it."""
    try:
        return parse_hypothesis(text, KNOWN)
    except PredictionError as error:
        return str(error)


@given(sides(), st.sampled_from(list(RELATIONS)), sides())
def test_relations_are_read_as_written(
    left: tuple[str, np.ndarray, float], relation: str, right: tuple[str, np.ndarray, float]
) -> None:
    text = f"{left[0]} {relation} {right[0]}"
    assume("Y - N" not in text)  # a label, and two labels with a sign between them
    weights, constant = left[1] - right[1], right[2] - left[2]
    side, found = RELATIONS[relation], read(text)
    if isinstance(found, str):
        assert "do not differ in any label" in found
        np.testing.assert_allclose(weights, 0, atol=1e-9)
        return
    if not left[1].any():
        weights, constant, side = -weights, -constant, -side
    assert found.weights is not None
    weighed = np.zeros(len(LABELS))
    for at, weight in found.weights.items():
        weighed[at] = weight
    np.testing.assert_allclose(weighed, weights, atol=1e-9)
    assert np.isclose(found.null, constant, atol=1e-9)
    assert found.side == side


def refused_or_read(text: str) -> None:
    found = read(text)
    if isinstance(found, str):
        assert found.startswith("hypothesis=")
        return
    assert found.expression.positions
    assert all(0 <= at < len(LABELS) for at in found.expression.positions)
    assert np.isfinite([*(found.weights or {}).values(), found.null]).all()
    assert all(weight != 0 for weight in (found.weights or {}).values())


@given(sides(), st.sampled_from(list(RELATIONS)), sides(), st.data())
def test_nearly_right_relations_are_refused_or_read(
    left: tuple[str, np.ndarray, float], relation: str, right: tuple[str, np.ndarray, float], data: st.DataObject
) -> None:
    text = f"{left[0]} {relation} {right[0]}"
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(["", *"()=<>+-*/`'b1e9.\0 "])) + text[at + 1 :]
    refused_or_read(text)


MORE = (
    "b1",
    "b99",
    "exp",
    "exp(",
    "^",
    "**",
    "1e999",
    "1e-999",
    "0",
    "(",
    ")",
    "*",
    "/",
    "=",
    "<",
    "-",
    "`",
    "__import__('os')",
)
words = st.sampled_from([*LABELS, *MORE])


@given(
    st.one_of(st.text(max_size=20), st.lists(words, max_size=9).map(" ".join), st.lists(words, max_size=9).map("".join))
)
def test_any_text_is_refused_or_read(text: str) -> None:
    refused_or_read(text)


@given(st.integers(0, 400), st.sampled_from(["(", "-", "1*(", "`", "exp(", "Y ** ("]))
def test_depth_is_no_trouble(depth: int, opening: str) -> None:
    refused_or_read(opening * depth + "Y" + ")" * depth + " = 1")


@st.composite
def formulas(draw: st.DrawFn, depth: int = 3) -> str:
    """An expression that Python reads in the same way, with positive values of the labels."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["age", "Y", "N", "b5", "2", "0.5"]))
    inner = formulas(depth=depth - 1)
    form = draw(
        st.sampled_from(["{} + {}", "{} - {}", "{} * {}", "{} / {}", "({})", "-{}", "exp({})", "sqrt(1 + ({}) ** 2)"])
    )
    return form.format(*(draw(inner) for _ in range(form.count("{}"))))


@given(formulas(), st.floats(-3, 3))
def test_arithmetic_is_that_of_python(text: str, null: float) -> None:
    values = {"age": 1.5, "Y": 0.3, "N": 0.7, "b5": 2.5}
    names = {**values, "exp": np.exp, "sqrt": np.sqrt}
    found = read(f"{text.replace('Y - N', 'Y - (N)')} = {null!r}")
    if isinstance(found, str):
        assert "do not differ in any label" in found or "divided by 0" in found or "not a finite number" in found
        return
    columns = np.ones(len(LABELS))
    columns[[1, 6, 7, 4]] = list(values.values())
    with np.errstate(all="ignore"):
        try:
            expected = eval(text, {"__builtins__": {}}, names)
        except (ZeroDivisionError, OverflowError):
            return
    if np.isfinite(expected) and abs(expected) < 1e8:
        assert float(found.value(columns)) - found.null == pytest.approx(expected - null, rel=1e-9, abs=1e-9)


@given(amounts, st.sampled_from(list(RELATIONS)))
def test_a_number_on_the_left_is_the_number_on_the_right(number: float, relation: str) -> None:
    mirrored = relation.translate(str.maketrans("<>", "><"))
    one, other = read(f"{number!r} {relation} age - N"), read(f"age - N {mirrored} {number!r}")
    assert isinstance(one, Hypothesis)
    assert isinstance(other, Hypothesis)
    assert (one.weights, one.null, one.side) == (other.weights, other.null, other.side)
    assert one.null == number
