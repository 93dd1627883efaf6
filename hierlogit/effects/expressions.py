"""Hypotheses written as text, ``"Y - N > 0.05"``: a linear combination of labelled values and a number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ..errors import PredictionError
from ..validation import LARGEST_NUMBER, nearest, quoted_list, shortened

#: A sign for each relation: whether the values are above, below or equal to the number.
RELATIONS = {"=": 0, "==": 0, "<": -1, "<=": -1, ">": 1, ">=": 1}
_TOKEN = re.compile(
    r"""
      (?P<number>   (?: [0-9]+ \.? [0-9]* | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? )
    | (?P<quoted>   `[^`]*` )
    | (?P<operator> [=<>]=? | [-+*/()] )
    | (?P<other>    [^\W\d][\w.]* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
#: What looks like the label of a column, in messages about unknown ones: `arm[new]`, `between(x, g)`.
_LABEL_LIKE = re.compile(r"[^\W\d][\w.]*(?:\[(?:[^\[\]]|\[[^\]]*\])*\]|\([^)]*\))?")
_POSITION = re.compile(r"b([0-9]{1,9})")
#: Nobody nests brackets this deeply, and Python's recursion is limited.
_DEEPEST = 50

type Kind = Literal["number", "label", "operator", "end"]


@dataclass(frozen=True)
class Combination:
    """A linear combination of values and a constant.

    Attributes
    ----------
    weights : mapping of int to float
        By position of the value, weights that are not zero.
    constant : float
    """

    weights: Mapping[int, float]
    constant: float

    def plus(self, other: Combination, factor: float = 1.0) -> Combination:
        """The sum with another combination, multiplied by a factor."""
        weights = dict(self.weights)
        for at, weight in other.weights.items():
            weights[at] = weights.get(at, 0.0) + factor * weight
        return Combination({at: w for at, w in weights.items() if w}, self.constant + factor * other.constant)

    def times(self, factor: float) -> Combination:
        """The combination multiplied by a factor."""
        return Combination({}, 0.0).plus(self, factor)


@dataclass(frozen=True)
class Labels:
    """What an expression can name.

    Attributes
    ----------
    names : sequence of str
        A label for each value. Several values may have the same label, which then cannot be used.
    what : str
        What has the labels, in the singular: ``"row"`` or ``"coefficient"``.
    """

    names: Sequence[str]
    what: str

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
    """A linear combination of values that is compared with a number.

    Attributes
    ----------
    text : str
        As written, on one line.
    weights : mapping of int to float
        By position of the value: those on the left of the relation less those on its right.
    null : float
        The number with which the combination is compared: what has no label, brought to the other side.
    side : {-1, 0, 1}
        Whether the combination is below, equal to or above the number.
    """

    text: str
    weights: Mapping[int, float]
    null: float
    side: int


def parse_hypothesis(text: str, labels: Labels) -> Hypothesis:
    """The hypothesis that a text states about labelled values.

    The text has one of the relations ``=``, ``<`` and ``>`` between two sums of multiples of labels and numbers. A
    label that begins with a letter is written as it is; where several fit, the longest counts. Others, such as
    ``3+``, go in backticks. ``b1``, ``b2``, ... are values by position, unless there are labels of these names.

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
    Hypothesis(text='Y - N > 0.05', weights={1: 1.0, 0: -1.0}, null=0.05, side=1)
    >>> parse_hypothesis("0 = (`3+` + b2) / 2 - N", labels).weights
    {2: 0.5, 1: 0.5, 0: -1.0}
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
        if numbered and 1 <= int(numbered[1]) <= len(self.labels.names):
            return int(numbered[1]) - 1
        if not name[:1].isalnum() and len(name) <= 1:
            raise self.error(f"{name!r} has no meaning here" if name else "there is nothing between the backticks", at)
        count, what = len(self.labels.names), self.labels.what
        by_position = f" or {'b1' if count == 1 else f'b1 to b{count:,}'} by position"
        known = quoted_list([written(label) for label in dict.fromkeys(self.labels.names)])
        whole = _LABEL_LIKE.match(self.text, at)
        name = whole.group() if whole else name
        meant = nearest(name, list(self.labels.names)) if count > 1 else ""
        if what == "coefficient" and name.startswith(("sd_", "cor_")):
            meant = " Sds and correlations are not coefficients: hl.test_terms(fit) tests random effects."
        raise self.error(f"there is no {what} {shortened(name)}; the {what}s are {known},{by_position}.{meant}", at)

    # ---- grammar -----------------------------------------------------------------------------------------------

    def hypothesis(self) -> Hypothesis:
        left = self._sum()
        token = self._next()
        if token.text not in RELATIONS:
            raise self._unexpected(token, "an operator, or one of =, < and >")
        right = self._sum()
        self._end()
        side = RELATIONS[token.text]
        if not left.weights:  # 0.05 < Y - N
            left, right, side = right, left, -side
        combined = left.plus(right, -1.0)
        if not combined.weights:
            raise self.error("the two sides do not differ in any label", token.start)
        numbers = [*combined.weights.values(), combined.constant]
        if not all(abs(number) <= LARGEST_NUMBER for number in numbers):
            raise self.error(f"a number is beyond {LARGEST_NUMBER:g}", 0)
        return Hypothesis(" ".join(self.text.split()), combined.weights, 0.0 - combined.constant, side)

    def _end(self) -> None:
        token = self._next()
        if token.text in RELATIONS:
            raise self.error("there is a second relation. Pass a list of hypotheses", token.start)
        if token.kind != "end":
            raise self._unexpected(token, "an operator or the end")

    def _sum(self) -> Combination:
        total = self._product()
        while (token := self._ahead()).text in ("+", "-") and token.kind == "operator":
            self.at += 1
            total = total.plus(self._product(), 1.0 if token.text == "+" else -1.0)
        return total

    def _product(self) -> Combination:
        product = self._factor()
        while (token := self._ahead()).text in ("*", "/") and token.kind == "operator":
            self.at += 1
            other = self._factor()
            if token.text == "/":
                if other.weights or not other.constant:
                    raise self.error("only numbers other than 0 can divide", token.start)
                product = product.times(1.0 / other.constant)
            elif product.weights and other.weights:
                raise self.error("a label can be multiplied by numbers only", token.start)
            else:
                product = product.times(other.constant) if product.weights else other.times(product.constant)
        return product

    def _factor(self) -> Combination:
        sign = 1.0
        while (token := self._next()).kind == "operator" and token.text in ("+", "-"):
            sign = -sign if token.text == "-" else sign
        if token.kind == "number":
            return Combination({}, sign * float(token.text))
        if token.kind == "label":
            return Combination({token.position: sign}, 0.0)
        if token.text != "(":
            raise self._unexpected(token, "a label or a number")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(f"brackets are nested more than {_DEEPEST} deep", token.start)
        inside = self._sum()
        if self._next().text != ")":
            raise self.error("a bracket is never closed", token.start)
        self.depth -= 1
        return inside.times(sign)

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
