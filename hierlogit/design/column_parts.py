"""What the columns of a design are products of: numeric columns, and codes of the levels of categorical predictors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ..display import ShownAsCall

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Coding(ShownAsCall):
    """The coding of a categorical predictor in a term.

    Attributes
    ----------
    name : str
        The column of the table, or the expression if the predictor is computed.
    levels : tuple of str, length k
    codes : ndarray, shape (k, q)
        The codes of each level, in the columns that the predictor has in the term.
    spans_intercept : bool
        Whether a column of ones is a combination of the codes.
    """

    name: str
    levels: tuple[str, ...]
    codes: FloatArray
    spans_intercept: bool

    @property
    def saturated(self) -> bool:
        """Whether the codes, with a column of ones, tell all levels apart, so that the contrasts are the only ones."""
        return bool(self.codes.shape[1] == len(self.levels) - (not self.spans_intercept))

    @property
    def contrasts(self) -> FloatArray:
        """The linear functions of the values at the levels that the coefficients are, shape (1 + q, k).

        The first row is that of the intercept: the function that a coefficient of other columns is evaluated by. It is
        the mean of the levels if the codes span the intercept.
        """
        k = len(self.levels)
        if self.spans_intercept:
            return np.vstack([np.full(k, 1 / k), np.linalg.pinv(self.codes)])
        return np.asarray(np.linalg.pinv(np.column_stack([np.ones(k), self.codes])))


@dataclass(frozen=True, eq=False, repr=False)
class ColumnPart(ShownAsCall):
    """A factor of the product that a column of a design is.

    Attributes
    ----------
    text : str
        The part of the column's label: ``age``, ``urban[Y]``, ``poly(x, 2)[0]``.
    component : str
        The text without the level or number: ``age``, ``urban``, ``poly(x, 2)``.
    variables : frozenset of str
        The columns of the table from which it is computed. The results of ``within`` and ``between`` count as columns
        of their own.
    coding : Coding or None
        None for numbers.
    position : int
        The column of the codes, or of a component such as a spline that has several columns.
    """

    text: str
    component: str
    variables: frozenset[str]
    coding: Coding | None
    position: int


Parts = tuple[ColumnPart, ...]


def parts_of_term(term: Any, columns: Sequence[str]) -> list[Parts]:
    """The parts of each column of a term of formulae, in the order of its labels; none for the intercept.

    Parameters
    ----------
    term : formulae Term
        Evaluated on the training rows.
    columns : sequence of str
        Names of the columns of the table.
    """
    components = [_parts_of_component(component, frozenset(columns)) for component in getattr(term, "components", ())]
    return [tuple(together) for together in product(*components)]


def _parts_of_component(component: Any, columns: frozenset[str]) -> list[ColumnPart]:
    call = getattr(component, "call", None)
    variables = frozenset(_variables(call, columns)) if call is not None else frozenset({str(component.name)})
    labels = component.labels if isinstance(component.labels, (list, tuple)) else [component.labels]
    coding = None
    if component.kind == "categoric":
        coding = Coding(
            _name(component, columns),
            tuple(map(level_text, component.levels)),
            np.asarray(component.contrast_matrix.matrix, dtype=np.float64),
            bool(component.spans_intercept),
        )
    return [ColumnPart(str(text), str(component.name), variables, coding, j) for j, text in enumerate(labels)]


def _variables(node: Any, columns: frozenset[str]) -> Iterator[str]:
    """The columns in a parsed call of formulae, or in an operand of it."""
    if getattr(node, "callee", "") in ("within", "between"):
        yield str(node)
    elif getattr(node, "name", None) in columns:
        yield str(node.name)
    else:
        for inside in [*getattr(node, "args", ()), *getattr(node, "kwargs", {}).values()]:
            yield from _variables(inside, columns)


def _name(component: Any, columns: frozenset[str]) -> str:
    """The column that a categorical predictor is, or its expression."""
    call = getattr(component, "call", None)
    first = str(call.args[0]) if call is not None and call.args else ""
    return first if first in columns else str(component.name)


def level_text(level: Any) -> str:
    """A level as text, whole numbers without a decimal point."""
    return str(int(level)) if isinstance(level, float) and level.is_integer() else str(level)


@dataclass(frozen=True)
class Curve:
    """Components of the fixed part that are computed from the same variables, and can only change together.

    Attributes
    ----------
    components : tuple of str
        ``age`` and ``I(age ** 2)``, or ``poly(age, 2)`` alone, which has several columns.
    variables : tuple of str
    """

    components: tuple[str, ...]
    variables: tuple[str, ...]


def part_of_curve(parts: Parts, columns: Sequence[Parts], joint: Mapping[str, Curve]) -> Curve | None:
    """The curve of which a column is a part without a meaning of its own; None for other columns.

    In ``x * f + I(x**2)`` the interaction ``x:f`` has one, the difference between two slopes, since the rest of the
    curve is the same at all levels of ``f``. In ``(x + I(x**2)) * f`` it has none.

    Parameters
    ----------
    parts : tuple of ColumnPart
        The column.
    columns : sequence of tuple of ColumnPart
        All columns.
    joint : mapping of str to Curve
        From `curves`.
    """
    curve = next((joint[part.component] for part in parts if part.component in joint), None)
    if curve is None:
        return None
    rest = _rest(parts, curve)
    beside = any(
        other is not parts and len(other) > len(_rest(other, curve)) and _rest(other, curve) == rest
        for other in columns
    )
    difference = any(part.text in rest and (part.coding is None or not part.coding.spans_intercept) for part in parts)
    return None if difference and not beside else curve


def _rest(parts: Parts, curve: Curve) -> set[str]:
    """The parts of a column that are not components of a curve, as text."""
    return {part.text for part in parts if part.component not in curve.components}


def curves(columns: Sequence[Parts]) -> Mapping[str, Curve]:
    """For each component that shares variables with others, or has several columns of numbers, its curve."""
    of_component: dict[str, ColumnPart] = {}
    several: set[str] = set()
    for parts in columns:
        for part in parts:
            of_component.setdefault(part.component, part)
            if part.coding is None and part.position > 0:
                several.add(part.component)
    sets: list[tuple[list[str], set[str]]] = []
    for name, part in of_component.items():
        names, variables = [name], set(part.variables)
        for other in [other for other in sets if other[1] & variables]:
            sets.remove(other)
            names, variables = other[0] + names, other[1] | variables
        sets.append((names, variables))
    found: dict[str, Curve] = {}
    for names, variables in sets:
        if len(names) > 1 or names[0] in several:
            curve = Curve(tuple(sorted(names, key=list(of_component).index)), tuple(sorted(variables)))
            found |= dict.fromkeys(names, curve)
    return found
