"""From the text of a formula to its parts: the response, the fixed part and the random terms.

Everything here is about text. Which columns there are is asked only by :func:`check_names`, and what a column
holds is the business of the design. The fixed part and the effects of each random term are handed on as text,
for formulae to turn into columns; whatever formulae would refuse, or take silently for something else than what
is written, is refused here first, with its place marked.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .errors import FormulaError
from .tokens import Cursor, Span

Where = Literal["response", "fixed part", "random term", "grouping factor"]


@dataclass(frozen=True, slots=True)
class NameUse:
    """One place where a formula uses a name: a column, a function, or a variable of the user's program.

    Parameters
    ----------
    name : str
        Without backticks. A dotted function such as ``np.log`` is one name.
    span : tuple of int
        Where it stands in the formula, backticks included.
    where : {'response', 'fixed part', 'random term', 'grouping factor'}
        The part of the formula it stands in.
    is_call : bool
        Whether it is called as a function.
    in_call : bool
        Whether it stands among the arguments of a function, or within ``{}``.
    """

    name: str
    span: Span
    where: Where
    is_call: bool = False
    in_call: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """The left-hand side of a formula.

    Parameters
    ----------
    text : str
        As written.
    span : tuple of int
        Where it stands in the formula.
    column : str
        The column of outcomes, or of the number of successes.
    event : str, optional
        The level that counts as a success, from ``y['yes']``, as text.
    trials : str or int, optional
        The column with the number of trials, or that number, from ``p(successes, trials)``.
    failures : str, optional
        The column with the number of failures, from ``cbind(successes, failures)``.
    """

    text: str
    span: Span
    column: str
    event: str | None = None
    trials: str | int | None = None
    failures: str | None = None

    @property
    def binomial(self) -> bool:
        """Whether a row counts several trials."""
        return self.trials is not None or self.failures is not None


@dataclass(frozen=True, slots=True)
class RandomTerm:
    """One random term ``(effects | group)``; ``(1 | a/b)`` makes two of them, for ``a`` and for ``a:b``.

    Parameters
    ----------
    text : str
        The term as written, with its parentheses; runs of blanks outside quotes count as one.
    span : tuple of int
        Where the term stands in the formula.
    effects : str
        The left-hand side as written, to be read as a formula of its own: its intercept is implied.
    effects_span : tuple of int
        Where the effects stand in the formula.
    group : tuple of str
        The columns whose combinations make up the groups.
    group_span : tuple of int
        Where the right-hand side stands in the formula.
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


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula taken apart. Made by :func:`parse`; equal formulas have equal texts.

    Parameters
    ----------
    text : str
        The formula as written.
    response : Response
        The left-hand side.
    fixed : str
        The right-hand side without its random terms, ``1`` when nothing remains.
    random : tuple of RandomTerm
        The random terms in the order in which they are written.
    names : tuple of NameUse
        Every use of a name, from left to right.
    """

    text: str
    response: Response
    fixed: str
    random: tuple[RandomTerm, ...]
    names: tuple[NameUse, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def columns(self) -> tuple[str, ...]:
        """The names used as variables rather than functions, each once, in the order of their first use."""
        return tuple(dict.fromkeys(use.name for use in self.names if not use.is_call))


def parse(text: str) -> Formula:
    """Take the text of a formula apart.

    Parameters
    ----------
    text : str
        A formula such as ``use ~ age + I(age**2) + (1 + urban | district)``. It may run over several lines.

    Returns
    -------
    Formula

    Raises
    ------
    FormulaError
        If the text is not a formula. The error marks the place and says what to write instead.

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
    return _Reader(text).formula()


class _Summand(NamedTuple):
    sign: str
    text: str
    kind: Literal["number", "term", "random"]


_SUCCESSES_OF_TRIALS = ("p", "prop", "proportion")
_RESPONSES = (
    "A response is y, y['yes'] (the level that counts as a success), p(successes, trials) or "
    "cbind(successes, failures). Anything else is computed in the data first."
)
_FACTORS = "A grouping factor is a column, (1 | g), or columns joined as (1 | a:b) or (1 | a/b)."
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_ARITHMETIC = ("+", "-", "*", "/", "**")
# What to say of an operator that stands where it cannot: in any part of the right-hand side ...
_REMEDIES = {
    "^": "Powers are written with **: I(age**2) for the square of a column, (a + b)**2 for interactions.",
    "%in%": "Write b/a for a within each b, a:b for their interaction.",
    "[": "Only the response takes a level, as in y['yes']; for one level of x write I(x == 'level').",
    "//": "Arithmetic is + - * / ** and comparisons; compute other things in the data first.",
    "%": "Arithmetic is + - * / ** and comparisons; compute other things in the data first.",
}
# ... among the terms ...
_REMEDIES_TERMS = _REMEDIES | {
    "=": "A comparison goes within I() and has two signs: I(x == 1).",
    ",": "Only the arguments of a function are separated by commas; terms are added with +.",
    "|": "Random terms stand in parentheses: (1 | g).",
    "||": "Random terms stand in parentheses: (1 + x || g).",
    **dict.fromkeys(_COMPARISONS, "A comparison goes within I(): I(x == 1)."),
}
# ... and among the arguments of a function.
_REMEDIES_CALL = _REMEDIES | {
    "=": "An argument's name stands right after '(' or ','; a comparison has two signs: I(x == 1).",
    ",": "Only the arguments of a function are separated by commas.",
    ":": "Interactions are made of whole terms: write f(a):f(b), or I(a * b) for a product of numbers.",
    "|": "Random terms stand on their own, outside function calls: (1 | g).",
    "||": "Random terms stand on their own, outside function calls: (1 + x || g).",
    **dict.fromkeys(
        _COMPARISONS, "One comparison at a time; after an argument's name in parentheses: f(x, by=(z == 1))."
    ),
}


class _Reader(Cursor):
    """Reads one formula from left to right. Each method begins at token `at` and leaves it after what it has read.

    `stop` is always the index of the token at which a part ends: a closing bracket, a bar, or the end.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.where: Where = "response"
        self.in_call = False
        self.names: list[NameUse] = []
        self.random: list[RandomTerm] = []
        self.computed: dict[str, tuple[int, int]] = {}

    def use_name(self, *, is_call: bool = False) -> str:
        self.names.append(NameUse(self.token.bare, self.token.span, self.where, is_call, self.in_call))
        self.at += 1
        return self.names[-1].name

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
        fixed = _joined([summand for summand in summands if summand.kind != "random"])
        return Formula(self.text, response, fixed, tuple(self.random), tuple(self.names))

    def response(self, stop: int) -> Response:
        if stop == 0:
            raise self.error("the formula has no response", self.tokens[stop].span, _RESPONSES)
        tokens, span = self.tokens[:stop], self.span(0, stop)
        text = self.written(0, stop)
        # The kinds of the words tell the forms apart: v for a name, n for a number, s for a string or literal.
        letters = {"name": "v", "quoted": "v", "number": "n", "string": "s", "literal": "s"}
        shape = "".join(letters.get(token.kind, token.text) for token in tokens)
        head = tokens[0].text
        if shape == "v":
            return Response(text, span, self.use_name())
        if shape in ("v[v]", "v[s]", "v[n]"):
            return Response(text, span, self.use_name(), event=tokens[2].bare)
        if shape in ("v(v,v)", "v(v,n)") and head in _SUCCESSES_OF_TRIALS:
            return Response(text, span, self.name_at(2), trials=self.trials(4))
        if shape == "v(v,v)" and head == "cbind":
            return Response(text, span, self.name_at(2), failures=self.name_at(4))
        if shape in ("v(v,v-v)", "v(v,n-v)") and head == "cbind":
            if tokens[2].bare != tokens[6].bare:
                hint = f"Write trials minus successes: cbind({tokens[2].text}, {tokens[4].text} - {tokens[2].text})."
                raise self.error("the failures are not trials minus successes", self.span(4, 7), hint)
            column, trials, _ = self.name_at(2), self.trials(4), self.name_at(6)
            return Response(text, span, column, trials=trials)
        raise self.error("the response is not understood", span, _RESPONSES)

    def name_at(self, at: int) -> str:
        self.at = at
        return self.use_name()

    def trials(self, at: int) -> str | int:
        token = self.tokens[at]
        if token.kind != "number":
            return self.name_at(at)
        if not token.text.isdecimal() or int(token.text) < 1:
            hint = "Trials are a column of the data or a whole number from 1: p(successes, trials), p(successes, 10)."
            raise self.error("the number of trials is not a positive whole number", token.span, hint)
        return int(token.text)

    # ---- terms: sums, interactions, powers ---------------------------------------------------------------------

    def sum(self, stop: int, *, numbers: bool, random: bool) -> list[_Summand]:
        """Terms joined by + and -. Parentheses hold neither numbers nor random terms: formulae cannot read those."""
        summands: list[_Summand] = []
        while not summands or self.at != stop:
            sign, sign_at = self.take("+", "-"), self.at - 1
            if summands and not sign:
                raise self.misplaced(_REMEDIES_TERMS)
            first = self.at
            kind: Literal["number", "term", "random"] = "term"
            if random and self.is_random(first):
                self.random_term(sign)
                kind = "random"
            elif numbers and self.is_lone_number(stop):
                self.at += 1
                kind = "number"
            else:
                self.product(stop)
            summand = _Summand(sign or "+", self.written(first, self.at), kind)
            if summand.sign == "-":
                self.check_removal(summand, summands, self.span(sign_at, self.at))
            summands.append(summand)
        return summands

    def is_lone_number(self, stop: int) -> bool:
        is_number = self.at != stop and self.token.text in ("0", "1")
        return is_number and not self.is_operator(self.at + 1, "*", "/", ":", "**")

    def check_removal(self, summand: _Summand, before: Sequence[_Summand], span: Span) -> None:
        if summand.kind == "number":
            if summand.text == "0":
                hint = "Write 0 + or - 1 for no intercept; without either of them there is one."
                raise self.error("'- 0' has no meaning", span, hint)
        elif not any(earlier.kind == "term" and earlier.sign == "+" for earlier in before):
            hint = "'-' takes away a term that an earlier one has brought, as in a*b - a:b; a negative column is I(-x)."
            raise self.error("there is no term to take this away from", span, hint)

    def product(self, stop: int) -> None:
        """Terms joined by ``*``, ``/`` and ``:``. Which of them binds tighter is left to formulae."""
        self.power(stop)
        while self.at != stop and self.take("*", "/", ":"):
            self.power(stop)

    def power(self, stop: int) -> None:
        first = self.at
        self.term(stop)
        if self.at == stop or not self.take("**"):
            return
        base = self.written(first, self.at - 1)
        inside = self.level(first + 1, self.closing.get(first, first))
        operators = {self.tokens[at].text for at in inside if self.tokens[at].kind == "operator"}
        # formulae takes x**2 for x, and gives some interactions twice when the base holds products.
        if not self.is_operator(first, "(") or "+" not in operators or operators & {"*", "/", "**"}:
            hint = f"For arithmetic write I({base}**2); a power of terms takes a sum in parentheses: (a + b)**2."
            span = self.span(first, min(self.at + 1, stop))
            raise self.error("a power of something that is not a sum of terms", span, hint)
        if self.at == stop or self.token.text not in tuple("23456789"):
            span = self.tokens[self.at - 1 if self.at == stop else self.at].span
            hint = "(a + b + c)**2 stands for the terms and their interactions in pairs, **3 adds those in threes."
            raise self.error("the power of a sum is a whole number from 2 to 9", span, hint)
        self.at += 1

    def term(self, stop: int) -> None:
        token, at = self.token, self.at
        if at == stop:
            raise self.nothing_here(stop)
        if token.kind == "name" and self.is_operator(at + 1, "("):
            self.call()
            self.check_computed(at)
        elif token.kind in ("name", "quoted"):
            self.use_name()
        elif self.is_random(at):
            raise self.not_a_summand(at)
        elif self.take("("):
            self.sum(self.closing[at], numbers=False, random=False)
            self.at = self.closing[at] + 1
        elif self.is_operator(at, "{"):
            self.braces()
            self.check_computed(at)
        elif token.kind == "number":
            hint = (
                "1 (intercept) and 0 (no intercept) stand alone, outside parentheses; arithmetic goes in I(): I(2*x)."
            )
            raise self.error(f"the number {token.text} cannot stand here", token.span, hint)
        elif token.kind in ("string", "literal"):
            hint = "Terms are columns and functions of columns; unusual column names go in backticks: `my column`."
            raise self.error(f"{token.text} is not a term", token.span, hint)
        else:
            raise self.nothing_here(stop)

    def check_computed(self, first: int) -> None:
        """formulae names a term without its parentheses, and of two terms of one name it keeps one."""
        words = ["I" if token.text == "{" else token.text for token in self.tokens[first : self.at]]
        name = " ".join(word for word in words if word not in ("(", ")", "}"))
        earlier = self.computed.setdefault(name, (first, self.at))
        if earlier[0] != first and self.structure(*earlier) != self.structure(first, self.at):
            hint = f"Apart from parentheses it reads like {self.written(*earlier)}: compute one in the data first."
            raise self.error("two terms that cannot be told apart", self.span(first, self.at), hint)

    def structure(self, first: int, stop: int) -> str:
        """What the tokens of a function call mean: the same for ``{x}``, ``I(x)`` and ``I((x))``."""
        python = []
        for token in self.tokens[first:stop]:
            if token.kind in ("name", "quoted") or token.text == "{":
                name = "I" if token.text == "{" else token.bare
                python.append("n" + name.encode(errors="surrogatepass").hex() + "(" * (token.text == "{"))
            elif token.kind == "number":
                python.append(repr(float(token.text)))
            elif token.kind == "string":
                python.append(repr(token.bare))
            else:
                python.append(token.text.replace("}", ")"))
        return ast.dump(ast.parse(" ".join(python), mode="eval"))

    # ---- arguments of functions --------------------------------------------------------------------------------

    def call(self) -> None:
        self.use_name(is_call=True)
        opening, outer = self.at, self.in_call
        stop = self.closing[opening]
        self.at, self.in_call = opening + 1, True
        commas = [at for at in self.level(opening + 1, stop) if self.is_operator(at, ",")]
        keywords: set[str] = set()
        for end in [*commas, stop] if self.at < stop else []:
            self.argument(end, keywords)
            self.at = end + 1
        self.at, self.in_call = stop + 1, outer

    def argument(self, stop: int, keywords: set[str]) -> None:
        token = self.token
        if token.kind != "name" or not self.is_operator(self.at + 1, "="):
            if keywords and self.at != stop:
                hint = "Arguments without a name come first: f(x, df=4)."
                raise self.error("an argument without a name after one with a name", self.span(self.at, stop), hint)
            self.expression(stop, comparison=True)
            return
        if token.text in keywords:
            raise self.error(f"the argument '{token.text}' is given twice", token.span, "Keep one of the two.")
        keywords.add(token.text)
        self.at += 2
        self.expression(stop, comparison=False)

    def braces(self) -> None:
        """``{x + 1}`` is short for ``I(x + 1)``."""
        stop, outer = self.closing[self.at], self.in_call
        self.at, self.in_call = self.at + 1, True
        self.expression(stop, comparison=True)
        self.at, self.in_call = stop + 1, outer

    def expression(self, stop: int, *, comparison: bool) -> None:
        """Arithmetic, with one comparison at most."""
        before = ""
        while True:
            first = self.at
            signed = bool(self.take("+", "-"))
            self.value(stop)
            if self.at == stop:
                return
            operator = self.take(*_ARITHMETIC, *(_COMPARISONS if comparison else ()))
            if not operator:
                raise self.misplaced(_REMEDIES_CALL)
            # formulae reads -x**2 as (-x)**2 and a**b**c as (a**b)**c, where Python and R do the opposite.
            if operator == "**" and (signed or before == "**"):
                hint = "Write the parentheses: -(x**2) or (-x)**2, (a**b)**c or a**(b**c)."
                raise self.error("it is not clear what is raised to this power", self.span(first, self.at), hint)
            comparison = comparison and operator not in _COMPARISONS
            before = operator

    def value(self, stop: int) -> None:
        token, at = self.token, self.at
        if at == stop:
            raise self.nothing_here(stop)
        if token.kind == "name" and self.is_operator(at + 1, "("):
            self.call()
        elif token.kind in ("name", "quoted"):
            self.use_name()
        elif token.kind == "string" and set(token.bare) & {"'", '"'}:
            # formulae ends a string at the next quote of either kind.
            hint = "Rename this level in the data, or compute the column there."
            raise self.error("a quote within a string cannot be read", token.span, hint)
        elif token.kind in ("number", "string", "literal"):
            self.at += 1
        elif self.is_operator(at, "{"):
            self.braces()
        elif self.take("("):
            self.expression(self.closing[at], comparison=True)
            self.at = self.closing[at] + 1
        elif self.is_operator(at, "["):
            hint = "Give the list a name in your program and write the name: bs(x, knots=my_knots)."
            raise self.error("a list cannot be written within a formula", self.span(at, self.closing[at] + 1), hint)
        else:
            raise self.nothing_here(stop)

    # ---- random terms ------------------------------------------------------------------------------------------

    def bars(self, opening: int) -> list[int]:
        inside = self.level(opening + 1, self.closing[opening])
        return [at for at in inside if self.is_operator(at, "|", "||")]

    def is_random(self, at: int) -> bool:
        return self.is_operator(at, "(") and bool(self.bars(at))

    def not_a_summand(self, opening: int) -> FormulaError:
        term = self.written(opening, self.closing[opening] + 1)
        hint = f"Write + {term} as a term of its own, outside other parentheses."
        return self.error("a random term can only be added", self.span(opening, self.closing[opening] + 1), hint)

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
        """What people write for crossed factors, and functions, which need a column of their own."""
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
            groups = [one + other for one in groups for other in right]
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

    # ---- what went wrong ---------------------------------------------------------------------------------------

    def misplaced(self, remedies: dict[str, str]) -> FormulaError:
        """The token at hand cannot follow what has just been read."""
        token, before = self.token, self.tokens[self.at - 1]
        if token.kind == "operator" and token.text == ".":
            return self.nothing_here(self.at + 1)
        if token.kind == "operator" and token.text not in ("(", "{"):
            where = "within a function" if self.in_call else "between terms"
            hint = remedies.get(token.text, "The operators are + - * / : and **.")
            return self.error(f"'{token.text}' cannot stand {where}", token.span, hint)
        hint = "Write an operator between them, such as + or *."
        if token.text == "(" and before.kind == "quoted":
            hint = "A function's name is written without backticks."
        return self.error(f"an operator is missing before '{token.text}'", token.span, hint)

    def nothing_here(self, stop: int) -> FormulaError:
        """The token at hand stands where a term, or a value, should begin."""
        token, before = self.token, self.tokens[self.at - 1]
        what = "value" if self.in_call else "term"
        if self.at != stop and token.text == ".":
            hint = "The dot for all other columns is not supported: list the columns by name, y ~ a + b."
            return self.error("'.' is not a column", token.span, hint)
        opened, ended = before.text in ("(", "{", "|", "||", "~"), self.at == stop or token.text == ","
        if opened and ended:
            span = (before.start, token.stop)
            return self.error(f"there is no {what} in the brackets", span, f"Write a {what} in them.")
        if ended:
            hint = f"Write a {what} there, or take it away."
            return self.error(f"'{before.text}' has nothing after it", before.span, hint)
        hint = _REMEDIES.get(token.text, f"Write a {what} before it, or take it away.")
        if before.kind == "operator" and not opened and before.text not in (",", "="):
            hint = _REMEDIES.get(token.text, "Keep one of them: x - 1 rather than x + -1.")
            return self.error("two operators in a row", (before.start, token.stop), hint)
        return self.error(f"'{token.text}' has nothing before it", token.span, hint)


def _joined(summands: Sequence[_Summand]) -> str:
    if not summands:
        return "1"
    first, *others = summands
    return first.sign.strip("+") + first.text + "".join(f" {sign} {text}" for sign, text, _ in others)


# ---- names ---------------------------------------------------------------------------------------------------------

_LISTED = 20
# Functions of R and of other packages: the function here that does the same, and how it is written.
_HABITS = {
    "factor": ("C", "C(x) makes a column categorical"),
    "as.factor": ("C", "C(x) makes a column categorical"),
    "relevel": ("C", "C(x, Treatment('level')) sets the reference level"),
    "ns": ("bs", "bs(x, df=4) is a spline of x"),
    "s": ("bs", "bs(x, df=4) is a spline of x"),
    "log10": ("log", "I(log(x) / log(10)) is the logarithm to base 10"),
    "log2": ("log", "I(log(x) / log(2)) is the logarithm to base 2"),
}


def check_names(
    formula: Formula, columns: Sequence[str], functions: Collection[str], variables: Collection[str] = ()
) -> None:
    """Check that every name in a formula stands for something.

    Parameters
    ----------
    formula : Formula
        The formula.
    columns : sequence of str
        The columns of the data, in their order.
    functions : collection of str
        The functions that a formula may call.
    variables : collection of str
        Names that the user's program offers besides: modules, functions, and variables used as arguments of functions.

    Raises
    ------
    FormulaError
        At the first name that is unknown. The hint lists what there is and the nearest name.

    Examples
    --------
    >>> check_names(parse("use ~ age"), ["use", "age"], ["log"])
    >>> check_names(parse("use ~ log(agee)"), ["use", "age"], ["log"])
    Traceback (most recent call last):
        ...
    hierlogit.errors.FormulaError: unknown variable 'agee' in the fixed part
      use ~ log(agee)
                ^^^^
    The data has: use, age. Did you mean 'age'?
    """
    for use in formula.names:
        if use.is_call:
            known = use.name in functions or use.name.partition(".")[0] in variables
            what, hint = "function", _function_hint
        else:
            # Only arguments of functions are looked up outside the data.
            known = use.name in columns or (use.in_call and use.name in variables)
            what, hint = "variable", _variable_hint
        if not known:
            message = f"unknown {what} '{use.name}' in the {use.where}"
            raise FormulaError(
                message, formula=formula.text, span=use.span, hint=hint(use.name, columns, functions, variables)
            )


def _variable_hint(name: str, columns: Sequence[str], functions: Collection[str], variables: Collection[str]) -> str:
    if name in functions:
        return f"'{name}' is a function: write {name}(x)."
    if name in variables:
        return f"'{name}' is a variable of your program, not a column: put it into the data first."
    return f"The data has: {_listed(columns)}.{_nearest(name, columns)}"


def _function_hint(name: str, columns: Sequence[str], functions: Collection[str], variables: Collection[str]) -> str:
    here, spelling = _HABITS.get(name, ("", ""))
    if here in functions:
        return f"{spelling}. The functions are: {_listed(sorted(functions))}."
    if name in columns:
        return f"'{name}' is a column of the data; between terms write an operator, such as + or *."
    return f"The functions are: {_listed(sorted(functions))}.{_nearest(name, [*functions, *variables])}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(str(name) for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _nearest(name: str, names: Iterable[str]) -> str:
    # Compared without regard to case: 'Age' for 'age' is the commonest slip.
    folded = {str(other).casefold(): str(other) for other in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" Did you mean '{folded[near[0]]}'?" if near else ""
