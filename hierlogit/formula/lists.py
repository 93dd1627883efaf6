"""Lists and tuples of values written in a formula, such as ``knots=[0, 1]``, with their values."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from .tokens import Cursor

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = MappingProxyType(
    {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
)


def list_value(text: str) -> Any:
    """The value of a list or tuple of numbers, texts, True, False and None, which may be nested.

    Raises
    ------
    ValueError
        If it holds anything else, or numbers that cannot be computed.

    Examples
    --------
    >>> list_value("[-1/2, (0, 'a')]")
    [-0.5, (0, 'a')]
    """
    try:
        return _value(ast.parse(text, mode="eval").body)
    except (ArithmeticError, SyntaxError, TypeError) as error:
        raise ValueError(str(error)) from error


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return +_value(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
            return _ARITHMETIC[type(sign)](_value(left), _value(right))
    raise ValueError("not a number, a text, True, False or None")


def is_list(cursor: Cursor, at: int) -> bool:
    """Whether a list or tuple starts at token `at`, which is not the bracket of a function call."""
    if cursor.is_operator(at, "["):
        return True
    return cursor.is_operator(at, "(") and any(
        cursor.is_operator(inside, ",") for inside in cursor.level(at + 1, cursor.closing[at])
    )


def name_lists(text: str, taken: Collection[str]) -> tuple[str, dict[str, Any]]:
    """Terms with their lists replaced by names in backticks, as formulae can read them, and the values of these names.

    Parameters
    ----------
    text : str
        Terms of a formula that has been parsed.
    taken : collection of str
        Names that are already in use.

    Examples
    --------
    >>> name_lists("x + bs(x, knots=[0,1])", ["x"])
    ('x + bs(x, knots=`[0, 1]`)', {'[0, 1]': [0, 1]})
    """
    cursor, values = Cursor(text), dict[str, Any]()
    written, copied, at = "", 0, 0
    while at < len(cursor.tokens):
        called = at > 0 and cursor.tokens[at - 1].kind == "name"
        if called or not is_list(cursor, at):
            at += 1
            continue
        start, stop = cursor.span(at, cursor.closing[at] + 1)
        value = list_value(text[start:stop])
        name = repr(value).replace("`", "'")
        while name in taken or (name in values and repr(values[name]) != repr(value)):
            name += " "
        values[name] = value
        written += f"{text[copied:start]}`{name}`"
        copied, at = stop, cursor.closing[at] + 1
    return written + text[copied:], values
