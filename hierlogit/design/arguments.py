"""Check of what formulas compute: arithmetic and numeric functions take numbers, comparisons levels that there are."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DesignError
from ..validation import nearest, quoted_list, shortened
from .formulae_parts import LazyCall, LazyOperator, LazyValue, LazyVariable
from .signatures import CODINGS, check_signature, nodes

_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
#: Functions whose first argument must be numbers.
_NUMERIC = ("bs", "center", "offset", "poly", "scale", "standardize", "within", "between")
_OF_TEXTS = frozenset({np.equal, np.not_equal})
#: Functions whose first argument is a column or is computed from columns, in addition to the numeric ones.
_OF_COLUMNS = ("C", "I", "S", "T")


def check_arguments(call: LazyCall, frame: pd.DataFrame, namespace: Mapping[str, Any]) -> None:
    """Refuse arguments that a function does not take, functions and text in place of values, and unknown levels.

    Raises
    ------
    DesignError
        With the function and its arguments, or the column and its levels.
    """
    columns = frozenset(map(str, frame.columns))
    for node in nodes(call):
        if isinstance(node, LazyCall):
            check_signature(node, columns, namespace)
        _refuse_functions(node, columns, namespace)
        if isinstance(node, LazyOperator):
            _check_operator(node, frame)
        elif isinstance(node, LazyCall) and _is_numeric(node.callee, namespace):
            arguments = [*node.args, *node.kwargs.values()]
            for argument in arguments[:1] if node.callee in _NUMERIC else arguments:
                _refuse_levels(argument, frame, f"'{node}' is a function of numbers")


def written(node: Any) -> str:
    """A parsed call, operator or operand as text that no other has: with all parentheses, and names in backticks.

    The texts of formulae leave parentheses out.

    Examples
    --------
    >>> from operator import add, mul
    >>> x, y, z = map(LazyVariable, "xyz")
    >>> written(LazyCall("scale", [LazyOperator(mul, LazyOperator(add, x, y), z)], {}))
    'scale(((`x` + `y`) * `z`))'
    """
    if isinstance(node, LazyOperator):
        *left, right = map(written, node.args)  # a sign has nothing on its left
        return f"({' '.join([*left, node.symbol, right])})"
    if isinstance(node, LazyCall):
        named = [f"{name}={written(argument)}" for name, argument in node.kwargs.items()]
        return f"{node.callee}({', '.join([*map(written, node.args), *named])})"
    return f"`{node.name}`" if isinstance(node, LazyVariable) else str(node)


def _is_numeric(callee: str, namespace: Mapping[str, Any]) -> bool:
    module, _, name = callee.rpartition(".")
    function = getattr(np, name, None) if module in ("np", "numpy") else namespace.get(callee)
    return callee in _NUMERIC or (isinstance(function, np.ufunc) and function not in _OF_TEXTS)


def _refuse_functions(node: Any, columns: frozenset[str], namespace: Mapping[str, Any]) -> None:
    """Refuse a function, or a module, where a column is meant, as in ``C(Sum)`` and ``I(x > log)``."""
    if isinstance(node, LazyOperator):
        operands = node.args
    elif isinstance(node, LazyCall) and (node.callee in _OF_COLUMNS or _is_numeric(node.callee, namespace)):
        operands = node.args[:1]
    else:
        return
    for operand in operands:
        if isinstance(operand, LazyCall) and operand.callee in CODINGS:
            raise DesignError(
                f"'{operand}' in '{node}' is a coding, which follows a column of the data: C(x, {operand})."
            )
        if not isinstance(operand, LazyVariable) or operand.name in columns:
            continue
        # What is neither a column nor in the namespace is a function of formulae, since all names are known.
        value = namespace.get(operand.name, _refuse_functions)
        if callable(value) or isinstance(value, ModuleType):
            kind = "module" if isinstance(value, ModuleType) else "function"
            raise DesignError(f"'{operand}' in '{node}' is a {kind}. Write a column of the data in its place.")


def _check_operator(node: LazyOperator, frame: pd.DataFrame) -> None:
    if node.symbol not in _COMPARISONS:
        for operand in node.args:
            _refuse_levels(operand, frame, f"'{node}' is arithmetic")
        return
    left, right = node.args
    levels = [_levels(operand, frame) for operand in (left, right)]
    if None not in levels and levels[0] != levels[1]:
        raise DesignError(
            f"'{node}' compares two columns of text with different levels: {quoted_list(levels[0] or [])} and "
            f"{quoted_list(levels[1] or [])}. Compare them in the data first, and use the result as a column."
        )
    for known, other in ((levels[0], right), (levels[1], left)):
        if known is None or not isinstance(other, LazyValue) or other.value in known:
            continue
        raise DesignError(
            f"'{node}': {shortened(other.value)} is not among the levels, which are {quoted_list(known)}."
            f"{nearest(other.value, map(str, known))}"
        )


def _levels(operand: Any, frame: pd.DataFrame) -> list[Any] | None:
    """The levels of a column of text; None for anything else."""
    if not isinstance(operand, LazyVariable) or operand.name not in frame:
        return None
    values = frame[operand.name]
    return values.cat.categories.tolist() if isinstance(values.dtype, pd.CategoricalDtype) else None


def _refuse_levels(operand: Any, frame: pd.DataFrame, what: str) -> None:
    levels = _levels(operand, frame)
    if levels is not None:
        name = operand.name
        raise DesignError(
            f"{what}, but the column '{name}' holds text, with the levels {quoted_list(levels)}. Turn it into numbers "
            f"in the data (pandas.to_numeric shows which values cannot be read), or use {name} itself as a categorical "
            "predictor."
        )
