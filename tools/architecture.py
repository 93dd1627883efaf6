"""Write the table of modules in docs/architecture.md: first lines of their docstrings, in the order of the layers.

`python tools/architecture.py` rewrites the part of the page between its two markers. A test compares the page with
the result of `page`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "hierlogit"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- modules: made by tools/architecture.py -->\n", "<!-- end of modules -->\n"


def first_line(path: Path) -> str:
    """First line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def layers() -> dict[str, list[str]]:
    """Names in the layers of each container of the import rules, from the bottom up."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    found: dict[str, list[str]] = {}
    for rule in rules:
        for container in rule.get("containers", []):
            order = [name.strip() for layer in reversed(rule["layers"]) for name in re.split(r"[|:]", layer)]
            found[container.removeprefix("hierlogit").lstrip(".")] = order
    return found


def table() -> str:
    """Folders with their descriptions, each followed by its modules."""
    order = layers()
    lines = ["| module | what it does |", "| --- | --- |"]
    for name in order[""]:
        if (PACKAGE / f"{name}.py").exists():
            lines.append(f"| **`{name}.py`** | {first_line(PACKAGE / f'{name}.py')} |")
        else:
            lines += _folder(PACKAGE / name, order)
    return "\n".join(lines) + "\n"


def _folder(folder: Path, order: dict[str, list[str]]) -> list[str]:
    place = folder.relative_to(PACKAGE).as_posix()
    lines = [f"| **`{place}/`** | **{first_line(folder / '__init__.py')}** |"]
    known = order.get(place.replace("/", "."), [])
    inside = [path for path in folder.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"]
    inside = [path for path in inside if path.name != "__init__.py"]
    for path in sorted(inside, key=lambda path: (known.index(path.stem) if path.stem in known else 0, path.name)):
        if path.is_dir():
            lines += _folder(path, order)
        else:
            lines.append(f"| `{path.relative_to(PACKAGE).as_posix()}` | {first_line(path)} |")
    return lines


def page(text: str) -> str:
    """The page with an up-to-date table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
