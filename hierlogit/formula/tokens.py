"""The tokens of a formula: names, numbers, strings, operators and brackets, each with its position in the text.

The rules are those of formulae, which reads the same text afterwards. Where formulae would stop without saying where,
or would read something other than what is written, there is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import FormulaError

Span = tuple[int, int]
Kind = Literal["name", "quoted", "number", "string", "literal", "operator", "end"]

# Numbers are matched greedily, with whatever letters follow, so that 1e5 and 2x can be reported as a whole.
_TOKEN = re.compile(
    r"""
      (?P<space>    \s+ )
    | (?P<number>   (?: [0-9]+ \.? [0-9]* | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? \w* )
    | (?P<name>     \.?[^\W\d][\w.]* )
    | (?P<quoted>   `[^`]*` )
    | (?P<string>   '[^']*' | "[^"]*" )
    | (?P<operator> \*\* | \|\| | // | [=!<>]= | %[^%\s]*% | [-+*/:|~^%=<>,.()\[\]{}] )
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?|\.[0-9]{1,18}")
_CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
_LOOKALIKES = dict(zip("−–—‘’“”∼˜×∣│", "---''\"\"~~*||", strict=True))  # characters inserted by word processors
# formulae recurses a dozen times for each level, and nobody writes formulas nested this deeply.
_DEEPEST = 25


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a formula and its position in the text.

    Parameters
    ----------
    kind : {'name', 'quoted', 'number', 'string', 'literal', 'operator', 'end'}
        A quoted name is in backticks; literals are True, False and None; brackets and commas are operators.
    text : str
        The token as written, with its quotes or backticks.
    start, stop : int
        Its position in the formula, in characters.
    """

    kind: Kind
    text: str
    start: int
    stop: int

    @property
    def span(self) -> Span:
        """Start and stop as a pair."""
        return (self.start, self.stop)

    @property
    def bare(self) -> str:
        """The text without quotes or backticks."""
        return self.text[1:-1] if self.kind in ("quoted", "string") else self.text


def tokenize(text: str) -> tuple[Token, ...]:
    """The tokens of a formula; the last one has the kind 'end'.

    Examples
    --------
    >>> [token.text for token in tokenize("y ~ `my age`:x")]
    ['y', '~', '`my age`', ':', 'x', '']
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _illegal_character(text, at)
        at = match.end()
        if match.lastgroup != "space":
            tokens.append(_checked_token(text, match))
    tokens.append(Token("end", "", len(text), len(text)))
    return tuple(tokens)


def _checked_token(text: str, match: re.Match[str]) -> Token:
    word, span = match.group(), match.span()
    if match["name"] is not None:
        if word[0] in "._":
            hint = f"A column of this name goes in backticks: `{word}`."
            raise FormulaError(f"a name cannot begin with '{word[0]}'", formula=text, span=span, hint=hint)
        if not word[0].isalpha():  # superscripts and the like count as word characters
            raise _illegal_character(text, span[0])
        return Token("literal" if word in ("True", "False", "None") else "name", word, *span)
    if match["number"] is not None and not _NUMBER.fullmatch(word):
        hint = "Numbers are written as 2, 0.5 or 1000; a product within I() as 2*x."
        raise FormulaError(f"the number '{word}' is not understood", formula=text, span=span, hint=hint)
    if match["quoted"] is not None and not word[1:-1].strip():
        hint = "Backticks hold the name of a column: `my column`."
        raise FormulaError("nothing between the backticks", formula=text, span=span, hint=hint)
    kind: Kind = next(kind for kind in ("number", "quoted", "string", "operator") if match[kind] is not None)
    return Token(kind, word, *span)


def _illegal_character(text: str, at: int) -> FormulaError:
    character = text[at]
    message = f"the character '{character}' has no meaning in a formula"
    hint = "Formulas have names, numbers and + - * / : ** | ~ ( ). Other names go in backticks: `my column`."
    if character in "'\"`":
        message, hint = f"the {character} is never closed", f"Close it with another {character}"
    elif character in _LOOKALIKES:
        hint = (
            f"It looks like {_LOOKALIKES[character]} but is another character: type {_LOOKALIKES[character]} instead."
        )
    return FormulaError(message, formula=text, span=(at, at + 1), hint=hint)


def match_brackets(text: str, tokens: Sequence[Token]) -> dict[int, int]:
    """Map the index of each opening bracket in `tokens` to the index of the one that closes it."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind != "operator":
            continue
        if token.text in _CLOSED_BY:
            opened.append(index)
            if len(opened) > _DEEPEST:
                message, hint = f"brackets nested more than {_DEEPEST} deep", "Compute this in the data first."
                raise FormulaError(message, formula=text, span=token.span, hint=hint)
        elif token.text in _CLOSED_BY.values():
            if not opened or _CLOSED_BY[tokens[opened[-1]].text] != token.text:
                raise _unexpected_closing(text, token, tokens[opened[-1]] if opened else None)
            closing[opened.pop()] = index
    if opened:
        left_open = tokens[opened[-1]]
        hint = f"Close it with '{_CLOSED_BY[left_open.text]}'."
        raise FormulaError(f"'{left_open.text}' is never closed", formula=text, span=left_open.span, hint=hint)
    return closing


def _unexpected_closing(text: str, token: Token, opened: Token | None) -> FormulaError:
    if opened is None:
        message, hint = f"'{token.text}' closes nothing", "Take it away, or open the bracket where it should begin."
    else:
        message = f"'{token.text}' does not close '{opened.text}'"
        hint = f"The '{opened.text}' at character {opened.start + 1} is closed with '{_CLOSED_BY[opened.text]}'."
    return FormulaError(message, formula=text, span=token.span, hint=hint)


class Cursor:
    """A position among the tokens of a formula, with the elementary steps that all readers use."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.closing = match_brackets(text, self.tokens)
        self.at = 0

    @property
    def token(self) -> Token:
        """The current token."""
        return self.tokens[self.at]

    def is_operator(self, at: int, *texts: str) -> bool:
        """Whether token `at` is one of these operators, rather than a string or a name that looks like one."""
        return self.tokens[at].kind == "operator" and self.tokens[at].text in texts

    def take(self, *texts: str) -> str:
        """Step over the current token and return its text if it is one of these operators, else an empty string."""
        if not self.is_operator(self.at, *texts):
            return ""
        self.at += 1
        return self.tokens[self.at - 1].text

    def level(self, first: int, stop: int) -> list[int]:
        """Indices of the tokens from `first` to before `stop` outside brackets; opening brackets are included."""
        indices = []
        while first < stop:
            indices.append(first)
            first = self.closing.get(first, first) + 1
        return indices

    def span(self, first: int, stop: int) -> Span:
        """Position of the tokens from `first` to before `stop` in the text."""
        return (self.tokens[first].start, self.tokens[stop - 1].stop)

    def written(self, first: int, stop: int) -> str:
        """The tokens as written, with any blanks and line breaks between them replaced by one space."""
        text = self.tokens[first].text
        for at in range(first + 1, stop):
            text += (" " if self.tokens[at].start > self.tokens[at - 1].stop else "") + self.tokens[at].text
        return text

    def error(self, message: str, span: Span, hint: str) -> FormulaError:
        """An error that marks the part of the formula at `span`."""
        return FormulaError(message, formula=self.text, span=span, hint=hint)
