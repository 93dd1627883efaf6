"""One side of a formula, learned on the training rows once and applied to any rows after.

The columns themselves are made by formulae; this module holds what it learned, gives the columns their
labels and turns its failures into errors that name the term.
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
from ..validation import LARGEST_NUMBER, number_of, quoted_list, reason_of, shortened

FloatArray = npt.NDArray[np.float64]

#: Whole numbers up to here are computed with as floating ones, whose powers do not overflow; larger ones can only be
#: identifiers, which floating numbers would not tell apart.
_IDENTIFIER = 2**53


class Encoding:
    """Columns of an expression such as ``1 + age + bs(x, df=4)``.

    Parameters
    ----------
    expression : str
        Right-hand side of a formula, without random terms.
    frame : pandas.DataFrame
        Training rows, as `hierlogit.design.table.training_table` leaves them.
    namespace : mapping of str to object
        Functions and values the expression may use besides the columns.

    Attributes
    ----------
    labels : tuple of str
        One label for each column, as Bambi writes them: ``urban[Y]``. Offsets are no columns.
    terms : tuple of str
        For each column the term it comes from: ``urban``.
    level_columns : frozenset of str
        Columns whose values are read as levels, numbers in ``C(week)`` among them.
    has_offset : bool
        Whether the expression has an offset.

    Raises
    ------
    DesignError
        If the expression cannot be evaluated on these rows, gives values that are not finite, or has a categorical of
        one level.
    """

    def __init__(self, expression: str, frame: pd.DataFrame, namespace: Mapping[str, Any]) -> None:
        self.expression = expression
        with _evaluating(expression, DesignError):
            terms = _learned_terms(expression, _roomy(frame), namespace)
        self._offsets = {name: term for name, term in terms.items() if term.kind == "offset"}
        self._columns = {name: term for name, term in terms.items() if term.kind != "offset"}
        self.has_offset = bool(self._offsets)
        self.level_columns = frozenset(
            str(column)
            for term in self._columns.values()
            for component in getattr(term, "components", ())
            if component.kind == "categoric"
            for column in component.var_names
        )
        for name, term in self._columns.items():
            _check_components(name, term)
        labelled = [(label, name) for name, term in self._columns.items() for label in _labels(term)]
        self.labels: tuple[str, ...] = tuple(label for label, _ in labelled)
        self.terms: tuple[str, ...] = tuple(name for _, name in labelled)

    def __repr__(self) -> str:
        return call_text("Encoding", {"expression": self.expression})

    def training(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Columns and offset of the training rows themselves, shapes (n, p) and (n,)."""
        columns = {name: term.data for name, term in self._columns.items()}
        offsets = {name: term.data for name, term in self._offsets.items()}
        return self._finite(columns, offsets, len(frame), DesignError)

    def encode(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Columns and offset of other rows by what was learned in training, shapes (n, p) and (n,).

        Raises
        ------
        PredictionError
            If a categorical has a level that training did not have, or a value is not finite.
        """
        roomy = _roomy(frame)
        with _evaluating(self.expression, PredictionError):
            columns = {name: term.eval_new_data(roomy) for name, term in self._columns.items()}
            offsets = {name: _offset(term, roomy) for name, term in self._offsets.items()}
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


def _learned_terms(expression: str, frame: pd.DataFrame, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate the expression's terms on these rows; they come back by name."""
    from formulae.environment import Environment

    description = _formulae()(expression)
    for term in description.common_terms:
        if hasattr(term, "components"):
            # formulae gives t and t:x of t/x one component between them, and the coding of the last for both.
            term.components = deepcopy(term.components)
    # Of an environment of its own making formulae would look names up in the variables of this function.
    description.eval(frame, Environment([_Shared(namespace)]))
    terms = {str(term.name): term for term in description.common_terms}
    if len(terms) < len(description.common_terms):
        names = [str(term.name) for term in description.common_terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DesignError(f"'{expression}' has several terms named {twice[0]!r}. Rename the column.")
    return terms


def _formulae() -> Callable[[str], Any]:
    """Import formulae's reader, with two defects of its expressions mended.

    In formulae 0.6 a call cannot be compared with another kind of expression, which ``I(log(x)) + I(x)`` needs, and a
    constant cannot be hashed, which ``(x + z) * poly(a, 2)`` needs.
    """
    from formulae.model_description import model_description
    from formulae.terms.call_resolver import LazyCall, LazyValue

    if LazyCall.__eq__ is not _same_call:
        LazyCall.__eq__, LazyValue.__hash__ = _same_call, _hash_of_value
    return model_description  # type: ignore[no-any-return]


def _same_call(one: Any, other: object) -> bool:
    return isinstance(other, type(one)) and (one.callee, one.args, one.kwargs) == (
        other.callee,
        other.args,
        other.kwargs,
    )


def _hash_of_value(value: Any) -> int:
    return hash((value.value, value.lexeme))


class _Shared(dict[str, Any]):
    """Names for a formula. formulae copies terms with their names, and modules and functions cannot be copied."""

    def __deepcopy__(self, memo: Any) -> _Shared:
        return self


def _roomy(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn columns of whole numbers into floating ones, so that arithmetic in a formula does not overflow."""
    whole = [name for name in frame if frame[name].dtype.kind == "i"]
    return frame.astype({name: float for name in whole if np.abs(frame[name].astype(float)).max() <= _IDENTIFIER})


def _label_whole_numbers(component: Any) -> None:
    """Label the levels of whole numbers without the point: ``C(week)[2]``."""
    if all(isinstance(level, float) for level in component.levels):
        contrasts = component.contrast_matrix
        contrasts.labels = [re.sub(r"^(-?\d+)\.0$", r"\1", label) for label in contrasts.labels]


def _check_components(name: str, term: Any) -> None:
    for component in getattr(term, "components", ()):
        if component.kind == "offset":
            raise DesignError(f"the offset in '{name}' cannot be part of an interaction. Add it as a separate term.")
        if component.kind != "categoric":
            continue
        if len(component.levels) < 2:
            raise DesignError(
                f"'{component.name}' has only one level, {shortened(component.levels[0])}, so it has no effect to "
                "estimate. "
                "Leave it out of the formula, or check the rows' selection."
            )
        _label_whole_numbers(component)
        call = getattr(component, "call", None)
        if call is not None and call.callee in ("C", "S", "T"):
            _forget_levels(call)


def _forget_levels(call: Any) -> None:
    """Let ``C(x)`` read rows that lack some of its levels; it knows them from training, and formulae demands all."""
    call.args[:] = [_Values(argument) if i == 0 else argument for i, argument in enumerate(call.args[:2])]
    call.kwargs.pop("levels", None)


class _Values:
    """An argument of a formula's function, handed over as plain values where it is categorical."""

    def __init__(self, argument: Any) -> None:
        self._argument = argument

    def eval(self, frame: Any, environment: Any) -> npt.NDArray[Any]:
        return np.asarray(self._argument.eval(frame, environment), dtype=object)


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
    """Turn whatever formulae raises into one of our errors, and keep what it prints off the screen."""

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
        # Whole numbers are computed with as floating ones, and shown as they were given.
        reason = re.sub(r"(?<=[(, ])(-?\d+)\.0(?=[,)])", r"\1", reason_of(problem))
        raise self._error(f"cannot evaluate '{self._expression}' on these data: {reason}.") from problem
