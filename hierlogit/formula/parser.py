"""Parser of formulas, which splits the text into response, fixed part and random terms.

The fixed part and the effects of each random term remain text, which formulae turns into columns later.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import FormulaError
from .grammar import Summand, TermReader
from .terms import Computed, Formula, RandomTerm, Response
from .tokens import Span

_SUCCESSES_OF_TRIALS = ("p", "prop", "proportion")
_RESPONSES = (
    "A response is y, y['yes'] (the level that counts as a success), p(successes, trials) or "
    "cbind(successes, failures); counts are columns or computed from them, p(prop * n, n), cbind(k, n - k). "
    "Anything else is computed in the data first."
)
_FACTORS = (
    "A grouping factor is a column, (1 | g), or columns joined as (1 | a:b) or (1 | a/b). A name with blanks goes in "
    "backticks: (1 | `school id`)."
)


def parse(text: str) -> Formula:
    """The parts of a formula, from its text.

    Parameters
    ----------
    text : str
        A formula such as ``use ~ age + I(age**2) + (1 + urban | district)``. It can have several lines.

    Returns
    -------
    Formula

    Raises
    ------
    FormulaError
        If the text is not a formula. The error marks the position and says what to write instead.

    Examples
    --------
    >>> formula = parse("use['Y'] ~ age + (1 + urban || region/district) + livch")
    >>> formula.response.column, formula.response.event
    ('use', 'Y')
    >>> formula.fixed
    'age + livch'
    >>> [(term.effects, term.group_name, term.correlated) for term in formula.random]
    [('1 + urban', 'region', False), ('1 + urban', 'region:district', False)]
    >>> formula.columns
    ('use', 'age', 'urban', 'region', 'district', 'livch')
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is text, such as 'y ~ x + (1 | g)'; got {type(text).__name__}.")
    return _FormulaReader(text).formula()


class _FormulaReader(TermReader):
    """Reads a formula: the response, then the terms, including random terms."""

    # ---- the whole and the response ----------------------------------------------------------------------------

    def formula(self) -> Formula:
        tildes = [at for at in range(len(self.tokens)) if self.is_operator(at, "~")]
        end = len(self.tokens) - 1
        if not tildes:
            hint = "Write the response to the left of it and the terms to the right: y ~ x + (1 | g)."
            raise self.error("the formula has no '~'", (0, len(self.text)), hint)
        if len(tildes) > 1:
            raise self.error("the formula has a second '~'", self.tokens[tildes[1]].span, "A formula has one response.")
        response = self.response(tildes[0])
        self.at, self.where = tildes[0] + 1, "fixed part"
        if self.at == end:
            hint = "Write at least an intercept: y ~ 1, or y ~ 1 + (1 | g)."
            raise self.error("the formula has nothing after '~'", self.tokens[tildes[0]].span, hint)
        summands = self.sum(end, numbers=True, random=True)
        self.refuse_outcomes(response)
        fixed = _joined([summand for summand in summands if summand.kind != "random"])
        return Formula(self.text, response, fixed, tuple(self.random), tuple(self.names))

    def response(self, stop: int) -> Response:
        if stop == 0:
            raise self.error("the formula has no response", self.tokens[stop].span, _RESPONSES)
        tokens, span = self.tokens[:stop], self.span(0, stop)
        text = self.written(0, stop)
        shape, head = self.kinds(0, stop), tokens[0].text
        if shape == "v":
            return Response(text, span, self.use_name())
        if shape in ("v[v]", "v[s]", "v[n]"):
            return Response(text, span, self.use_name(), event=tokens[2].bare)
        if "|" in shape:
            hint = "Successes out of trials are written p(successes, trials), here and not with trials() or weights()."
            raise self.error("a bar in the response", span, hint)
        is_call = tokens[0].kind == "name" and self.is_operator(1, "(") and self.closing[1] == stop - 1
        if is_call and head in (*_SUCCESSES_OF_TRIALS, "cbind"):
            return self.counts(text, span, stop - 1, head)
        if shape == "v/v":
            hint = (
                f"Successes out of trials are written p({tokens[0].text}, {tokens[2].text}), which has their numbers."
            )
            raise self.error("the response is a proportion", span, hint)
        raise self.error("the response is not understood", span, _RESPONSES)

    def counts(self, text: str, span: Span, stop: int, head: str) -> Response:
        """Read the two counts in ``p(successes, trials)`` or ``cbind(successes, failures)``."""
        commas = [at for at in self.level(2, stop) if self.is_operator(at, ",")]
        if len(commas) != 1:
            raise self.error("the response is not understood", span, _RESPONSES)
        bounds = ((2, commas[0]), (commas[0] + 1, stop))
        successes = self.count(*bounds[0])
        if head in _SUCCESSES_OF_TRIALS:
            whole = self.number_of_trials(*bounds[1]) or self.count(*bounds[1])
            return _response(text, span, successes, trials=whole)
        failures, (first, second) = self.count(*bounds[1]), (self.unwrapped(*part) for part in bounds)
        for larger, part in ((second, first), (first, second)):  # cbind(k, n - k) and cbind(n - k, k)
            trials = self.total(larger, part)
            if trials is not None:
                return _response(text, span, successes, trials=trials, failures=failures)
        if self.kinds(*second) in ("v-v", "n-v") and self.kinds(*first) == "v":
            hint = f"Write trials minus successes: cbind({successes.text}, {self.tokens[second[0]].text} - "
            raise self.error(
                "the failures are not trials minus successes", self.span(*second), f"{hint}{successes.text})."
            )
        return _response(text, span, successes, failures=failures)

    def count(self, first: int, stop: int) -> Computed:
        """Read a count: a column, or an expression of columns; a column has no columns besides itself."""
        self.at, before, outer = first, len(self.names), self.in_call
        if stop == first + 1 and self.token.kind in ("name", "quoted"):
            return Computed(self.use_name(), ())
        self.in_call = True
        self.expression(stop, comparison=False)
        self.in_call = outer
        names = tuple(dict.fromkeys(use.name for use in self.names[before:] if not use.is_call))
        if not names:
            hint = (
                "Counts are columns of the data, or computed from columns; trials can also be a whole number, p(k, 10)."
            )
            raise self.error("there is no column in this count", self.span(first, stop), hint)
        return Computed(self.written(*self.unwrapped(first, stop)), names)

    def number_of_trials(self, first: int, stop: int) -> int | None:
        """The number of trials if it is written as a number."""
        token = self.tokens[first]
        if stop != first + 1 or token.kind != "number":
            return None
        if not token.text.isdecimal() or int(token.text) < 1:
            hint = "Trials are a column of the data or a whole number from 1: p(successes, trials), p(successes, 10)."
            raise self.error("the number of trials is not a positive whole number", token.span, hint)
        return int(token.text)

    def total(self, whole: tuple[int, int], part: tuple[int, int]) -> Computed | int | None:
        """The trials if one count is written as trials minus the other, as in ``cbind(k, n - k)``."""
        (first, stop), size = whole, part[1] - part[0]
        words = [token.bare for token in self.tokens[part[0] : part[1]]]
        alone = size == 1 or not {self.tokens[at].text for at in self.level(*part)} & {"+", "-"}
        minus = stop - size - 1
        if minus <= first or not self.is_operator(minus, "-") or not alone:
            return None
        if [token.bare for token in self.tokens[minus + 1 : stop]] != words:
            return None
        before = len(self.names)
        found = self.number_of_trials(first, minus) or self.count(first, minus)
        del self.names[before:]  # they are in the count that was read before
        return found

    def unwrapped(self, first: int, stop: int) -> tuple[int, int]:
        """The bounds of an expression without ``I()``, braces or brackets around all of it."""
        while True:
            is_identity = self.tokens[first].text == "I" and self.is_operator(first + 1, "(")
            opening = first + is_identity
            if not self.is_operator(opening, "(", "{") or self.closing[opening] != stop - 1 or stop - opening < 3:
                return first, stop
            first, stop = opening + 1, stop - 1

    def kinds(self, first: int, stop: int) -> str:
        """The tokens as text: v for a name, n for a number, s for a string or literal, and operators as written."""
        letters = {"name": "v", "quoted": "v", "number": "n", "string": "s", "literal": "s"}
        return "".join(letters.get(token.kind, token.text) for token in self.tokens[first:stop])

    def refuse_outcomes(self, response: Response) -> None:
        """Refuse predictors and grouping factors that are computed from the outcomes."""
        for use in self.names:
            if use.where != "response" and not use.is_call and use.name in response.outcomes:
                role = "a grouping factor" if use.where == "grouping factor" else "a predictor"
                hint = f"What is predicted cannot be {role} as well: take '{use.name}' out of the right-hand side."
                raise self.error(f"the outcome '{use.name}' is also in the {use.where}", use.span, hint)

    # ---- random terms ------------------------------------------------------------------------------------------

    def random_term(self, sign: str) -> None:
        opening, closing = self.at, self.closing[self.at]
        if sign == "-" or self.is_operator(closing + 1, "*", "/", ":", "**"):
            raise self.not_a_summand(opening)
        bar, *more = self.bars(opening)
        if more:
            raise self.error("a second bar in a random term", self.tokens[more[0]].span, "A term has one: (1 | g).")
        if bar == opening + 1 or closing == bar + 1:
            what = "effects before" if bar == opening + 1 else "grouping factor after"
            hint = "Effects stand to the left and the grouping factor to the right: (1 | g), (1 + x | g)."
            raise self.error(f"no {what} the bar", self.tokens[bar].span, hint)
        self.effects(opening + 1, bar)
        text, effects = self.written(opening, closing + 1), self.written(opening + 1, bar)
        self.at = bar + 1
        for group in self.groups(effects, closing):
            spans = self.span(opening, closing + 1), self.span(opening + 1, bar), self.span(bar + 1, closing)
            self.add(RandomTerm(text, spans[0], effects, spans[1], group, spans[2], self.is_operator(bar, "|")))
        self.at, self.where = closing + 1, "fixed part"

    def effects(self, first: int, bar: int) -> None:
        self.at, self.where = first, "random term"
        outer, self.computed = self.computed, {}
        summands = self.sum(bar, numbers=True, random=False)
        self.computed, intercept = outer, True
        for sign, text, kind in summands:
            if kind == "number":
                intercept = (sign, text) == ("+", "1")
        if not intercept and all(summand.kind == "number" for summand in summands):
            hint = "Write (1 | g) for an intercept by group, (0 + x | g) for a slope without one."
            raise self.error("the random term has no effects", self.span(first, bar), hint)

    def add(self, term: RandomTerm) -> None:
        for other in self.random:
            if set(term.group) == set(other.group) and "".join(term.effects.split()) == "".join(other.effects.split()):
                message = f"the random term ({term.effects} | {term.group_name}) is in the formula twice"
                raise self.error(message, term.span, "Their variances could not be told apart; keep one of them.")
        self.random.append(term)

    def groups(self, effects: str, stop: int) -> list[tuple[str, ...]]:
        self.where, span = "grouping factor", self.span(self.at, stop)
        self.check_grouping(effects, stop)
        groups = self.nested_groups(stop)
        for group in groups:
            if len(set(group)) < len(group):
                raise self.error("a column stands twice in a grouping factor", span, _FACTORS)
        return groups

    def check_grouping(self, effects: str, stop: int) -> None:
        """Refuse functions and common misspellings of crossed factors, with the right spelling in the hint."""
        first, level = self.at, self.level(self.at, stop)
        for operator, also in (("+", False), ("*", True)):
            places = [at for at in level if self.is_operator(at, operator)]
            if places and places[0] > first and places[-1] < stop - 1:
                edges = zip([first, *(at + 1 for at in places)], [*places, stop], strict=True)
                parts = [self.written(start, end) for start, end in edges]
                terms = [*parts, ":".join(parts)] if also else parts
                hint = "Write " + " + ".join(f"({effects} | {part})" for part in terms) + "."
                raise self.error(f"grouping factors cannot be joined by '{operator}'", self.span(first, stop), hint)
        for at in level:
            if self.tokens[at].kind == "name" and self.is_operator(at + 1, "("):
                span = self.span(at, self.closing[at + 1] + 1)
                hint = "Put the column into the data first, then write its name: (1 | g)."
                raise self.error("a grouping factor cannot be computed in the formula", span, hint)

    def nested_groups(self, stop: int) -> list[tuple[str, ...]]:
        """``a/b`` stands for ``a`` and ``a:b``: what is to the right is nested in everything to the left."""
        groups = self.crossed_groups(stop)
        while self.at != stop:
            if not self.take("/"):
                raise self.error("the grouping factor is not understood", self.token.span, _FACTORS)
            outer = tuple(dict.fromkeys(name for group in groups for name in group))
            groups = groups + [outer + inner for inner in self.crossed_groups(stop)]
        return groups

    def crossed_groups(self, stop: int) -> list[tuple[str, ...]]:
        groups = self.group(stop)
        while self.at != stop and self.take(":"):
            right = self.group(stop)
            groups = [left + inner for left in groups for inner in right]
        return groups

    def group(self, stop: int) -> list[tuple[str, ...]]:
        at = self.at
        if at != stop and self.token.kind in ("name", "quoted"):
            return [(self.use_name(),)]
        if at != stop and self.take("(") and self.at < self.closing[at]:
            groups = self.nested_groups(self.closing[at])
            self.at = self.closing[at] + 1
            return groups
        span = self.tokens[at - 1].span if at == stop else self.tokens[at].span
        raise self.error("the grouping factor is not understood", span, _FACTORS)


def _response(
    text: str,
    span: Span,
    successes: Computed,
    *,
    trials: Computed | int | None = None,
    failures: Computed | None = None,
) -> Response:
    """The response with these counts; failures that are trials minus successes are not needed."""
    needed = [successes, trials if trials is not None else failures]
    return Response(
        text,
        span,
        successes.text,
        trials=trials.text if isinstance(trials, Computed) else trials,
        failures=None if failures is None or trials is not None else failures.text,
        computed=tuple(dict.fromkeys(count for count in needed if isinstance(count, Computed) and count.columns)),
    )


def _joined(summands: Sequence[Summand]) -> str:
    if not summands:
        return "1"
    first, *others = summands
    return first.sign.strip("+") + first.text + "".join(f" {sign} {text}" for sign, text, _ in others)
