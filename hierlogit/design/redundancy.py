"""Coding of the factors in the terms of an expression: a column for each level, or one fewer.

A term with several factors can need several codings, which become terms of their own: next to an intercept, ``a:b`` has
a column for each level of ``b`` but the first, and for each level of ``a`` but the first at each level of ``b``. The
algorithm of patsy finds them. formulae has it, but loses columns of interactions of three factors, and cannot code a
term that stands before one of its parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import pandas as pd

from .formulae_parts import Term, pick_contrasts

#: Whether each factor of a term has a column for each level, by name; None for terms without factors.
Coding = Mapping[str, bool] | None


def coded_terms(terms: Sequence[Any], frame: pd.DataFrame, environment: Any) -> list[Any]:
    """The terms with their columns, each as often as it has codings.

    Parameters
    ----------
    terms : sequence
        Terms of formulae, not evaluated, that share no components.
    frame : pandas.DataFrame
    environment : formulae.environment.Environment
        Functions and values besides the columns.

    Returns
    -------
    list
        Terms of formulae with their data, in the order in which they were written.
    """
    for term in terms:
        term.set_type(frame, environment)
    codings = _codings(terms)
    return [coded for place, term in enumerate(terms) for coded in _with_data(term, codings.get(place, ()))]


def _codings(terms: Sequence[Any]) -> dict[int, Sequence[Coding]]:
    """The codings of each term, by its place; terms that repeat an earlier one have none.

    Terms with the same numbers form a group, in which factors are coded without the columns of lower terms.
    """
    groups: dict[frozenset[str], dict[int, list[str]]] = {}
    seen: set[frozenset[str]] = set()
    plain: dict[int, Sequence[Coding]] = {}
    for place in sorted(range(len(terms)), key=lambda at: _degree(terms[at])):
        components = getattr(terms[place], "components", ())
        names = frozenset(component.name for component in components)
        if names in seen:
            continue
        seen.add(names)
        numbers = frozenset(component.name for component in components if component.kind != "categoric")
        factors = [component.name for component in components if component.kind == "categoric"]
        groups.setdefault(numbers, {})[place] = factors
        if not factors:
            plain[place] = [None]
    found: dict[int, Sequence[Coding]] = {}
    for group in groups.values():
        found |= pick_contrasts(group)
    return found | plain


def _degree(term: Any) -> int:
    """Number of components of a term, 0 for the intercept."""
    return len(getattr(term, "components", ()))


def _with_data(term: Any, codings: Sequence[Coding]) -> Iterator[Any]:
    for coding in codings:
        part = term
        if coding is not None:
            kept = [part for part in term.components if part.kind != "categoric" or part.name in coding]
            if len(kept) < len(term.components):
                part = Term(*deepcopy(kept))
                part.kind = "interaction" if len(kept) > 1 else kept[0].kind
        part.set_data(False if coding is None else dict(coding))
        yield part
