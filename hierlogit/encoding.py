"""One side of a formula, learned on the training rows once and applied to any rows after.

The columns themselves are made by formulae; this module holds what it learned, gives the columns their
labels and turns its failures into errors that name the term.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .errors import DesignError, HierlogitError, PredictionError

FloatArray = npt.NDArray[np.float64]


class Encoding:
    """Columns of an expression such as ``1 + age + bs(x, df=4)``.

    Parameters
    ----------
    expression : str
        Right-hand side of a formula, without random terms.
    frame : pandas.DataFrame
        Training rows, as `hierlogit.table.training_table` leaves them.
    namespace : mapping of str to object
        Functions and values the expression may use besides the columns.

    Attributes
    ----------
    labels : tuple of str
        One label for each column, as Bambi writes them: ``urban[Y]``. Offsets are no columns.
    terms : tuple of str
        For each column the term it comes from: ``urban``.

    Raises
    ------
    DesignError
        If the expression cannot be evaluated on these rows, or gives values that are not finite.
    """

    def __init__(self, expression: str, frame: pd.DataFrame, namespace: Mapping[str, Any]) -> None:
        self.expression = expression
        with _evaluating(expression, DesignError):
            design_matrices = _formulae()
            matrices = design_matrices(expression, frame, na_action="error", extra_namespace=dict(namespace))
        terms = dict(matrices.common.terms) if matrices.common is not None else {}
        self._offsets = {name: term for name, term in terms.items() if term.kind == "offset"}
        self._columns = {name: term for name, term in terms.items() if term.kind != "offset"}
        labelled = [(label, name) for name, term in self._columns.items() for label in _labels(term)]
        self.labels: tuple[str, ...] = tuple(label for label, _ in labelled)
        self.terms: tuple[str, ...] = tuple(name for _, name in labelled)

    def training(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Columns and offset of the training rows themselves, shapes (n, p) and (n,)."""
        columns = [term.data for term in self._columns.values()]
        offsets = [term.data for term in self._offsets.values()]
        return self._finite(columns, offsets, frame, DesignError)

    def encode(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Columns and offset of other rows by what was learned in training, shapes (n, p) and (n,).

        Raises
        ------
        PredictionError
            If a categorical has a level that training did not have, or a value is not finite.
        """
        with _evaluating(self.expression, PredictionError):
            columns = [term.eval_new_data(frame) for term in self._columns.values()]
            offsets = [term.eval_new_data(frame) for term in self._offsets.values()]
        return self._finite(columns, offsets, frame, PredictionError)

    def _finite(
        self, columns: list[Any], offsets: list[Any], frame: pd.DataFrame, error: type[HierlogitError]
    ) -> tuple[FloatArray, FloatArray]:
        n = len(frame)
        matrix = np.column_stack([_as_columns(c, n) for c in columns]) if columns else np.empty((n, 0))
        total = np.zeros(n)
        for column in offsets:
            total += _as_columns(column, n)[:, 0]
        for label, values in [*zip(self.labels, matrix.T, strict=True), ("offset()", total)]:
            bad = ~np.isfinite(values)
            if bad.any():
                rows = [int(row) for row in np.flatnonzero(bad)[:5]]
                raise error(
                    f"'{label}' is not finite in {int(bad.sum())} of {n} rows (the first, counted from 0 after rows "
                    f"with missing values left: {rows}). Check the values that go into it: a logarithm of 0 or less, "
                    "a division by 0, or a column without variation that is scaled."
                )
        return np.ascontiguousarray(matrix, dtype=np.float64), total


def _formulae() -> Callable[..., Any]:
    """Import formulae's reader, with two defects of its expressions mended.

    In formulae 0.6 a call cannot be compared with another kind of expression, which ``I(log(x)) + I(x)`` needs, and a
    constant cannot be hashed, which ``(x + z) * poly(a, 2)`` needs.
    """
    from formulae import design_matrices
    from formulae.terms.call_resolver import LazyCall, LazyValue

    if LazyCall.__eq__ is not _same_call:
        LazyCall.__eq__, LazyValue.__hash__ = _same_call, _hash_of_value
    return design_matrices  # type: ignore[no-any-return]


def _same_call(one: Any, other: object) -> bool:
    return (
        isinstance(other, type(one))
        and (one.callee, one.args, one.kwargs) == (other.callee, other.args, other.kwargs)  # type: ignore[attr-defined]
    )


def _hash_of_value(value: Any) -> int:
    return hash((value.value, value.lexeme))


def _labels(term: Any) -> list[str]:
    labels = term.labels
    return [str(label) for label in (labels if isinstance(labels, (list, tuple)) else [labels])]


def _as_columns(values: Any, n: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        return np.full((n, 1), float(array))
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
        reason = str(problem) or type(problem).__name__
        raise self._error(f"cannot evaluate '{self._expression}' on these data: {reason}") from problem
