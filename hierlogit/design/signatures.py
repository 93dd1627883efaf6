"""The arguments that functions of formulas take, with checks that name them in place of Python's own errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import DesignError
from ..validation import listed, quoted_list, shortened
from .formulae_parts import LazyCall, LazyOperator, LazyValue, LazyVariable

#: Codings of a categorical predictor, the second argument of ``C()``.
CODINGS = ("Treatment", "Sum", "Helmert", "Diff", "Poly")

_OF_NUMBERS = ("x",)
_SPLINE = ("x", "df", "knots", "degree", "intercept", "lower_bound", "upper_bound")
#: Names of the arguments of each function, those that must be given, and how it is written.
_SIGNATURES: Mapping[str, tuple[tuple[str, ...], int, str]] = MappingProxyType(
    {
        "C": (("data", "contrast", "levels"), 1, "C(x), C(x, Sum) or C(x, levels=['a', 'b'])"),
        "S": (("data", "omit", "levels"), 1, "S(x) or S(x, 'a')"),
        "T": (("data", "ref", "levels"), 1, "T(x) or T(x, 'a')"),
        "I": (("x",), 1, "I(x**2)"),
        "bs": (_SPLINE, 1, "bs(x, df=4) or bs(x, knots=[0, 1])"),
        "poly": (("x", "degree", "raw"), 1, "poly(x, 2)"),
        **{name: (_OF_NUMBERS, 1, f"{name}(x)") for name in ("center", "offset", "scale", "standardize")},
        **{name: (("x", "g"), 2, f"{name}(x, g)") for name in ("within", "between")},
        "Treatment": (("reference",), 0, "Treatment('a')"),
        "Sum": (("omit",), 0, "Sum or Sum('a')"),
        "Helmert": ((), 0, "Helmert"),
        "Diff": ((), 0, "Diff"),
        "Poly": (("scores",), 0, "Poly or Poly([1, 2, 4])"),
    }
)
#: Arguments that are the same in all rows, and what they must be.
_CONSTANTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "poly": {"degree": "a whole number from 1", "raw": "True or False"},
        "bs": {
            "df": "a whole number from 1",
            "knots": "a list of numbers",
            "degree": "a whole number from 0",
            "intercept": "True or False",
            "lower_bound": "a number",
            "upper_bound": "a number",
        },
    }
)


def check_signature(call: LazyCall, columns: frozenset[str], namespace: Mapping[str, Any]) -> None:
    """Check the number and names of a function's arguments, and the values of those that are no columns.

    Raises
    ------
    DesignError
        With the way the function is written.
    """
    known = _SIGNATURES.get(call.callee)
    if known is None and isinstance(namespace.get(call.callee), np.ufunc):
        known = (_OF_NUMBERS, 1, f"{call.callee}(x)")
    if known is None:
        return
    names, needed, written = known
    given = dict(zip(names, call.args, strict=False))
    unknown = [name for name in call.kwargs if name not in names]
    twice = [name for name in call.kwargs if name in given]
    problem = ""
    if len(call.args) > len(names):
        problem = f"has {len(call.args)} arguments in place of {len(names)}"
    elif unknown:
        problem = f"has no argument {quoted_list(unknown)}; its arguments are {quoted_list(names)}"
    elif twice:
        problem = f"is given {quoted_list(twice)} twice"
    elif len({*given, *call.kwargs} & set(names[:needed])) < needed:
        problem = f"lacks {quoted_list([name for name in names[:needed] if name not in {*given, *call.kwargs}])}"
    if problem:
        raise DesignError(f"in '{call}', {call.callee}() {problem}. Write {written}.")
    arguments = {**given, **call.kwargs}
    for name, allowed in _CONSTANTS.get(call.callee, {}).items():
        used = {node.name for node in nodes(arguments.get(name)) if isinstance(node, LazyVariable)}
        if found := sorted(columns & used):
            raise DesignError(
                f"in '{call}', {name}={arguments[name]} has the values of the column {quoted_list(found)}. It must be "
                f"{allowed}, the same in all rows. Write {written}."
            )
    values = {name: _value(argument, columns, namespace) for name, argument in arguments.items()}
    check = {"poly": _check_polynomial, "bs": _check_spline}.get(call.callee)
    if check is not None and (wrong := check(values)):
        raise DesignError(f"in '{call}', {wrong}. Write {written}.")


def nodes(node: Any) -> Iterator[Any]:
    """A parsed call, operator or operand, and everything in it."""
    yield node
    for inside in [*getattr(node, "args", ()), *getattr(node, "kwargs", {}).values()]:
        yield from nodes(inside)


def arguments_by_name(call: LazyCall) -> dict[str, Any]:
    """The arguments of a call that has been checked, by the names that the function has for them."""
    names, _, _ = _SIGNATURES[call.callee]
    return {**dict(zip(names, call.args, strict=False)), **call.kwargs}


def _value(argument: Any, columns: frozenset[str], namespace: Mapping[str, Any]) -> Any:
    """The value of an argument that is not computed from columns; an Ellipsis for others."""
    if isinstance(argument, LazyValue):
        return argument.value
    if isinstance(argument, LazyVariable) and argument.name not in columns:
        return namespace.get(argument.name, ...)
    if isinstance(argument, LazyOperator) and len(argument.args) == 1:
        value = _value(argument.args[0], columns, namespace)
        return argument.op(value) if isinstance(value, Real) else ...
    return ...


def _is_whole(value: Any, least: int) -> bool:
    return value is ... or (isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least)


def _check_polynomial(values: Mapping[str, Any]) -> str:
    degree = values.get("degree", 1)
    return "" if _is_whole(degree, 1) else f"degree={shortened(degree)} must be a whole number from 1"


def _check_spline(values: Mapping[str, Any]) -> str:
    df, knots, degree = values.get("df"), values.get("knots"), values.get("degree", 3)
    if df is None and knots is None:
        return "neither df, the number of columns, nor knots are given"
    if df is not None and not _is_whole(df, 1):
        return f"df={shortened(df)} must be a whole number from 1"
    if not _is_whole(degree, 0):
        return f"degree={shortened(degree)} must be a whole number from 0"
    places = None if knots is None or knots is ... else listed(knots)
    if knots is None or knots is ... or (places and all(isinstance(place, Real) for place in places)):
        return ""
    return f"knots={shortened(knots)} must be a list of numbers"
