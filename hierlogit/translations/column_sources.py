"""Code that computes the columns of a design from the columns of the table.

An expression is derived from the label of a column, and used only if it gives the values of the column. There is none
for splines, contrasts other than those with a reference level, and the user's own functions.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.transforms import formula_namespace

FloatArray = npt.NDArray[np.float64]

#: The indicator of a level of a column that the formula treats as categorical: ``C(week)[2]``.
_LEVEL_OF_CALL = re.compile(r"[CT]\((?P<name>[^(),]+)(?:,.*)?\)\[(?P<level>.*)\]", re.DOTALL)
#: Functions that are NumPy functions.
_MATHEMATICS = frozenset(
    name for name, value in formula_namespace().items() if callable(value) and value is getattr(np, name, None)
)


@dataclass(frozen=True)
class Factor:
    """A factor of the product that a column of a design is.

    Attributes
    ----------
    text : str
        The factor in the label: ``age``, ``urban[Y]``, ``I(age ** 2)``.
    column : str or None
        The column of the table, if the factor is a column itself or the indicator of one of its levels.
    level : str or None
        The level, if the factor is an indicator.
    code : str or None
        Expression with the table as ``data``; None if there is none.
    """

    text: str
    column: str | None
    level: str | None
    code: str | None


@dataclass(frozen=True)
class Source:
    """How a column of a design is computed from the table.

    Attributes
    ----------
    label : str
    factors : tuple of Factor
        Their product is the column.
    code : str or None
        Expression with the table as ``data``; None if there is none.
    """

    label: str
    factors: tuple[Factor, ...]
    code: str | None


def plain_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows as they are read from a CSV file: numbers, True/False and text.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `hierlogit.design.table.training_table`.
    """
    return pd.DataFrame({name: _plain(frame[name]) for name in frame})


def _plain(values: pd.Series[Any]) -> npt.NDArray[Any]:
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return values.to_numpy()
    levels = values.cat.categories
    if all(isinstance(level, (int, float, np.number)) for level in levels):
        return np.asarray(values)
    return np.array([str(value) for value in values], dtype=object)


def sources(labels: Sequence[str], columns: FloatArray, table: pd.DataFrame) -> tuple[Source, ...]:
    """How each column of a design matrix is computed from the table.

    Parameters
    ----------
    labels : sequence of str, length p
    columns : ndarray, shape (n, p)
    table : pandas.DataFrame
        From `plain_table`.

    Examples
    --------
    >>> table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "f": ["a", "b", "b"]})
    >>> X = np.array([[1.0, 0, 0], [4.0, 1, 2], [9.0, 1, 3]])
    >>> [source.code for source in sources(["I(x ** 2)", "f[b]", "x:f[b]"], X, table)]
    ['data["x"] ** 2', 'data["f"] == "b"', 'data["x"] * (data["f"] == "b")']
    """
    return tuple(_source(label, values, table) for label, values in zip(labels, columns.T, strict=True))


def _source(label: str, values: FloatArray, table: pd.DataFrame) -> Source:
    whole = _factor(label, table)
    parts = (whole,) if whole.code else tuple(_factor(text, table) for text in split_product(label))
    codes = [part.code for part in parts]
    if None in codes:
        return Source(label, parts, None)
    written = [str(code) for code in codes]
    code = written[0] if len(written) == 1 else " * ".join(_bracketed(text) for text in written)
    return Source(label, parts, code if gives(code, values, table) else None)


def gives(code: str, values: npt.NDArray[Any], table: pd.DataFrame) -> bool:
    """Whether an expression evaluates to these values, shape (n,), with the table as ``data``."""
    try:
        with np.errstate(all="ignore"):
            # The code is written by this module and contains only column names, numbers and NumPy functions.
            result = eval(code, {"__builtins__": {}, "np": np, "data": table})
            numbers = np.broadcast_to(np.asarray(result, dtype=np.float64), values.shape)
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return False
    size = float(np.abs(values).max(initial=0.0))
    return bool(np.all(np.abs(numbers - values) <= 1e-12 * size))


def split_product(label: str) -> list[str]:
    """The parts of an interaction's label, split at the colons outside brackets.

    Examples
    --------
    >>> split_product("bs(x, df=4)[0]:f[a:b]:w")
    ['bs(x, df=4)[0]', 'f[a:b]', 'w']
    """
    parts, depth = [""], 0
    for letter in label:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == ":" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _factor(text: str, table: pd.DataFrame) -> Factor:
    if text in table:
        return Factor(text, text, None, column_code(text))
    name, level = _indicated(text, table)
    if name is None:
        condition = re.fullmatch(r"(.*)\[(True|False)\]", text, re.DOTALL)
        if condition is None:
            return Factor(text, None, None, written_call(text, table))
        code = written_call(condition[1], table)
        return Factor(text, None, None, None if code is None else f"({code}) == {condition[2]}")
    value = literal_of(level, table[name])
    return Factor(text, name, level, None if value is None else f"{column_code(name)} == {value}")


def _indicated(text: str, table: pd.DataFrame) -> tuple[str | None, str]:
    """The column and the level whose indicator a label denotes; None and an empty text for other labels."""
    for name in table.columns:
        if text.startswith(f"{name}[") and text.endswith("]"):
            return str(name), text[len(name) + 1 : -1]
    match = _LEVEL_OF_CALL.fullmatch(text)
    if match is not None and match["name"].strip() in table:
        return match["name"].strip(), match["level"]
    return None, ""


def column_code(name: str) -> str:
    """Code for a column of the table."""
    return f"data[{quoted(name)}]"


def quoted(text: str) -> str:
    """Code for a text, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def literal_of(level: str, values: pd.Series[Any]) -> str | None:
    """Code for the value of a column whose text is `level`; None if no row has it."""
    for value in values.unique().tolist():
        if str(value) == level or (isinstance(value, float) and f"{value:g}" == level):
            return literal(value)
    return None


def literal(value: Any) -> str:
    """Code for a value."""
    if isinstance(value, str):
        return quoted(value)
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return repr(int(value) if whole else value)


def written_call(text: str, table: pd.DataFrame) -> str | None:
    """Code with NumPy and pandas for a function of the table's columns; None if there is none.

    Examples
    --------
    >>> table = pd.DataFrame({"x": [1.0, 2.0], "g": ["a", "b"]})
    >>> written_call("log(x / 2)", table), written_call("bs(x, df=4)", table)
    ('np.log(data["x"] / 2)', None)
    """
    try:
        tree = ast.parse(text, mode="eval")
        writer = _Writer(set(table.columns), text)
        body = writer.visit(tree.body)
    except (SyntaxError, _CannotBeWrittenError):
        return None
    # In one pass, so that what is written for one placeholder is never taken for another.
    return re.sub(rf"{writer.stem}\d+", lambda found: writer.written[found.group()], ast.unparse(body))


class _CannotBeWrittenError(Exception):
    """A part of an expression cannot be computed without this package."""


class _Writer(ast.NodeTransformer):
    """Replaces names of a formula by columns of the table and NumPy functions."""

    _plain = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Constant, ast.operator, ast.unaryop, ast.cmpop, ast.Load)

    def __init__(self, columns: set[str], text: str) -> None:
        self._columns = columns
        #: Beginning of the placeholders, which is nowhere in the text.
        self.stem = "written_"
        while self.stem in text:
            self.stem += "_"
        #: Code for each placeholder. Placeholders are names, so that the tree decides on brackets.
        self.written: dict[str, str] = {}

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, self._plain):
            raise _CannotBeWrittenError
        return super().generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self._columns:
            raise _CannotBeWrittenError
        return self._placeholder(column_code(node.id))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = ast.unparse(node.func)
        plain = name.removeprefix("np.")
        if node.keywords:
            raise _CannotBeWrittenError
        if name == "I" and len(node.args) == 1:
            return self.visit(node.args[0])  # type: ignore[no-any-return]
        if plain in _MATHEMATICS and len(node.args) == 1:
            return ast.Call(ast.Name(f"np.{plain}"), [self.visit(node.args[0])], [])
        if name in _STATEFUL and all(isinstance(leaf, ast.Name) and leaf.id in self._columns for leaf in node.args):
            names = [column_code(leaf.id) for leaf in node.args if isinstance(leaf, ast.Name)]
            pattern, arguments = _STATEFUL[name]
            if len(names) == arguments:
                return self._placeholder(pattern.format(*names))
        raise _CannotBeWrittenError

    def _placeholder(self, code: str) -> ast.Name:
        name = f"{self.stem}{len(self.written)}"
        self.written[name] = code
        return ast.Name(name)


#: Code for functions that depend on all rows, such as means, with the number of columns that they take.
_STATEFUL: Mapping[str, tuple[str, int]] = {
    "center": ("({0} - {0}.mean())", 1),
    "scale": ("(({0} - {0}.mean()) / {0}.std(ddof=0))", 1),
    "standardize": ("(({0} - {0}.mean()) / {0}.std(ddof=0))", 1),
    "between": ('{0}.groupby({1}).transform("mean")', 2),
    "within": ('({0} - {0}.groupby({1}).transform("mean"))', 2),
}


def _bracketed(code: str) -> str:
    """The code in round brackets, unless it is only a column or a call."""
    simple = re.fullmatch(r'data\["(?:[^"\\]|\\.)*"\]', code) or re.fullmatch(r"np\.\w+\([^()]*\)", code)
    return code if simple else f"({code})"
