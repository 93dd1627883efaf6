"""Print every text of the package that a user can see, with its place: errors, warnings, findings, labels, docstrings.

`python tools/messages.py` prints all of them; `python tools/messages.py error finding` only those kinds. In texts made
of parts, `{...}` stands for what is filled in. The kinds:

- error: what is raised, with the checks of options and the hints of formulas
- warning: what is passed to `warnings.warn`
- finding: evidence, remedies and meanings of findings
- label: titles, axes, legends and text alternatives of plots
- report: headings and sentences of the HTML report
- docstring: first lines of public docstrings
- text: other prose, such as the printed forms of results and texts that are put together before they are used
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "hierlogit"

#: Functions and classes whose text arguments are of a kind, by the last part of their name.
CALLED = {
    "error": "error",
    "nothing_here": "error",
    "misplaced": "error",
    "warn": "warning",
    "_warn": "warning",
    "Finding": "finding",
    "FindingKind": "finding",
    "Measure": "finding",
    "CheckResult": "finding",
    "not_made": "finding",
    **dict.fromkeys(("set_title", "set_xlabel", "set_ylabel", "set_label", "describe", "annotate", "legend"), "label"),
    **dict.fromkeys(("paragraph", "heading", "attempted", "gap", "bullets", "prose", "caption", "figure"), "report"),
}
#: Functions of `validation` that take words for a message.
CHECKS = {"names", "mapping", "number_array", "real_array", "instance", "function_or_none", "unknown_names"}
#: Variables that hold texts of errors before they are raised; in engines and diagnostics, of findings.
ERROR_VARIABLES = {"hint", "message", "remedy", "reason"}
FINDING_VARIABLES = {"evidence", "remedy"}
#: Words for matplotlib and rich, not for people.
NOT_PROSE = {"axes fraction", "offset points", "upper left", "outside upper left", "outside upper right"}
NOT_PROSE |= {"bold red", "bold yellow"}
#: Turns of phrase that have to be read twice.
AWKWARD = re.compile(
    r"(?<!there )\b(is|are) no [a-z]|none of ours|(could not|cannot) be had|mended|parted|\btold\b|goes on from"
    r"|foretell|^Of |say nothing|nothing (cannot|is no)\b"
)
#: What is left where a part of a message is empty.
HOLE = re.compile(r"''|  | [,;:]| \.(?![a-z.])|,,|(?<!\.)\.\.(?!\.)")
KINDS = ("error", "warning", "finding", "label", "report", "docstring", "text")


class Message(NamedTuple):
    """A text, the kind of it, and where it stands."""

    path: str
    line: int
    kind: str
    text: str


def faults(message: str) -> list[str]:
    """What is wrong with the form of an error message: holes, grammar of lists and numbers, its beginning and end.

    Examples
    --------
    >>> faults("there are no predictors 'a' in the model; choose one of 'b', 'c'.")
    ["several for one: are no predictors 'a'"]
    >>> faults("quadrature with 1 nodes")
    ["the end is 'th 1 nodes'", "a plural for one: '1 nodes'"]
    """
    found = []
    if not re.match(r"[a-z'`\"0-9({/]|(NUTS|AGQ|MAP|Laplace|LKJ|Decov|Bambi)\b|[A-Z][A-Za-z]+: ", message):
        found.append(f"the beginning is {message[:10]!r}")
    if not re.search(r"[.?]$", message):
        found.append(f"the end is {message[-10:]!r}")
    found += [
        f"a plural for one: {hit[0]!r}" for hit in re.finditer(r"(?<![\w,.'*-])1 (?!is|has|was)[a-z]+s\b", message)
    ]
    found += [f"a hole: {hit[0]!r}" for hit in HOLE.finditer(message)]
    for hit in re.finditer(r"(are no [a-z ]+s) ('[^']*')(?!, '| and \d)", message):
        found.append(f"several for one: {hit[1]} {hit[2]}")
    for hit in re.finditer(r"is no [a-z ]+ '[^']*', '[^']*'", message):
        found.append(f"one for several: {hit[0]}")
    found += [f"awkward: {hit[0]!r}" for hit in AWKWARD.finditer(message)]
    return found


def messages() -> list[Message]:
    """All texts, by file and line."""
    found = [message for path in sorted(PACKAGE.rglob("*.py")) for message in _of_file(path)]
    return sorted(found, key=lambda message: (message.path, message.line))


def _of_file(path: Path) -> Iterator[Message]:
    place = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings: set[ast.AST] = set()
    for node, public in _documented(tree, public=True):
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            docstrings.add(first.value)
            if public and not isinstance(node, ast.Module):
                yield Message(place, first.lineno, "docstring", first.value.value.strip().partition("\n")[0])
    variables = dict.fromkeys(ERROR_VARIABLES, "error")
    if "/engines/" in place or "/diagnostics/" in place:
        variables |= dict.fromkeys(FINDING_VARIABLES, "finding")
    for text, kind in _texts(tree, "text", docstrings, variables):
        yield Message(place, text.lineno, kind, _written(text))


Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def _documented(node: ast.AST, *, public: bool) -> Iterator[tuple[Documented, bool]]:
    """What can have a docstring, and whether it is public; functions within functions are not."""
    if isinstance(node, Documented):
        public = public and (isinstance(node, ast.Module) or not node.name.startswith("_"))
        yield node, public
    for child in ast.iter_child_nodes(node):
        yield from _documented(child, public=public and not isinstance(node, ast.FunctionDef))


def _texts(
    node: ast.AST, kind: str, docstrings: set[ast.AST], variables: Mapping[str, str]
) -> Iterator[tuple[ast.Constant | ast.JoinedStr, str]]:
    """Texts within a node that are prose, with the kind that the nearest call, raise or variable gives them."""
    if isinstance(node, ast.Constant):
        if node not in docstrings and _is_prose(node):
            yield node, kind
        return
    if isinstance(node, ast.JoinedStr):
        if _is_prose(node):
            yield node, kind
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _texts(part.value, kind, docstrings, variables)
        return
    if isinstance(node, ast.Raise):
        kind = "error"
    elif isinstance(node, ast.Call):
        kind = _kind_of_call(node, kind)
    elif isinstance(node, ast.Assign) and kind == "text":
        names = {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        kind = next((variables[name] for name in sorted(names) if name in variables), kind)
    for child in ast.iter_child_nodes(node):
        yield from _texts(child, kind, docstrings, variables)


def _kind_of_call(node: ast.Call, kind: str) -> str:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called.endswith("Error") or called in CHECKS:
        return "error"
    return CALLED.get(called, kind)


def _is_prose(node: ast.Constant | ast.JoinedStr) -> bool:
    """Whether a text has words for people: two of them, or one that ends a sentence."""
    if isinstance(node, ast.Constant) and not isinstance(node.value, str):
        return False
    written = _written(node)
    words = re.findall(r"[A-Za-z][a-z]+", written.replace("{...}", " "))
    return len(words) > 1 and " " in written and written not in NOT_PROSE


def _written(node: ast.Constant | ast.JoinedStr) -> str:
    """The text on one line, with `{...}` for what is filled in."""
    if isinstance(node, ast.Constant):
        return " ".join(str(node.value).split())
    parts = [str(part.value) if isinstance(part, ast.Constant) else "{...}" for part in node.values]
    return " ".join("".join(parts).split())


if __name__ == "__main__":
    wanted = sys.argv[1:] or KINDS
    if set(wanted) - set(KINDS):
        sys.exit(f"the kinds are: {', '.join(KINDS)}")
    for message in messages():
        if message.kind in wanted:
            print(f"{message.path}:{message.line}: {message.kind}: {message.text}")
