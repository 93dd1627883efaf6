"""Encoding of predictors: columns of an expression, learned on the training rows and applied to other rows.

The columns are computed by formulae. This module keeps what it learned, labels the columns, and turns its failures into
errors that name the term.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import call_text
from ..errors import DesignError, HierlogitError, PredictionError
from ..validation import LARGEST_NUMBER, agree, number_of, quoted_list, reason_of, shortened
from .column_parts import Parts, level_text, parts_of_term
from .column_rules import ColumnRule
from .parsed_terms import NEW_ROWS, REPLACED, evaluated_terms, own
from .rank import Independent

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
    where : str
        The part of the formula, for messages.
    rows : pandas.Index, optional
        Labels of the rows, for messages; the index of `frame` if not given.
    counts : ndarray, shape (n,), optional
        How often each row counts; what is learned is then learned as from all of these rows.
    rules : mapping of str to ColumnRule, optional
        What calls such as ``scale(x)`` learn from in place of the training rows; see
        `hierlogit.design.arguments.written`.

    Attributes
    ----------
    labels : tuple of str, length k
        One label for each column, with Bambi's names: ``urban[Y]``. Offsets are not columns.
    terms : tuple of str, length k
        The term of each column: ``urban``.
    columns : ndarray, shape (n, k)
        The columns of the training rows. Those that depend linearly on others before them are dropped.
    offset : ndarray, shape (n,)
        The offset of the training rows.
    dropped : tuple of DroppedColumn
        The columns that were dropped.
    level_columns : frozenset of str
        Columns of the table that are categorical, including True/False and numbers in ``C(week)``.
    parts : tuple of tuple of ColumnPart, length k
        The parts whose product each column is; none for the intercept.
    has_offset : bool
        Whether the expression has an offset.

    Raises
    ------
    DesignError
        If the expression cannot be evaluated on these rows, a value is not finite or too large, or a categorical has
        only one level.
    """

    def __init__(
        self,
        expression: str,
        frame: pd.DataFrame,
        namespace: Mapping[str, Any],
        where: str = "the fixed part",
        rows: pd.Index[Any] | None = None,
        counts: FloatArray | None = None,
        rules: Mapping[str, ColumnRule] | None = None,
    ) -> None:
        self.expression = expression
        with evaluating(expression, DesignError):
            terms = evaluated_terms(expression, as_floating(frame), namespace, counts, rules or {})
        self._offsets = {name: term for name, term in terms.items() if term.kind == "offset"}
        self._columns = {name: term for name, term in terms.items() if term.kind != "offset"}
        self.has_offset = bool(self._offsets)
        self.level_columns = frozenset(
            str(column)
            for term in self._columns.values()
            for component in getattr(term, "components", ())
            if component.kind == "categoric" and not _is_condition(component)
            for column in component.var_names
            if column in frame
        )
        for name, term in self._columns.items():
            _check_components(name, term)
        labelled = [(label, name) for name, term in self._columns.items() for label in _labels(term)]
        labels, owners = [label for label, _ in labelled], [name for _, name in labelled]
        degrees = [len(getattr(self._columns[name], "components", ())) for name in owners]
        values = _Values(
            {name: term.data for name, term in self._columns.items()},
            {name: term.data for name, term in self._offsets.items()},
        )
        every, self.offset = self._finite(values, frame, frame.index if rows is None else rows, DesignError)
        self._independent = Independent.of(every, labels, owners, degrees, where, counts)
        kept = self._independent.kept
        self.dropped = self._independent.dropped
        self.columns = np.ascontiguousarray(every[:, kept]) if self.dropped else every
        self.labels: tuple[str, ...] = tuple(labels[j] for j in kept)
        self.terms: tuple[str, ...] = tuple(owners[j] for j in kept)
        names = [str(name) for name in frame]
        parts = [parts for term in self._columns.values() for parts in parts_of_term(term, names)]
        self.parts: tuple[Parts, ...] = tuple(parts[j] for j in kept)

    @property
    def offset_terms(self) -> tuple[str, ...]:
        """The offsets of the expression, as written."""
        return tuple(self._offsets)

    def __repr__(self) -> str:
        return call_text("Encoding", {"expression": self.expression})

    def encode(self, frame: pd.DataFrame, rows: pd.Index[Any] | None = None) -> tuple[FloatArray, FloatArray]:
        """Columns and offset of other rows, encoded as the training rows were, shapes (n, k) and (n,).

        Parameters
        ----------
        frame : pandas.DataFrame
            Numbered from 0.
        rows : pandas.Index, optional
            Labels of the rows, for messages; the index of `frame` if not given.

        Raises
        ------
        PredictionError
            If a categorical has a level that is not in the training rows, a value is not finite or too large, or a row
            is not estimable because of a column that was dropped.
        """
        labels = frame.index if rows is None else rows
        floating = as_floating(frame)
        for term in self._columns.values():
            _refuse_unseen(term, floating, labels)
        with evaluating(self.expression, PredictionError):
            values = _Values(
                {name: term.eval_new_data(floating) for name, term in self._columns.items()},
                {name: _offset(term, floating) for name, term in self._offsets.items()},
            )
        every, offset = self._finite(values, frame, labels, PredictionError)
        return self._independent.of_rows(every, labels), offset

    def refuse_unseen_levels(self, frame: pd.DataFrame) -> None:
        """Refuse levels that no training row has, in those columns that the table has.

        Raises
        ------
        PredictionError
            With the levels that there are.
        """
        for term in self._columns.values():
            _refuse_unseen(term, frame, None)

    def _finite(
        self, values: _Values, frame: pd.DataFrame, rows: pd.Index[Any], error: type[HierlogitError]
    ) -> tuple[FloatArray, FloatArray]:
        n, total = len(frame), np.zeros(len(frame))
        parts = []
        for name, given in values.columns.items():
            parts.append(as_columns(name, given, n, error))
            refuse_not_finite(name, parts[-1], _variables(self._columns[name]), frame, rows, error)
        for name, given in values.offsets.items():
            offset = as_columns(name, given, n, error)
            refuse_not_finite(name, offset, _variables(self._offsets[name]), frame, rows, error)
            total += offset[:, 0]
        matrix = np.column_stack(parts) if parts else np.empty((n, 0))
        return np.ascontiguousarray(matrix, dtype=np.float64), total


def _refuse_unseen(term: Any, frame: pd.DataFrame, rows: pd.Index[Any] | None) -> None:
    """Refuse levels of a categorical predictor that no training row has; without `rows`, places are not named."""
    for component in getattr(term, "components", ()):
        call = getattr(component, "call", None)
        name = component.name if call is None else getattr([*call.args, None][0], "name", None)
        computed = call is not None and call.callee != NEW_ROWS
        if component.kind != "categoric" or computed or name not in frame or frame[name].dtype == bool:
            continue
        unseen = ~np.isin(np.asarray(frame[name], dtype=object), np.array(component.levels, dtype=object))
        if unseen.any():
            new = [level_text(level) for level in pd.unique(np.asarray(frame[name], dtype=object)[unseen])]
            known = list(map(level_text, component.levels))
            where, remedy = ",", "use one of these levels"
            if rows is not None and not unseen.all():  # if all rows have it, users may not have made the rows
                places = list(rows[unseen])
                where = f", in {agree(places, 'row', 'rows')} {quoted_list(places)},"
                remedy = "leave these rows out, or give them one of these levels"
            raise PredictionError(
                f"'{name}' has the {agree(new, 'level', 'levels')} {quoted_list(new)}{where} which no row has that the "
                f"model is fitted to. There are estimates for {quoted_list(known)} only: {remedy}."
            )


def _is_condition(component: Any) -> bool:
    """Whether a component is True and False computed from other columns: ``I(x > 0)``, ``C(I(x > 0))``."""
    call = getattr(component, "call", None)
    if call is None or getattr(component, "is_logical", False):
        return call is not None
    coded = call.callee in [own(function) for function in REPLACED] and call.args
    return bool(coded) and not hasattr(call.args[0], "name")


class _Values(NamedTuple):
    """Values of the terms of an expression by name: those that are columns, and the offsets."""

    columns: Mapping[str, Any]
    offsets: Mapping[str, Any]


def refuse_not_finite(
    name: str,
    values: FloatArray,
    names: Iterable[str],
    frame: pd.DataFrame,
    rows: pd.Index[Any],
    error: type[HierlogitError],
) -> None:
    """Refuse columns, shape (n, k), that are not finite or too large, with the values that they were computed from.

    Parameters
    ----------
    name : str
        What they are the values of.
    values : ndarray, shape (n, k)
    names : iterable of str
        Columns of the table, and perhaps others, from which they were computed.
    frame : pandas.DataFrame
    rows : pandas.Index, length n
        Labels of the rows.
    error : type
        Class of the error.
    """
    bad = ~(np.abs(values) <= LARGEST_NUMBER).all(axis=1)
    if not bad.any():
        return
    places = np.flatnonzero(bad)
    what = f"beyond {LARGEST_NUMBER:g}" if np.isfinite(values).all() else "not finite"
    known = sorted(column for column in names if column in frame)
    given = "".join(f"; '{column}' is {_first_values(frame[column].iloc[places])} there" for column in known)
    raise error(
        f"'{name}' is {what} in {len(places):,} of {number_of(len(bad), 'row')}: {agree(len(places), 'row', 'rows')} "
        f"{quoted_list(list(rows[places]))}{given}. Check these values: a logarithm of 0 or less, a root of a negative "
        "number, a division by 0, an exponential of a large number, or a scaled column that does not vary. Correct "
        "them, or make them missing to leave the rows out."
    )


def _variables(term: Any) -> list[str]:
    """The names in a term that are not functions."""
    return [str(name) for name in getattr(term, "var_names", ())]


def _first_values(values: pd.Series[Any]) -> str:
    """The first different values of a column, as text."""
    different = list(dict.fromkeys(values))
    shown = [f"{value:.6g}" if isinstance(value, float) else shortened(value) for value in different[:3]]
    return ", ".join(shown) + (f" and {len(different) - 3:,} more" if len(different) > 3 else "")


def computed_values(
    expression: str,
    frame: pd.DataFrame,
    namespace: Mapping[str, Any],
    rows: pd.Index[Any],
    error: type[HierlogitError] = DesignError,
) -> FloatArray:
    """Values of arithmetic with columns, such as ``prop * n``, shape (n,).

    Parameters
    ----------
    expression : str
        What could stand in ``I()``.
    frame : pandas.DataFrame
        The rows, numbered from 0.
    namespace : mapping of str to object
        Functions and values that the expression can use besides the columns.
    rows : pandas.Index, length n
        Labels of the rows, for messages.
    error : type
        Class of the errors.

    Raises
    ------
    HierlogitError
        If the expression cannot be evaluated on these rows, or its values are not finite numbers.
    """
    with evaluating(expression, error):
        (term,) = evaluated_terms(f"0 + I({expression})", as_floating(frame), namespace).values()
    if term.kind != "numeric":
        raise error(f"'{expression}' must give numbers; it gives True/False or text.")
    values = as_columns(expression, term.data, len(frame), error)
    refuse_not_finite(expression, values, _variables(term), frame, rows, error)
    return values[:, 0]


def as_floating(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with whole numbers as floating-point numbers, so that arithmetic in a formula does not overflow."""
    whole = [name for name in frame if frame[name].dtype.kind == "i"]
    return frame.astype({name: float for name in whole if np.abs(frame[name].astype(float)).max() <= _IDENTIFIER})


def _label_whole_numbers(component: Any) -> None:
    """Label levels that are whole numbers without a decimal point: ``C(week)[2]``."""
    if all(isinstance(level, float) for level in component.levels):
        contrasts = component.contrast_matrix
        contrasts.labels = [re.sub(r"^(-?\d+)\.0$", r"\1", label) for label in contrasts.labels]


def _check_components(name: str, term: Any) -> None:
    from .signatures import nodes

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
            if getattr(node, "callee", "") in [own(function) for function in REPLACED]:
                node.args[:] = node.args[:1] or [node.kwargs["data"]]
                node.callee, node.kwargs = NEW_ROWS, {}


def _offset(term: Any, frame: pd.DataFrame) -> Any:
    learned = term.components[0]._intermediate_data
    return learned.x if learned.kind == "constant" else term.eval_new_data(frame)


def _labels(term: Any) -> list[str]:
    labels = term.labels
    return [str(label) for label in (labels if isinstance(labels, (list, tuple)) else [labels])]


def as_columns(name: str, values: Any, n: int, error: type[HierlogitError]) -> FloatArray:
    """Values of a term or a part of it as columns, shape (n, k).

    Raises
    ------
    HierlogitError
        If they are not real numbers, one or more for each row.
    """
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


@contextmanager
def evaluating(expression: str, error: type[HierlogitError]) -> Iterator[None]:
    """Context that turns errors of formulae, and of the user's own functions, into errors of this package.

    NumPy's warnings are suppressed: values that are not finite are refused by name.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except HierlogitError:
        raise
    except Exception as problem:
        # Whole numbers were converted to floating-point numbers; show them without a decimal point.
        reason = re.sub(r"(?<=[(, ])(-?\d+)\.0(?=[,)])", r"\1", reason_of(problem))
        raise error(f"cannot evaluate '{expression}' on these data: {reason}.") from problem
