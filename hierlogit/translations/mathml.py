"""Translation of a model's LaTeX to MathML, which browsers display without a library.

Only the LaTeX that `latex` writes is supported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from ..display import element

#: Number of terms of a sum on one line.
TERMS = 4

_TOKEN = re.compile(
    r"\\text\{(?P<text>(?:[^\\{}]|\\textbackslash\{\}|\\text\w+\{\}|\\.)*)\}|\\(?:[A-Za-z]+|.)|\d+(?:\.\d+)?(?:e[+-]?\d+)?|[^\s]"
)
_LETTERS = {"\\beta": "β", "\\sigma": "σ", "\\top": "⊤"}
_OPERATORS = {"\\sim": "∼", "\\dots": "…", "\\sum": "∑"}
_SPACES = {"\\,": "0.17em", "\\ ": "0.3em", "\\quad": "1em"}
_IGNORED = ("\\textstyle", "\\left", "\\right")
_ESCAPED = {"\\textbackslash{}": "\\", "\\textasciicircum{}": "^", "\\textasciitilde{}": "~"}
#: Beginnings of the lines that state priors.
_OF_PRIORS = ("\\beta", "\\sigma", "R^")


def mathml(latex: str, *, priors: bool) -> str:
    """A model as a block of MathML.

    Parameters
    ----------
    latex : str
        The model, from ``Model.to_latex``.
    priors : bool
        Whether to include the priors.

    Returns
    -------
    str
        A ``math`` element: a table with one row for each line.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ 1 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> written = mathml(model.to_latex(), priors=False)
    >>> written.count("<mtr>"), "Bernoulli" in written
    (4, True)
    """
    lines = [line.strip() for line in latex.splitlines()[1:-1]]
    lines = [line.removesuffix("\\\\").strip() for line in lines]
    shown = [line for line in lines if priors or not line.startswith(_OF_PRIORS)]
    rows = "".join(row for line in shown for row in _rows(line))
    return element("math", element("mtable", rows), display="block")


def _rows(line: str) -> Iterator[str]:
    """A line as one row, or as several if its right side is a long sum."""
    left, right = re.split(r"(?<!\\)&", line, maxsplit=1)
    start = _row(_items(_tokens(left)))
    parts = _sums(_items(_tokens(right)))
    yield _table_row(start, _row(parts[0]))
    for part in parts[1:]:
        yield _table_row("", '<mspace width="2em"></mspace>' + _row(part))


def _table_row(left: str, right: str) -> str:
    # As `aligned` has them: left sides up to the sign of the relation, right sides from it on.
    sides = element("mtd", left, style="text-align:right") + element("mtd", right, style="text-align:left")
    return element("mtr", sides)


def _sums(items: list[str]) -> list[list[str]]:
    """The items of a sum, split into lines of a few terms."""
    parts: list[list[str]] = [[]]
    terms = 0
    for item in items:
        if item == _operator("+") and len(parts[-1]) > 1:
            terms += 1
            if terms % TERMS == 0:
                parts.append([])
        parts[-1].append(item)
    return parts


def _tokens(source: str) -> list[str]:
    return [match.group() for match in _TOKEN.finditer(source)]


def _items(tokens: list[str]) -> list[str]:
    """MathML of the tokens up to a closing brace, one item for each symbol; removes the tokens from the list."""
    items: list[str] = []
    while tokens and tokens[0] != "}":
        item = _item(tokens)
        if item:
            items.append(item)
    return items


def _item(tokens: list[str]) -> str:
    """The next symbol with its subscript and superscript."""
    base = _bare(tokens)
    under = over = ""
    while tokens and tokens[0] in ("_", "^"):
        if tokens.pop(0) == "_":
            under = _bare(tokens)
        else:
            over = _bare(tokens)
    if under and over:
        return element("msubsup", (base or "<mi></mi>") + under + over)
    if under or over:
        return element("msub" if under else "msup", (base or "<mi></mi>") + (under or over))
    return base


def _bare(tokens: list[str]) -> str:
    token = tokens.pop(0)
    if token == "{":
        inside = _row(_items(tokens))
        tokens.pop(0)
        return inside
    if token.startswith("\\text{"):
        return element("mtext", escape(_unescaped(token[6:-1])))
    if token == "\\operatorname":
        name = "".join(_until_closed(tokens))
        return element("mi", escape(name), mathvariant="normal")
    if token == "\\bar":
        return element("mover", _bare(tokens) + element("mo", "¯"), accent="true")
    if token in _IGNORED:
        return ""
    if token in _SPACES:
        return element("mspace", width=_SPACES[token])
    if token in _LETTERS:
        return element("mi", _LETTERS[token])
    if token in _OPERATORS:
        return element("mo", _OPERATORS[token], lspace="0.28em", rspace="0.28em")
    if token[0].isdigit():
        return element("mn", token)
    return element("mi", token) if token.isalpha() else _operator(token)


def _operator(sign: str) -> str:
    signs = {"-": "−", "\\{": "{", "\\}": "}"}
    # A plus sign at the start of a continued line is still an operator between two terms.
    kind = {"stretchy": "false"} if sign in "()[]" else {"form": "infix"} if sign == "+" else {}
    return element("mo", escape(signs.get(sign, sign)), **kind)


def _until_closed(tokens: list[str]) -> Iterator[str]:
    """The tokens inside the next pair of braces."""
    tokens.pop(0)
    while (token := tokens.pop(0)) != "}":
        yield token


def _row(items: list[str]) -> str:
    return items[0] if len(items) == 1 else element("mrow", "".join(items))


def _unescaped(words: str) -> str:
    """The characters that LaTeX's text mode would print."""
    return re.sub(r"\\text\w+\{\}|\\.", lambda match: _ESCAPED.get(match.group(), match.group()[1:]), words)
