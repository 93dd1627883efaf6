"""The terms of an expression as formulae parses them, with functions of this package in place of some of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from ..formula.lists import name_lists
from .column_rules import ColumnRule
from .transforms import NUMERIC_FUNCTIONS

FloatArray = npt.NDArray[np.float64]

NO_RULES: Mapping[str, ColumnRule] = MappingProxyType({})
#: Functions of formulae that those of `hierlogit.design.codings` replace, and the name of the one for other rows.
REPLACED = ("C", "S", "T")
NEW_ROWS = "C() of other rows"


def own(name: str) -> str:
    """The name of a function that replaces one of formulae, which no formula can contain."""
    return f"{name}()"


def parsed_terms(expression: str, columns: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """The terms of an expression, not evaluated, and the lists of values in it by name.

    Parameters
    ----------
    expression : str
        Right-hand side of a formula, without random terms.
    columns : sequence of str
        Names of the table's columns.
    """
    from .logical import with_factors

    text, lists = name_lists(expression, columns)
    terms = list(_formulae()(text).common_terms)
    for term in terms:
        if hasattr(term, "components"):
            # In t/x, formulae shares a component between t and t:x, with the coding of the latter for both.
            term.components = with_factors(deepcopy(term.components), NUMERIC_FUNCTIONS)
    return terms, lists


def calls_of(terms: Sequence[Any]) -> Iterator[Any]:
    """The calls that are components of terms; those inside of them are among their nodes."""
    for term in terms:
        yield from filter(None, [getattr(component, "call", None) for component in getattr(term, "components", ())])


def environment_of(values: Mapping[str, Any]) -> Any:
    """The environment of formulae in which calls are evaluated with some functions and values, and no others."""
    from .formulae_parts import Environment

    return Environment([_Shared(values)])


def evaluated_terms(
    expression: str,
    frame: pd.DataFrame,
    namespace: Mapping[str, Any],
    counts: FloatArray | None = None,
    rules: Mapping[str, ColumnRule] = NO_RULES,
) -> dict[str, Any]:
    """The terms of the expression by name, evaluated on these rows, each of which may count several times.

    Raises
    ------
    DesignError
        If a function is given arguments that it does not take, or two terms have the same name.
    """
    from .arguments import check_arguments, written
    from .codings import Diff, Helmert, Poly, categorical, plain_categorical, sum_coded, treatment_coded
    from .counted_transforms import LEARNING, OF_FORMULAE, OWN, Learned, LearnedElsewhere
    from .redundancy import coded_terms
    from .signatures import nodes

    parsed, lists = parsed_terms(expression, [str(name) for name in frame])
    values = {"Helmert": Helmert, "Diff": Diff, "Poly": Poly, **namespace, **lists, NEW_ROWS: plain_categorical}
    values |= {own("C"): categorical, own("S"): sum_coded, own("T"): treatment_coded}
    replaced = set(REPLACED)
    if counts is not None:
        values |= {name: Learned(kind, counts) for name, kind in OWN.items()}
        values |= {own(name): Learned(kind, counts) for name, kind in OF_FORMULAE.items()}
        replaced.update(OF_FORMULAE)
    for call in calls_of(parsed):
        check_arguments(call, frame, values)
        for node in nodes(call):
            rule = rules.get(written(node)) if rules else None
            if rule is not None:
                kind, node.callee = LEARNING[node.callee], own(f"{node.callee} {len(values)}")
                values[node.callee] = LearnedElsewhere(kind, rule)
            elif getattr(node, "callee", None) in replaced:
                node.callee = own(node.callee)
    # Without an environment, formulae would look up names among the variables of this function.
    evaluated = coded_terms(parsed, frame, environment_of(values))
    terms = {str(term.name): term for term in evaluated}
    if len(terms) < len(evaluated):
        names = [str(term.name) for term in evaluated]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DesignError(f"'{expression}' has several terms named {twice[0]!r}. Rename the column.")
    return terms


def _formulae() -> Callable[[str], Any]:
    """The function of formulae that parses expressions, with three defects corrected.

    In formulae 0.6, a call cannot be compared with another kind of expression, as in ``I(log(x)) + I(x)``, a constant
    cannot be hashed, as in ``(x + z) * poly(a, 2)``, and errors are printed before they are raised. Redirecting the
    standard output instead would redirect that of all threads.
    """
    from .formulae_parts import LazyCall, LazyValue, call, model_description, variable

    call.print = variable.print = _print_nothing

    if LazyCall.__eq__ is not _same_call:
        LazyCall.__eq__, LazyValue.__hash__ = _same_call, _hash_of_value
    return model_description  # type: ignore[no-any-return]


def _print_nothing(*_: object) -> None:
    """Stand in for `print` in the modules of formulae."""


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
