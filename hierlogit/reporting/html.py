"""HTML elements of the report: arguments called words, cells or label are escaped, those called content are HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from ..display import element

#: Columns whose cells contain a word are aligned to the left, columns of numbers to the right.
_WORD = re.compile(r"[^\W\d_]{3,}")


def prose(words: str) -> str:
    """Words escaped for HTML, with text between backticks as code.

    Examples
    --------
    >>> prose("`a < b` & more")
    '<code>a &lt; b</code> &amp; more'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words))


def paragraph(words: str, kind: str | None = None) -> str:
    """A paragraph."""
    return element("p", prose(words), class_=kind)


def gap(words: str) -> str:
    """A line that says why a part is missing."""
    return paragraph(words, "gap")


def heading(words: str, level: int, anchor: str | None = None) -> str:
    """A heading, with an anchor for links."""
    return element(f"h{level}", prose(words), id=anchor)


def bullets(items: Iterable[str]) -> str:
    """A bullet list."""
    return element("ul", "".join(element("li", item) for item in items))


def facts(pairs: Iterable[tuple[str, str]], kind: str = "facts") -> str:
    """A list of terms with their descriptions."""
    inside = "".join(element("div", element("dt", escape(term)) + element("dd", prose(words))) for term, words in pairs)
    return element("dl", inside, class_=kind)


def scrolled(content: str, label: str) -> str:
    """Content that scrolls horizontally where it is too wide for the screen, also with the keyboard."""
    return element("div", content, class_="scroll", role="group", tabindex="0", aria_label=label)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    r"""A table whose first column has the headers of the rows.

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
    """A block of code."""
    return scrolled(element("pre", element("code", escape(text))), label)


def folded(title: str, content: str, *, printed: bool = True) -> str:
    """Content that is hidden until it is opened, and shown in print; if not `printed`, only where it was opened."""
    return element("details", element("summary", prose(title)) + content, class_=None if printed else "unprinted")


def copied(anchor: str, content: str, what: str) -> str:
    """Content with a button that copies its text, which a script shows."""
    button = element("button", f"Copy {what}", type="button", data_copies=anchor, hidden=True, class_="screen")
    said = element("span", "", role="status", class_="screen")
    return element("div", content, id=anchor) + element("p", f"{button} {said}", class_="copy")


def kept(*parts: str) -> str:
    """Content that stays on one page in print, pictures beside each other included."""
    return element("div", "".join(parts), class_="kept")


def beside(*parts: str) -> str:
    """Content side by side if there is room, otherwise one below the other."""
    return element("div", "".join(element("div", part) for part in parts), class_="beside")
