"""Check of the names in a formula: unknown ones are errors that suggest the nearest column or function."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence

from ..errors import FormulaError
from .terms import Formula, NameUse

_LISTED = 20
# Names that need no backticks in a formula.
_PLAIN = re.compile(r"(?!(?:True|False|None)$)[^\W\d_][\w.]*")
# Codings of R: the second argument of C() here.
_CODINGS = {
    "contr.treatment": "Treatment",
    "contr.sum": "Sum",
    "contr.helmert": "Helmert",
    "contr.sdif": "Diff",
    "contr.poly": "Poly",
}
# Functions of R and other packages: the function here that does the same, and its spelling.
_HABITS = {
    "factor": ("C", "C(x) makes a column categorical"),
    "as.factor": ("C", "C(x) makes a column categorical"),
    "relevel": ("C", "C(x, Treatment('level')) sets the reference level"),
    "ordered": (
        "C",
        "C(x, Poly) codes trends over the levels, in their order, and C(x, Diff) the steps between them",
    ),
    "ns": ("bs", "bs(x, df=4) is a spline of x"),
    "s": ("bs", "bs(x, df=4) is a spline of x"),
}


def check_names(
    formula: Formula, columns: Sequence[str], functions: Collection[str], variables: Collection[str] = ()
) -> None:
    """Check that every name in a formula is a column, a function or a variable.

    Parameters
    ----------
    formula : Formula
        The formula.
    columns : sequence of str
        The columns of the data, in their order.
    functions : collection of str
        The functions that a formula can call; those of modules with a dot, as in ``np.log``.
    variables : collection of str
        Other names from the user's program: modules, functions, and variables used as arguments of functions.

    Raises
    ------
    FormulaError
        At the first unknown name. The hint lists the known names and the nearest one.

    Examples
    --------
    >>> from hierlogit.formula.parser import parse
    >>> check_names(parse("use ~ age"), ["use", "age"], ["log"])
    >>> check_names(parse("use ~ log(agee)"), ["use", "age"], ["log"])
    Traceback (most recent call last):
        ...
    hierlogit.errors.FormulaError: unknown variable 'agee' in the fixed part
      use ~ log(agee)
                ^^^^
    The data has: use, age. A value of your program is passed to Model: namespace={'agee': agee}. Did you mean 'age'?
    """
    for use in formula.names:
        if use.is_call:
            known = use.name in functions
            what, hint = "function", _function_hint
        else:
            # Only the arguments of functions can be variables from outside the data.
            known = use.name in columns or (use.in_call and use.name in variables)
            what, hint = "variable", _variable_hint
        if not known:
            message = f"unknown {what} '{use.name}' in the {use.where}"
            raise FormulaError(
                message, formula=formula.text, span=use.span, hint=hint(use, columns, functions, variables)
            )


def _variable_hint(use: NameUse, columns: Sequence[str], functions: Collection[str], variables: Collection[str]) -> str:
    name = use.name
    if name in functions:
        return f"'{name}' is a function: write {name}(x)."
    if name in variables:
        return f"'{name}' is a variable of your program, not a column: put it into the data first."
    if name in _CODINGS and _CODINGS[name] in functions:
        return f"The same coding is {_CODINGS[name]} here: C(x, {_CODINGS[name]})."
    there = f"The data has: {_listed(columns)}."
    if not use.in_call:
        return there + _nearest(name, columns)
    outside = f" A value of your program is passed to Model: namespace={{'{name}': {name}}}." if "." not in name else ""
    return there + outside + _nearest(name, [*columns, *functions, *variables])


def _function_hint(use: NameUse, columns: Sequence[str], functions: Collection[str], variables: Collection[str]) -> str:
    name = use.name
    here, spelling = _HABITS.get(name, ("", ""))
    there = f"The functions are: {', '.join(sorted(one for one in functions if '.' not in one))}."
    if here in functions:
        return f"{spelling}. {there}"
    if name in columns:
        return f"'{name}' is a column of the data; between terms write an operator, such as + or *."
    owner, dot, _ = name.partition(".")
    if dot and owner in variables:
        there = (
            "Formulas have NumPy's functions of numbers, such as np.log, and the public functions of modules in "
            "namespace=. Compute other things in the data first."
        )
    outside = f" A function of your program is passed to Model: namespace={{'{name}': {name}}}." if not dot else ""
    return there + outside + _nearest(name, [*functions, *variables])


def _listed(names: Sequence[str]) -> str:
    """Columns as a formula writes them."""
    shown = ", ".join(name if _PLAIN.fullmatch(name) else f"`{name}`" for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _nearest(name: str, names: Iterable[str]) -> str:
    # Compared without regard to case: 'Age' for 'age' is the commonest slip.
    folded = {str(other).casefold(): str(other) for other in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" Did you mean '{folded[near[0]]}'?" if near else ""
