"""Calls in a formula that learn from all rows, such as ``scale(log(x))``, and what some of the rows give them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from ..formula.terms import Formula
from .arguments import written
from .column_rules import ColumnRule
from .counted_transforms import LEARNING, OWN, LearnedElsewhere
from .encoding import as_columns, as_floating, evaluating, refuse_not_finite
from .formulae_parts import Call, LazyVariable
from .parsed_terms import calls_of, environment_of, own, parsed_terms
from .signatures import arguments_by_name, check_signature, nodes
from .table import TrainingTable
from .transforms import formula_namespace

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LearningCall:
    """A call that learns from all rows.

    Attributes
    ----------
    text : str
        The call, for messages.
    function : str
    inside : frozenset of str
        The calls in its arguments that learn too, as by `hierlogit.design.arguments.written`.
    cluster : str
        The column with the clusters of ``within`` and ``between``; empty if they are not those of a column.
    options : mapping of str to object
        Its other arguments besides the first one, by name.
    """

    text: str
    function: str
    inside: frozenset[str]
    cluster: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """What a call is given in some rows.

    Attributes
    ----------
    values : ndarray, shape (n,)
    clusters : ndarray, shape (n,)
        Empty without clusters.
    """

    values: FloatArray
    clusters: npt.NDArray[Any]


def learning_calls(formula: Formula, columns: Sequence[str]) -> dict[str, LearningCall]:
    """The calls of the right-hand side that learn from all rows, as by `hierlogit.design.arguments.written`.

    Parameters
    ----------
    formula : Formula
        Its names have been checked.
    columns : sequence of str
        Of the table.

    Raises
    ------
    DesignError
        If a function is given arguments that it does not take.

    Examples
    --------
    >>> from hierlogit.formula.parser import parse
    >>> calls = learning_calls(parse("y ~ scale(log(x)) + bs(x, df=4) + (1 | g)"), ["y", "x", "g"])
    >>> list(calls), calls["bs(`x`, df=4)"].options
    (['scale(log(`x`))', 'bs(`x`, df=4)'], {'df': 4})
    """
    found = {}
    for expression in _expressions(formula):
        with evaluating(expression, DesignError):
            terms, lists = parsed_terms(expression, columns)
            values = {**formula_namespace(), **lists}
            for call in calls_of(terms):
                for node in filter(_learns, nodes(call)):
                    check_signature(node, frozenset(columns), values)
                    found[written(node)] = _described(node, values)
    return found


def _expressions(formula: Formula) -> Iterator[str]:
    yield formula.fixed
    yield from (term.effects for term in formula.random)


def _learns(node: Any) -> bool:
    return getattr(node, "callee", None) in LEARNING


def _described(node: Any, values: Mapping[str, Any]) -> LearningCall:
    named = arguments_by_name(node)
    inside = [written(one) for argument in named.values() for one in nodes(argument) if _learns(one)]
    cluster = named.get("g") if node.callee in OWN else None
    options = {name: argument for name, argument in named.items() if name not in ("x", "g")}
    return LearningCall(
        str(node),
        node.callee,
        frozenset(inside),
        cluster.name if isinstance(cluster, LazyVariable) else "",
        {name: argument.eval({}, environment_of(values)) for name, argument in options.items()},
    )


def label_columns(formula: Formula) -> frozenset[str]:
    """The columns that only tell clusters from each other, as grouping factors do, and ``g`` in ``within(x, g)``.

    Examples
    --------
    >>> from hierlogit.formula.parser import parse
    >>> sorted(label_columns(parse("y ~ within(x, g) + h + (1 | g) + (1 | h)")))
    ['g']
    """
    used: set[str] = {use.name for use in formula.names if use.where == "response"}
    for expression in _expressions(formula):
        terms, _ = parsed_terms(expression, formula.columns)
        for term in terms:
            for component in getattr(term, "components", ()):
                call = getattr(component, "call", None)
                used.update([component.name] if call is None else _values_in(call))
    return frozenset(formula.columns).difference(used)


def _values_in(node: Any) -> Iterator[str]:
    """The variables in a call, without the clusters of ``within`` and ``between``."""
    if isinstance(node, LazyVariable):
        yield node.name
    named = arguments_by_name(node) if getattr(node, "callee", None) in OWN else {}
    for argument in [*getattr(node, "args", ()), *getattr(node, "kwargs", {}).values()]:
        if argument is not named.get("g"):
            yield from _values_in(argument)


def given_arguments(
    formula: Formula, table: TrainingTable, rules: Mapping[str, ColumnRule], wanted: Collection[str]
) -> dict[str, Given]:
    """What some calls are given in the rows of a table, as by `hierlogit.design.arguments.written`.

    Parameters
    ----------
    formula : Formula
    table : TrainingTable
    rules : mapping of str to ColumnRule
        What the calls inside of them have learned.
    wanted : collection of str

    Raises
    ------
    DesignError
        If an argument cannot be evaluated, is not a single column of numbers, or a value is not finite.
    """
    found: dict[str, Given] = {}
    floating = as_floating(table.frame)
    for expression in _expressions(formula):
        with evaluating(expression, DesignError):
            terms, lists = parsed_terms(expression, [str(name) for name in table.frame])
            values = {**formula_namespace(), **lists}
            learning = [
                (written(node), node, _Asked.of(node))
                for call in calls_of(terms)
                for node in nodes(call)
                if _learns(node)
            ]
            for key, node, _ in learning:
                if key in rules:
                    kind, node.callee = LEARNING[node.callee], own(f"{node.callee} {len(values)}")
                    values[node.callee] = LearnedElsewhere(kind, rules[key])
            for key, _, asked in learning:
                if key in wanted and key not in found:
                    found[key] = asked.given(table, floating, environment_of(values))
    return found


@dataclass(frozen=True)
class _Asked:
    """A call whose arguments are evaluated.

    Attributes
    ----------
    text : str
        The call, for messages.
    argument : formulae.terms.call.Call
        Its first argument.
    cluster : str
        The column with its clusters; empty without.
    names : frozenset of str
        The names in its first argument that are not functions.
    """

    text: str
    argument: Any
    cluster: str
    names: frozenset[str]

    @classmethod
    def of(cls, node: Any) -> _Asked:
        """What is evaluated of a call, with its text before functions in it are replaced."""
        named = arguments_by_name(node)
        names = [one.name for one in nodes(named["x"]) if isinstance(one, LazyVariable)]
        return cls(str(node), Call(named["x"]), named["g"].name if "g" in named else "", frozenset(names))

    def given(self, table: TrainingTable, frame: pd.DataFrame, environment: Any) -> Given:
        """The arguments in the rows of a table, of which `frame` is the one with floating-point numbers."""
        self.argument.set_type(frame, environment)
        name = self.argument.name
        if self.argument.kind != "numeric":
            raise DesignError(f"'{self.text}' is a function of numbers, and '{name}' is text, categories or an offset.")
        columns = as_columns(name, self.argument._intermediate_data, len(frame), DesignError)
        if columns.shape[1] > 1:
            raise DesignError(
                f"'{name}' in '{self.text}' has {columns.shape[1]} columns, and a function of a table in parts learns "
                "from a single one."
            )
        refuse_not_finite(name, columns, self.names, table.frame, table.rows, DesignError)
        clusters = np.asarray(frame[self.cluster], dtype=object) if self.cluster else np.empty(0, dtype=object)
        return Given(columns[:, 0], clusters)
