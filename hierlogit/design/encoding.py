"""Encoding of predictors: columns of an expression, learned on the training rows and applied to other rows.

The columns are computed by formulae. This module keeps what it learned, labels the columns, and turns its failures into
errors that name the term.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import call_text
from ..errors import DesignError, HierlogitError, PredictionError
from ..formula.lists import name_lists
from ..validation import LARGEST_NUMBER, number_of, quoted_list, reason_of, shortened
from .column_parts import Parts, parts_of_term

FloatArray = npt.NDArray[np.float64]

#: Whole numbers up to here are converted to floating-point numbers, whose powers do not overflow. Larger ones can only
#: be identifiers, which floating-point numbers could not distinguish.
_IDENTIFIER = 2**53


class Encoding:
    """Encoding of an expression such as ``1 + age + bs(x, df=4)`` as columns.

    Parameters
    ----------
    expression : str
        Right-hand side of a formula, without random terms.
    frame : pandas.DataFrame
        Training rows, from `hierlogit.design.table.training_table`.
    namespace : mapping of str to object
        Functions and values that the expression can use besides the columns.

    Attributes
    ----------
    labels : tuple of str
        One label for each column, with Bambi's names: ``urban[Y]``. Offsets are not columns.
    terms : tuple of str
        The term of each column: ``urban``.
    level_columns : frozenset of str
        Columns of the table that are categorical, including numbers in ``C(week)``.
    parts : tuple of tuple of ColumnPart
        The parts whose product each column is; none for the intercept.
    has_offset : bool
        Whether the expression has an offset.

    Raises
    ------
    DesignError
        If the expression cannot be evaluated on these rows, or has a categorical with only one level.
    """

    def __init__(self, expression: str, frame: pd.DataFrame, namespace: Mapping[str, Any]) -> None:
        self.expression = expression
        with _evaluating(expression, DesignError):
            terms = _learned_terms(expression, _as_floating(frame), namespace)
        self._offsets = {name: term for name, term in terms.items() if term.kind == "offset"}
        self._columns = {name: term for name, term in terms.items() if term.kind != "offset"}
        self.has_offset = bool(self._offsets)
        self.level_columns = frozenset(
            str(column)
            for term in self._columns.values()
            for component in getattr(term, "components", ())
            if component.kind == "categoric"
            for column in component.var_names
            if column in frame
        )
        for name, term in self._columns.items():
            _check_components(name, term)
        labelled = [(label, name) for name, term in self._columns.items() for label in _labels(term)]
        self.labels: tuple[str, ...] = tuple(label for label, _ in labelled)
        self.terms: tuple[str, ...] = tuple(name for _, name in labelled)
        names = [str(name) for name in frame]
        self.parts: tuple[Parts, ...] = tuple(
            parts for term in self._columns.values() for parts in parts_of_term(term, names)
        )

    def __repr__(self) -> str:
        return call_text("Encoding", {"expression": self.expression})

    def training(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Columns and offset of the training rows, shapes (n, p) and (n,).

        Raises
        ------
        DesignError
            If a value is not finite or too large.
        """
        columns = {name: term.data for name, term in self._columns.items()}
        offsets = {name: term.data for name, term in self._offsets.items()}
        return self._finite(columns, offsets, len(frame), DesignError)

    def encode(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Columns and offset of other rows, encoded as the training rows were, shapes (n, p) and (n,).

        Raises
        ------
        PredictionError
            If a categorical has a level that is not in the training rows, or a value is not finite or too large.
        """
        floating = _as_floating(frame)
        with _evaluating(self.expression, PredictionError):
            columns = {name: term.eval_new_data(floating) for name, term in self._columns.items()}
            offsets = {name: _offset(term, floating) for name, term in self._offsets.items()}
        return self._finite(columns, offsets, len(frame), PredictionError)

    def _finite(
        self, columns: Mapping[str, Any], offsets: Mapping[str, Any], n: int, error: type[HierlogitError]
    ) -> tuple[FloatArray, FloatArray]:
        parts = [_as_columns(name, values, n, error) for name, values in columns.items()]
        matrix = np.column_stack(parts) if parts else np.empty((n, 0))
        total = np.zeros(n)
        for name, values in offsets.items():
            total += _as_columns(name, values, n, error)[:, 0]
        for label, values in [*zip(self.labels, matrix.T, strict=True), ("offset()", total)]:
            bad = ~(np.abs(values) <= LARGEST_NUMBER)
            if bad.any():
                rows = np.flatnonzero(bad).tolist()
                what = f"beyond {LARGEST_NUMBER:g}" if np.isfinite(values).all() else "not finite"
                raise error(
                    f"'{label}' is {what} in {len(rows):,} of {number_of(n, 'row')}; counted from 0 among the complete "
                    f"rows: {quoted_list(rows)}. Check the values that go into it: a logarithm of 0 or less, a "
                    "division by 0, or a scaled column that does not vary."
                )
        return np.ascontiguousarray(matrix, dtype=np.float64), total


#: Functions of formulae that those of `hierlogit.design.codings` replace, and the name of the one for other rows.
_REPLACED = ("C", "S", "T")
_NEW_ROWS = "C() of other rows"


def _own(name: str) -> str:
    """The name of a function that replaces one of formulae, which no formula can contain."""
    return f"{name}()"


def _learned_terms(expression: str, frame: pd.DataFrame, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The terms of the expression by name, evaluated on these rows."""
    from formulae.environment import Environment

    from .arguments import nodes, refuse_text
    from .codings import Helmert, Poly, categorical, plain_categorical, sum_coded, treatment_coded

    text, lists = name_lists(expression, [str(name) for name in frame])
    values = {"Helmert": Helmert, "Poly": Poly, **namespace, **lists, _NEW_ROWS: plain_categorical}
    values |= {_own("C"): categorical, _own("S"): sum_coded, _own("T"): treatment_coded}
    description = _formulae()(text)
    for term in description.common_terms:
        if hasattr(term, "components"):
            # In t/x, formulae shares a component between t and t:x, with the coding of the latter for both.
            term.components = deepcopy(term.components)
        for call in filter(None, [getattr(component, "call", None) for component in getattr(term, "components", ())]):
            refuse_text(call, frame, values)
            for node in nodes(call):
                if getattr(node, "callee", None) in _REPLACED:
                    node.callee = _own(node.callee)
    # Without an environment, formulae would look up names among the variables of this function.
    description.eval(frame, Environment([_Shared(values)]))
    terms = {str(term.name): term for term in description.common_terms}
    if len(terms) < len(description.common_terms):
        names = [str(term.name) for term in description.common_terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DesignError(f"'{expression}' has several terms named {twice[0]!r}. Rename the column.")
    return terms


def _formulae() -> Callable[[str], Any]:
    """The function of formulae that parses expressions, with two defects corrected.

    In formulae 0.6, a call cannot be compared with another kind of expression, as in ``I(log(x)) + I(x)``, and a
    constant cannot be hashed, as in ``(x + z) * poly(a, 2)``.
    """
    from formulae.model_description import model_description
    from formulae.terms.call_resolver import LazyCall, LazyValue

    if LazyCall.__eq__ is not _same_call:
        LazyCall.__eq__, LazyValue.__hash__ = _same_call, _hash_of_value
    return model_description  # type: ignore[no-any-return]


def _same_call(call: Any, other: object) -> bool:
    return isinstance(other, type(call)) and (call.callee, call.args, call.kwargs) == (
        other.callee,
        other.args,
        other.kwargs,
    )


def _hash_of_value(value: Any) -> int:
    return hash((value.value, value.lexeme))


class _Shared(dict[str, Any]):
    """The namespace of a formula, which is not copied with the terms, since modules cannot be copied."""

    def __deepcopy__(self, memo: Any) -> _Shared:
        return self


def _as_floating(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with whole numbers as floating-point numbers, so that arithmetic in a formula does not overflow."""
    whole = [name for name in frame if frame[name].dtype.kind == "i"]
    return frame.astype({name: float for name in whole if np.abs(frame[name].astype(float)).max() <= _IDENTIFIER})


def _label_whole_numbers(component: Any) -> None:
    """Label levels that are whole numbers without a decimal point: ``C(week)[2]``."""
    if all(isinstance(level, float) for level in component.levels):
        contrasts = component.contrast_matrix
        contrasts.labels = [re.sub(r"^(-?\d+)\.0$", r"\1", label) for label in contrasts.labels]


def _check_components(name: str, term: Any) -> None:
    from .arguments import nodes

    for component in getattr(term, "components", ()):
        if component.kind == "offset":
            raise DesignError(f"the offset in '{name}' cannot be part of an interaction. Add it as a separate term.")
        if component.kind != "categoric":
            continue
        if len(component.levels) < 2:
            raise DesignError(
                f"'{component.name}' has only one level, {shortened(component.levels[0])}, so it has no effect to "
                "estimate. Leave it out of the formula, or check which rows were selected."
            )
        _label_whole_numbers(component)
        for node in nodes(getattr(component, "call", None)):
            if getattr(node, "callee", "") in [_own(function) for function in _REPLACED]:
                node.args[:] = node.args[:1] or [node.kwargs["data"]]
                node.callee, node.kwargs = _NEW_ROWS, {}


def _offset(term: Any, frame: pd.DataFrame) -> Any:
    learned = term.components[0]._intermediate_data
    return learned.x if learned.kind == "constant" else term.eval_new_data(frame)


def _labels(term: Any) -> list[str]:
    labels = term.labels
    return [str(label) for label in (labels if isinstance(labels, (list, tuple)) else [labels])]


def _as_columns(name: str, values: Any, n: int, error: type[HierlogitError]) -> FloatArray:
    if np.iscomplexobj(values):
        raise error(f"'{name}' gives complex numbers. A model needs real ones.")
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise error(f"'{name}' gives values that are not numbers: {shortened(values)}.") from None
    if array.ndim == 0:
        return np.full((n, 1), float(array))
    if len(array) != n:
        raise error(
            f"'{name}' gives {number_of(len(array), 'value')} for {number_of(n, 'row')}; a function must return one "
            "for each row."
        )
    return array.reshape(n, -1)


class _evaluating(contextlib.AbstractContextManager[None]):
    """Context that turns errors of formulae into errors of this package, and suppresses what formulae prints."""

    def __init__(self, expression: str, error: type[HierlogitError]) -> None:
        self._expression = expression
        self._error = error
        self._silence = contextlib.redirect_stdout(io.StringIO())

    def __enter__(self) -> None:
        self._silence.__enter__()

    def __exit__(self, kind: Any, problem: BaseException | None, trace: Any) -> None:
        self._silence.__exit__(kind, problem, trace)
        if problem is None or isinstance(problem, HierlogitError) or not isinstance(problem, Exception):
            return
        # Whole numbers were converted to floating-point numbers; show them without a decimal point.
        reason = re.sub(r"(?<=[(, ])(-?\d+)\.0(?=[,)])", r"\1", reason_of(problem))
        raise self._error(f"cannot evaluate '{self._expression}' on these data: {reason}.") from problem
