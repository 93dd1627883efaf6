"""True/False in formulas, as in R and patsy: a factor with the levels False and True, and 0 and 1 in arithmetic."""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .formulae_parts import Call, LazyCall, LazyOperator, LazyVariable, Variable

_COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)


class LogicalVariable(Variable):  # type: ignore[misc]
    """A column as a component of a term, a factor if it holds True and False."""

    def set_type(self, data_mask: pd.DataFrame) -> None:
        """Find out what the column holds."""
        super().set_type(data_mask)
        _as_factor(self)


class LogicalCall(Call):  # type: ignore[misc]
    """A function of columns as a component of a term, a factor if its values are True and False.

    Attributes
    ----------
    is_logical : bool
        Whether the values are True and False.
    """

    is_logical = False

    def set_type(self, data_mask: pd.DataFrame, env: Any) -> None:
        """Evaluate the function."""
        super().set_type(data_mask, env)
        self.is_logical = _as_factor(self)


class NumberVariable(LazyVariable):  # type: ignore[misc]
    """A column as the argument of a function of numbers, with 0 and 1 for False and True."""

    def eval(self, data_mask: Any, env: Any) -> Any:
        """The values of the column."""
        return _numbers(super().eval(data_mask, env))


def with_factors(components: Sequence[Any], functions: Collection[str]) -> list[Any]:
    """The components of a term, with True/False as a factor, and as numbers in arithmetic and functions of numbers.

    Parameters
    ----------
    components : sequence
        Not evaluated yet; their calls are changed.
    functions : collection of str
        Names of the functions of numbers.
    """
    _correct_arithmetic()
    for component in components:
        if isinstance(component, Call):
            _give_numbers(component.call, functions)
    return [
        LogicalCall(component.call) if isinstance(component, Call) else LogicalVariable(component.name)
        for component in components
    ]


def _give_numbers(node: Any, functions: Collection[str]) -> None:
    """Let the functions of numbers in a call take their columns as numbers."""
    arguments, named = getattr(node, "args", ()), getattr(node, "kwargs", {})
    for inside in [*arguments, *named.values()]:
        _give_numbers(inside, functions)
    if isinstance(node, LazyCall) and node.callee.removeprefix("np.") in functions:
        node.args = [_as_number(argument) for argument in arguments]
        node.kwargs = {name: _as_number(argument) for name, argument in named.items()}


def _as_number(argument: Any) -> Any:
    return NumberVariable(argument.name) if type(argument) is LazyVariable else argument


def _as_factor(component: Any) -> bool:
    """Make a component a factor if its values are True and False; whether they are."""
    values = component._intermediate_data
    logical = component.kind == "numeric" and pd.api.types.is_bool_dtype(values)
    if logical:
        component.kind = "categoric"
        component._intermediate_data = pd.Series(pd.Categorical(np.asarray(values), [False, True], ordered=True))
    return logical


def _correct_arithmetic() -> None:
    """Let formulae compute with 0 and 1: NumPy's sum of two columns of True/False would be True or False."""
    if LazyOperator.eval is not _evaluated:
        LazyOperator.eval = _evaluated


def _evaluated(expression: Any, data_mask: Any, env: Any) -> Any:
    values = [argument.eval(data_mask, env) for argument in expression.args]
    if expression.op not in _COMPARISONS:
        values = [_numbers(value) for value in values]
    return expression.op(*values)


def _numbers(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    is_column = isinstance(value, (pd.Series, np.ndarray)) and value.dtype == bool
    return value.astype(np.float64) if is_column else value
