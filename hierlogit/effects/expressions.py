"""Hypotheses written as text, ``"Y - N > 0.05"``: a function of labelled values and a number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import PredictionError
from ..validation import LARGEST_NUMBER, nearest, number_of, quoted_list, shortened
from .arithmetic import FUNCTIONS, Columns, Combination, Expression, added, applied, divided, multiplied

#: A sign for each relation: whether the values are above, below or equal to the number.
RELATIONS = {"=": 0, "==": 0, "<": -1, "<=": -1, ">": 1, ">=": 1}
_TOKEN = re.compile(
    r"""
      (?P<number>   (?: [0-9]+ \.? [0-9]* | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? )
    | (?P<quoted>   `[^`]*` )
    | (?P<operator> [=<>]=? | \*\* | [-+*/^()] )
    | (?P<other>    [^\W\d][\w.]* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
#: What looks like the label of a column, in messages about unknown ones: `arm[new]`, `between(x, g)`.
_LABEL_LIKE = re.compile(r"[^\W\d][\w.]*(?:\[(?:[^\[\]]|\[[^\]]*\])*\]|\([^)]*\))?")
_POSITION = re.compile(r"b([0-9]{1,9})")
#: Nobody nests brackets this deeply, and Python's recursion is limited.
_DEEPEST = 50
#: Exponents beyond these make numbers that mean nothing.
_LARGEST_EXPONENT = 100

type Kind = Literal["number", "label", "function", "operator", "end"]


@dataclass(frozen=True)
class Labels:
    """What an expression can name.

    Attributes
    ----------
    names : sequence of str
        A label for each value. Several values may have the same label, which then cannot be used.
    what : str
        What has the labels, in the singular: ``"row"`` or ``"coefficient"``.
    parts : sequence of tuple of str
        What each label is joined from, if it has several parts.
    numbered : int, optional
        How many values, the first ones, can be named by position; all if not given.
    """

    names: Sequence[str]
    what: str
    parts: Sequence[tuple[str, ...]] = ()
    numbered: int | None = None

    @classmethod
    def of_parts(cls, parts: Sequence[tuple[str, ...]], what: str) -> Labels:
        """Labels that are joined from as many parts each."""
        return cls([", ".join(one) for one in parts], what, parts)

    def difference(self, low: int, high: int) -> str:
        """The label of a difference between two values; what their labels have in common stands once.

        Examples
        --------
        >>> Labels.of_parts([("N", "0"), ("N", "3+"), ("Y", "0")], "row").difference(0, 1)
        '(3+) - (0) at N'
        """
        if not self.parts:
            return f"({self.names[high]}) - ({self.names[low]})"
        both = list(zip(self.parts[low], self.parts[high], strict=True))
        differing = [pair for pair in both if pair[0] != pair[1]] or both
        first, second = (", ".join(one) for one in zip(*differing, strict=True))
        shared = [one for one, other in both if one == other] if len(differing) < len(both) else []
        return f"({second}) - ({first})" + (f" at {', '.join(shared)}" if shared else "")

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Position by label; -1 for a label of several values."""
        found: dict[str, int] = {}
        for at, name in enumerate(self.names):
            found[name] = -1 if name in found else at
        return found

    @cached_property
    def lengths(self) -> Sequence[int]:
        """Lengths of the labels, the longest first."""
        return sorted({len(name) for name in self.names if name}, reverse=True)


@dataclass(frozen=True)
class Hypothesis:
    """A function of values that is compared with a number.

    Attributes
    ----------
    text : str
        As written, on one line.
    expression : Expression
        What is on the left of the relation less what is on its right.
    null : float
        The number with which it is compared: what has no label, brought to the other side.
    side : {-1, 0, 1}
        Whether the expression is below, equal to or above the number.
    """

    text: str
    expression: Expression
    null: float
    side: int

    @property
    def weights(self) -> Mapping[int, float] | None:
        """The weights of the values, by position, if they are combined linearly; else None."""
        return self.expression.weights if isinstance(self.expression, Combination) else None

    def value(self, columns: Columns) -> npt.NDArray[Any]:
        """The expression for some values, such as those of all draws.

        Raises
        ------
        PredictionError
            If it is not defined for them.
        """
        with np.errstate(all="ignore"):
            value = np.asarray(self.expression.value(columns))
        known = np.all([np.isfinite(columns[at]) for at in self.expression.positions], axis=0)
        undefined = int(np.sum(known & ~np.isfinite(value)))
        if undefined:
            where = "the estimates" if value.ndim == 0 else f"{undefined:,} of {number_of(value.size, 'draw')}"
            raise PredictionError(
                f"hypothesis={shortened(self.text)} is not a finite number for {where}: it divides by zero, or has a "
                "logarithm or a root of a negative number."
            )
        return value


def parse_hypothesis(text: str, labels: Labels) -> Hypothesis:
    """The hypothesis that a text states about labelled values.

    The text has one of the relations ``=``, ``<`` and ``>`` between two expressions of labels and numbers, with the
    four operations of arithmetic, powers (``**`` or ``^``) whose exponents are numbers, and the functions of
    `FUNCTIONS`. A label that begins with a letter is written as it is; where several fit, the longest counts. Others,
    such as ``3+``, go in backticks. ``b1``, ``b2``, ... are values by position, unless there are labels of these names.

    Parameters
    ----------
    text : str
    labels : Labels

    Raises
    ------
    PredictionError
        If the text is not such a relation; the message gives the place.

    Examples
    --------
    >>> labels = Labels(("N", "Y", "3+"), "row")
    >>> parse_hypothesis("Y - N > 0.05", labels)
    Hypothesis(text='Y - N > 0.05', expression=Combination(weights={1: 1.0, 0: -1.0}, constant=0.0), null=0.05, side=1)
    >>> parse_hypothesis("0 = (`3+` + b2) / 2 - N", labels).weights
    {2: 0.5, 1: 0.5, 0: -1.0}
    >>> float(parse_hypothesis("Y / N - 1 = 0.1", labels).value(np.array([0.5, 0.75, 0.5])))
    0.5
    """
    return _Reader(text, labels).hypothesis()


@dataclass(frozen=True, slots=True)
class _Token:
    """A number, a label (with its position among the values), an operator or the end."""

    kind: Kind
    text: str
    start: int
    position: int = -1


class _Reader:
    """Reads a hypothesis from left to right."""

    def __init__(self, text: str, labels: Labels) -> None:
        self.text, self.labels = text, labels
        self.tokens = self._tokens()
        self.at = self.depth = 0

    # ---- tokens ------------------------------------------------------------------------------------------------

    def _tokens(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while at < len(self.text):
            if self.text[at].isspace():
                at += 1
                continue
            tokens.append(self._label(at) or self._token(at))
            at = tokens[-1].start + len(tokens[-1].text)
        return [*tokens, _Token("end", "", len(self.text))]

    def _label(self, at: int) -> _Token | None:
        """The longest label that stands here, if it begins with a letter and ends where a word ends."""
        if not (self.text[at].isalpha() or self.text[at] == "_"):
            return None
        for length in self.labels.lengths:
            word, following = self.text[at : at + length], self.text[at + length : at + length + 1]
            ends = not (_in_word(word[-1]) and following and _in_word(following))
            if len(word) == length and ends and word in self.labels.positions:
                return _Token("label", word, at, self._position(word, at))
        return None

    def _token(self, at: int) -> _Token:
        match = _TOKEN.match(self.text, at)
        assert match is not None  # any character matches
        word = match.group()
        if match["number"] is not None:
            following = self.text[match.end() : match.end() + 1]
            if following and _in_word(following):
                raise self.error("a label that begins with a digit goes in backticks", at)
            return _Token("number", word, at)
        if match["operator"] is not None:
            return _Token("operator", word, at)
        if word in FUNCTIONS and self.text[match.end() :].lstrip().startswith("("):
            return _Token("function", word, at)
        return _Token("label", word, at, self._position(word.strip("`") if match["quoted"] is not None else word, at))

    def _position(self, name: str, at: int) -> int:
        if name in self.labels.positions:
            if self.labels.positions[name] < 0:
                raise self.error(
                    f"several {self.labels.what}s are called {name!r}. Name them by their positions, b1, b2 and so on",
                    at,
                )
            return self.labels.positions[name]
        numbered = _POSITION.fullmatch(name)
        count, what = len(self.labels.names) if self.labels.numbered is None else self.labels.numbered, self.labels.what
        if numbered and 1 <= int(numbered[1]) <= count:
            return int(numbered[1]) - 1
        if not name[:1].isalnum() and len(name) <= 1:
            raise self.error(f"{name!r} has no meaning here" if name else "there is nothing between the backticks", at)
        by_position = f", or {'b1' if count == 1 else f'b1 to b{count:,}'} by position" if count else ""
        known = quoted_list([written(label) for label in dict.fromkeys(self.labels.names)])
        whole = _LABEL_LIKE.match(self.text, at)
        name = whole.group() if whole else name
        meant = nearest(name, list(self.labels.names)) if len(self.labels.names) > 1 else ""
        raise self.error(f"there is no {what} {shortened(name)}; the {what}s are {known}{by_position}.{meant}", at)

    # ---- grammar -----------------------------------------------------------------------------------------------

    def hypothesis(self) -> Hypothesis:
        left = self._sum()
        token = self._next()
        if token.text not in RELATIONS:
            raise self._unexpected(token, "an operator, or one of =, < and >")
        right = self._sum()
        self._end()
        side = RELATIONS[token.text]
        if not left.positions:  # 0.05 < Y - N
            left, right, side = right, left, -side
        whole = added(left, right, -1.0)
        if not whole.positions:
            raise self.error("the two sides do not differ in any label", token.start)
        compared, null = whole, 0.0
        if isinstance(whole, Combination):
            compared, null = Combination(whole.weights), 0.0 - whole.constant
        elif isinstance(right, Combination) and not right.weights:
            compared, null = left, right.constant
        numbers = [*(compared.weights.values() if isinstance(compared, Combination) else ()), null]
        if not all(abs(number) <= LARGEST_NUMBER for number in numbers):
            raise self.error(f"a number is beyond {LARGEST_NUMBER:g}", 0)
        return Hypothesis(" ".join(self.text.split()), compared, null, side)

    def _end(self) -> None:
        token = self._next()
        if token.text in RELATIONS:
            raise self.error("there is a second relation. Pass a list of hypotheses", token.start)
        if token.kind != "end":
            raise self._unexpected(token, "an operator or the end")

    def _sum(self) -> Expression:
        total = self._product()
        while (token := self._ahead()).text in ("+", "-") and token.kind == "operator":
            self.at += 1
            total = added(total, self._product(), 1.0 if token.text == "+" else -1.0)
        return total

    def _product(self) -> Expression:
        product = self._factor()
        while (token := self._ahead()).text in ("*", "/") and token.kind == "operator":
            self.at += 1
            other = self._factor()
            if token.text == "*":
                product = multiplied(product, other)
            elif other == Combination({}):
                raise self.error("nothing can be divided by 0", token.start)
            else:
                product = divided(product, other)
        return product

    def _factor(self) -> Expression:
        """A power with its signs, which count for the power: ``-2 ** 2`` is -4."""
        sign = 1.0
        while (token := self._ahead()).kind == "operator" and token.text in ("+", "-"):
            self.at += 1
            sign = -sign if token.text == "-" else sign
        base = self._atom()
        if (token := self._ahead()).kind == "operator" and token.text in ("**", "^"):
            self.at += 1
            with self._deeper(token):
                exponent = self._factor()
            if exponent.positions or abs(exponent.value({})) > _LARGEST_EXPONENT:
                raise self.error(
                    f"an exponent is a number from -{_LARGEST_EXPONENT} to {_LARGEST_EXPONENT}", token.start
                )
            base = self._defined(applied(np.power, base, exponent), token)
        return base if sign > 0 else multiplied(Combination({}, sign), base)

    def _atom(self) -> Expression:
        token = self._next()
        if token.kind == "number":
            return Combination({}, float(token.text))
        if token.kind == "label":
            return Combination({token.position: 1.0})
        if token.kind == "function":
            self._next()  # the bracket that makes it a function
            return self._defined(applied(FUNCTIONS[token.text], self._inside(token)), token)
        if token.text != "(":
            raise self._unexpected(token, "a label or a number")
        return self._inside(token)

    def _inside(self, opening: _Token) -> Expression:
        """What is inside of brackets, and the bracket that closes them."""
        with self._deeper(opening):
            inside = self._sum()
            if self._next().text != ")":
                raise self.error("a bracket is never closed", opening.start)
        return inside

    def _defined(self, result: Expression, token: _Token) -> Expression:
        if isinstance(result, Combination) and not math.isfinite(result.constant):
            raise self.error(f"{token.text!r} of these numbers is not a finite number", token.start)
        return result

    @contextmanager
    def _deeper(self, token: _Token) -> Iterator[None]:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(f"brackets are nested more than {_DEEPEST} deep", token.start)
        yield
        self.depth -= 1

    def _ahead(self) -> _Token:
        return self.tokens[self.at]

    def _next(self) -> _Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    # ---- errors ------------------------------------------------------------------------------------------------

    def _unexpected(self, token: _Token, wanted: str) -> PredictionError:
        found = f"{shortened(token.text)} is" if token.text else "the end is"
        return self.error(f"{found} where {wanted} is expected", token.start)

    def error(self, message: str, at: int) -> PredictionError:
        """An error about what stands at a position of the text."""
        stop = "" if message.endswith((".", "?")) else "."
        return PredictionError(f"hypothesis={shortened(self.text)}, character {at + 1}: {message}{stop}")


def written(label: str) -> str:
    """A label as an expression has it: in backticks unless it begins with a letter.

    Examples
    --------
    >>> written("urban[Y]"), written("3+")
    ('urban[Y]', '`3+`')
    """
    return label if label[:1].isalpha() or label[:1] == "_" else f"`{label}`"


def _in_word(character: str) -> bool:
    return character.isalnum() or character in "_."
