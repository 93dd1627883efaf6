"""The parts of a formula as immutable values: response, fixed part, random terms and all uses of names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..display import Facts, Shown, ShownAsCall, View
from .tokens import Span

Where = Literal["response", "fixed part", "random term", "grouping factor"]


@dataclass(frozen=True, slots=True, repr=False)
class NameUse(ShownAsCall):
    """A use of a name in a formula: a column, a function, or a variable of the user's program.

    Parameters
    ----------
    name : str
        The name without backticks. A dotted function such as ``np.log`` is one name.
    span : tuple of int
        Position in the formula, including backticks.
    where : {'response', 'fixed part', 'random term', 'grouping factor'}
        The part of the formula.
    is_call : bool
        Whether it is called as a function.
    in_call : bool
        Whether it is inside the arguments of a function, or inside ``{}``.
    """

    name: str
    span: Span
    where: Where
    is_call: bool = False
    in_call: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Computed(ShownAsCall):
    """A number of successes, trials or failures that is computed from columns, such as ``prop * n``.

    Parameters
    ----------
    text : str
        The expression as written.
    columns : tuple of str
        The names in it that are used as variables.
    """

    text: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Response(ShownAsCall):
    """The left-hand side of a formula.

    Successes, trials and failures are columns of the table or expressions. The values of an expression become a column
    of the training rows, whose name is the text of the expression.

    Parameters
    ----------
    text : str
        The left-hand side as written.
    span : tuple of int
        Position in the formula.
    column : str
        The column of outcomes, or of the number of successes.
    event : str, optional
        The level that counts as a success, from ``y['yes']``, as text.
    trials : str or int, optional
        The column with the number of trials, or that number, from ``p(successes, trials)``.
    failures : str, optional
        The column with the number of failures, from ``cbind(successes, failures)``.
    computed : tuple of Computed
        The expressions among successes, trials and failures.
    """

    text: str
    span: Span
    column: str
    event: str | None = None
    trials: str | int | None = None
    failures: str | None = None
    computed: tuple[Computed, ...] = ()

    @property
    def outcomes(self) -> frozenset[str]:
        """The columns that hold outcomes, which cannot be predictors; those of the trials can.

        Examples
        --------
        >>> from hierlogit.formula.parser import parse
        >>> parse("p(prop * n, n) ~ x").response.outcomes
        frozenset({'prop'})
        """
        columns = {count.text: count.columns for count in self.computed}
        known = {name: columns.get(name, (name,)) for name in (self.column, self.failures) if name is not None}
        trials = columns.get(self.trials, (self.trials,)) if isinstance(self.trials, str) else ()
        return frozenset(column for names in known.values() for column in names).difference(trials)

    @property
    def binomial(self) -> bool:
        """Whether the response is a number of successes in trials."""
        return self.trials is not None or self.failures is not None


@dataclass(frozen=True, slots=True, repr=False)
class RandomTerm(ShownAsCall):
    """A random term ``(effects | group)``; ``(1 | a/b)`` gives two of them, for ``a`` and for ``a:b``.

    Parameters
    ----------
    text : str
        The term as written, with its parentheses; blanks outside quotes are reduced to one.
    span : tuple of int
        Position of the term in the formula.
    effects : str
        The left-hand side as written; it is a formula of its own, with an implied intercept.
    effects_span : tuple of int
        Position of the effects in the formula.
    group : tuple of str
        The columns whose combinations are the clusters.
    group_span : tuple of int
        Position of the right-hand side in the formula.
    correlated : bool
        False for ``||``.
    """

    text: str
    span: Span
    effects: str
    effects_span: Span
    group: tuple[str, ...]
    group_span: Span
    correlated: bool = True

    @property
    def group_name(self) -> str:
        """The columns of the group joined by colons, as in ``school:class``."""
        return ":".join(self.group)


@dataclass(frozen=True, slots=True, repr=False)
class Formula(Shown):
    """A parsed formula, from `parse`; equal formulas have equal texts.

    Parameters
    ----------
    text : str
        The formula as written.
    response : Response
        The left-hand side.
    fixed : str
        The right-hand side without its random terms; ``1`` if there is nothing else.
    random : tuple of RandomTerm
        The random terms, in the order of the formula.
    names : tuple of NameUse
        All uses of names, from left to right.
    """

    text: str
    response: Response
    fixed: str
    random: tuple[RandomTerm, ...]
    names: tuple[NameUse, ...]

    def __str__(self) -> str:
        return self.text

    def _view(self) -> View:
        facts = (
            ("response", self.response.text),
            ("fixed", self.fixed),
            *(("random", term.text) for term in self.random),
            ("variables", ", ".join(self.columns)),
        )
        return View(self.line, (Facts(facts),))

    @property
    def line(self) -> str:
        """The text on one line."""
        return " ".join(self.text.split())

    @property
    def columns(self) -> tuple[str, ...]:
        """The names that are used as variables, not functions, each once, in the order of first use."""
        return tuple(dict.fromkeys(use.name for use in self.names if not use.is_call))
