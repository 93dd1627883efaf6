"""The grammar of terms: sums, interactions, powers, and the arguments of functions.

Whatever formulae would refuse, or would silently read as something else, is an error here that marks the position.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ..errors import FormulaError
from .lists import is_list, list_value
from .terms import NameUse, RandomTerm, Where
from .tokens import Cursor, Span


class Summand(NamedTuple):
    """One part of a sum: its sign, its text, and whether it is a number, a term or a random term."""

    sign: str
    text: str
    kind: Literal["number", "term", "random"]


_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_ARITHMETIC = ("+", "-", "*", "/", "**")
# Hints for operators in the wrong place: in any part of the right-hand side ...
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
    "|": "Random terms stand on their own, outside function calls and after a +: x + (1 | g).",
    "||": "Random terms stand on their own, outside function calls and after a +: x + (1 + x || g).",
    **dict.fromkeys(
        _COMPARISONS, "One comparison at a time; after an argument's name in parentheses: f(x, by=(z == 1))."
    ),
}


class TermReader(Cursor):
    """Reads terms from left to right. Each method starts at token `at` and moves it past what it has read.

    `stop` is always the index of the token that ends a part: a closing bracket, a bar, or the end of the formula.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.where: Where = "response"
        self.in_call = False
        self.names: list[NameUse] = []
        self.random: list[RandomTerm] = []
        self.computed: dict[str, tuple[int, int]] = {}

    def use_name(self, *, is_call: bool = False) -> str:
        """Step over the current token, a name, and record its use."""
        self.names.append(NameUse(self.token.bare, self.token.span, self.where, is_call, self.in_call))
        self.at += 1
        return self.names[-1].name

    # ---- terms: sums, interactions, powers ---------------------------------------------------------------------

    def sum(self, stop: int, *, numbers: bool, random: bool) -> list[Summand]:
        """Read terms joined by + and -; inside parentheses, formulae can read neither numbers nor random terms."""
        summands: list[Summand] = []
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
            summand = Summand(sign or "+", self.written(first, self.at), kind)
            if summand.sign == "-":
                self.refuse_subtracted_offset(first)
                self.check_removal(summand, summands, self.span(sign_at, self.at))
            summands.append(summand)
        return summands

    def is_lone_number(self, stop: int) -> bool:
        """Whether the current token is a 0 or 1 that denotes the intercept."""
        is_number = self.at != stop and self.token.text in ("0", "1")
        return is_number and not self.is_operator(self.at + 1, "*", "/", ":", "**")

    def check_removal(self, summand: Summand, before: Sequence[Summand], span: Span) -> None:
        """Refuse a minus sign that removes nothing."""
        if summand.kind == "number":
            if summand.text == "0":
                hint = "Write 0 + or - 1 for no intercept; without either of them there is one."
                raise self.error("'- 0' has no meaning", span, hint)
        elif not any(earlier.kind == "term" and earlier.sign == "+" for earlier in before):
            hint = "'-' takes away a term that an earlier one has brought, as in a*b - a:b; a negative column is I(-x)."
            raise self.error("there is no term to take this away from", span, hint)

    def refuse_subtracted_offset(self, first: int) -> None:
        """Refuse an offset after a minus sign, which takes terms away and does not change signs."""
        for at in range(first, self.at):
            if self.tokens[at].text == "offset" and self.is_operator(at + 1, "("):
                inside = self.written(at + 2, self.closing[at + 1])
                hint = f"Write + offset(-1 * ({inside})) to subtract it, or leave it out."
                raise self.error("an offset cannot be subtracted", self.span(at, self.closing[at + 1] + 1), hint)

    def product(self, stop: int) -> None:
        """Read terms joined by ``*``, ``/`` and ``:``; their precedence is left to formulae."""
        self.power(stop)
        while self.at != stop and self.take("*", "/", ":"):
            self.power(stop)

    def power(self, stop: int) -> None:
        """Read a term and the power of a sum."""
        first = self.at
        self.term(stop)
        if self.at == stop or not self.take("**"):
            return
        base = self.written(first, self.at - 1)
        inside = self.level(first + 1, self.closing.get(first, first))
        operators = {self.tokens[at].text for at in inside if self.tokens[at].kind == "operator"}
        # formulae reads x**2 as x, and gives some interactions twice if the base contains products.
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
        """Read a column, a function of columns, or a sum in parentheses."""
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
        """Refuse a second term with the same name: formulae ignores parentheses in names and would keep only one."""
        words = ["I" if token.text == "{" else token.text for token in self.tokens[first : self.at]]
        name = " ".join(word for word in words if word not in ("(", ")", "}"))
        earlier = self.computed.setdefault(name, (first, self.at))
        if earlier[0] != first and self.structure(*earlier) != self.structure(first, self.at):
            hint = f"Apart from parentheses it reads like {self.written(*earlier)}: compute one in the data first."
            raise self.error("two terms that cannot be told apart", self.span(first, self.at), hint)

    def structure(self, first: int, stop: int) -> str:
        """The syntax tree of a function call as text, the same for ``{x}``, ``I(x)`` and ``I((x))``."""
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
        """Read a function with its arguments."""
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
        """Read one argument, with or without a name."""
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
        """Read braces: ``{x + 1}`` is short for ``I(x + 1)``."""
        stop, outer = self.closing[self.at], self.in_call
        self.at, self.in_call = self.at + 1, True
        self.expression(stop, comparison=True)
        self.at, self.in_call = stop + 1, outer

    def expression(self, stop: int, *, comparison: bool) -> None:
        """Read arithmetic, with at most one comparison."""
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
            # formulae reads -x**2 as (-x)**2 and a**b**c as (a**b)**c, unlike Python and R.
            if operator == "**" and (signed or before == "**"):
                hint = "Write the parentheses: -(x**2) or (-x)**2, (a**b)**c or a**(b**c)."
                raise self.error("it is not clear what is raised to this power", self.span(first, self.at), hint)
            comparison = comparison and operator not in _COMPARISONS
            before = operator

    def value(self, stop: int) -> None:
        """Read one operand of arithmetic."""
        token, at = self.token, self.at
        if at == stop:
            raise self.nothing_here(stop)
        if token.kind == "name" and self.is_operator(at + 1, "("):
            self.call()
        elif token.kind in ("name", "quoted"):
            self.use_name()
        elif token.kind == "string" and set(token.bare) & {"'", '"'}:
            # For formulae, a string ends at the next quote of either kind.
            hint = "Rename this level in the data, or compute the column there."
            raise self.error("a quote within a string cannot be read", token.span, hint)
        elif token.kind in ("number", "string", "literal"):
            self.at += 1
        elif self.is_operator(at, "{"):
            self.braces()
        elif is_list(self, at):
            self.list_of_values()
        elif self.take("("):
            self.expression(self.closing[at], comparison=True)
            self.at = self.closing[at] + 1
        else:
            raise self.nothing_here(stop)

    def list_of_values(self) -> None:
        """Read a list or tuple of values, which may be nested, as in ``knots=[-1, 0.5]``."""
        opening, stop = self.at, self.closing[self.at]
        for token in self.tokens[opening:stop]:
            if token.kind in ("name", "quoted"):
                hint = (
                    "Lists hold numbers and texts. A list from your program has a name in the formula, bs(x, "
                    "knots=my_knots), and is passed to Model: namespace={'my_knots': my_knots}."
                )
                raise self.error(f"'{token.bare}' cannot stand in a list", token.span, hint)
        commas = [at for at in self.level(opening + 1, stop) if self.is_operator(at, ",")]
        self.at = opening + 1
        for end in [*commas, stop]:
            if end == stop and self.at == stop and commas:  # the comma after the last value, as in (1,)
                break
            self.expression(end, comparison=False)
            self.at = end + 1
        self.at = stop + 1
        try:
            list_value(self.written(opening, stop + 1))
        except ValueError:
            hint = "Lists hold numbers, such as 2, -0.5 or 1/3, and texts in quotes."
            raise self.error("a list whose values are not understood", self.span(opening, stop + 1), hint) from None

    # ---- positions of random terms ------------------------------------------------------------------------------

    def bars(self, opening: int) -> list[int]:
        """Indices of the bars directly inside a pair of parentheses."""
        inside = self.level(opening + 1, self.closing[opening])
        return [at for at in inside if self.is_operator(at, "|", "||")]

    def is_random(self, at: int) -> bool:
        """Whether a random term starts at token `at`."""
        return self.is_operator(at, "(") and bool(self.bars(at))

    def not_a_summand(self, opening: int) -> FormulaError:
        """The error that a random term is in the wrong place."""
        term = self.written(opening, self.closing[opening] + 1)
        hint = f"Write + {term} as a term of its own, outside other parentheses."
        return self.error("a random term can only be added", self.span(opening, self.closing[opening] + 1), hint)

    def random_term(self, sign: str) -> None:
        """Read a random term; implemented by the reader of whole formulas."""
        raise NotImplementedError

    # ---- what went wrong ---------------------------------------------------------------------------------------

    def misplaced(self, remedies: dict[str, str]) -> FormulaError:
        """The error that the current token cannot follow what has been read."""
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
        """The error that no term, or value, starts at the current token."""
        token, before = self.token, self.tokens[self.at - 1]
        what = "value" if self.in_call else "term"
        if self.at != stop and token.text == ".":
            hint = "The dot for all other columns is not supported: list the columns by name, y ~ a + b."
            return self.error("'.' is not a column", token.span, hint)
        opened, ended = before.text in ("(", "[", "{", "|", "||", "~"), self.at == stop or token.text == ","
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
