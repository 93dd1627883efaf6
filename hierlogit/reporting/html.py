"""The pieces of a page. What is called words, cells or a label is escaped; what is called content is HTML already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from ..display import element

#: Cells of a column with a word in them stand to the left, numbers to the right.
_WORD = re.compile(r"[^\W\d_]{3,}")


def prose(words: str) -> str:
    """Escape words; what stands between backticks becomes code.

    Examples
    --------
    >>> prose("`a < b` & more")
    '<code>a &lt; b</code> &amp; more'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words))


def paragraph(words: str, kind: str | None = None) -> str:
    """A paragraph of words."""
    return element("p", prose(words), class_=kind)


def gap(words: str) -> str:
    """Say in one line why something is not there."""
    return paragraph(words, "gap")


def heading(words: str, level: int, anchor: str | None = None) -> str:
    """A heading, with an anchor that can be linked to."""
    return element(f"h{level}", prose(words), id=anchor)


def bullets(items: Iterable[str]) -> str:
    """A list of content."""
    return element("ul", "".join(element("li", item) for item in items))


def facts(pairs: Iterable[tuple[str, str]], kind: str = "facts") -> str:
    """Terms with what they are, both words."""
    inside = "".join(element("div", element("dt", escape(term)) + element("dd", prose(words))) for term, words in pairs)
    return element("dl", inside, class_=kind)


def scrolled(content: str, label: str) -> str:
    """Let content that is too wide for the screen be moved sideways, with the keyboard too."""
    return element("div", content, class_="scroll", role="group", tabindex="0", aria_label=label)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    r"""A table of words; the first cell of each row is its header.

    Examples
    --------
    >>> print(table(["who", "n"], [["<Ann>", "3"]], "Counts").replace("><", ">\n<"))
    <div class="scroll" role="group" tabindex="0" aria-label="Counts">
    <table>
    <caption>
    <span>Counts</span>
    </caption>
    <thead>
    <tr>
    <th scope="col">who</th>
    <th scope="col" class="number">n</th>
    </tr>
    </thead>
    <tbody>
    <tr>
    <th scope="row">&lt;Ann&gt;</th>
    <td class="number">3</td>
    </tr>
    </tbody>
    </table>
    </div>
    """
    body = [list(row) for row in rows]
    columns = list(zip(*body, strict=True)) or [()] * len(head)
    kinds = [None if k == 0 or any(map(_is_text, column)) else "number" for k, column in enumerate(columns)]
    top = "".join(element("th", prose(cell), scope="col", class_=kind) for cell, kind in zip(head, kinds, strict=True))
    lines = []
    for row in body:
        first = element("th", prose(row[0]), scope="row")
        rest = zip(row[1:], kinds[1:], strict=True)
        lines.append(element("tr", first + "".join(element("td", prose(cell), class_=kind) for cell, kind in rest)))
    inside = element("caption", element("span", prose(caption))) + element("thead", element("tr", top))
    return scrolled(element("table", inside + element("tbody", "".join(lines))), caption)


def _is_text(cell: str) -> bool:
    return bool(_WORD.search(cell)) and " to " not in cell


def code(text: str, label: str) -> str:
    """A program as it is written."""
    return scrolled(element("pre", element("code", escape(text))), label)


def folded(title: str, content: str) -> str:
    """Content that is shown when it is asked for, and in print."""
    return element("details", element("summary", prose(title)) + content)


def beside(*parts: str) -> str:
    """Content side by side where there is room, else below each other."""
    return element("div", "".join(element("div", part) for part in parts), class_="beside")
