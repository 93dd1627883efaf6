"""Count circles of imports in the package, between modules and between folders, type-only imports included.

`python tools/import_circles.py` lists each circle and exits with their number. Imports inside functions and under
``if TYPE_CHECKING`` are included. Stubs are not read.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "hierlogit"


def modules(package: Path) -> dict[str, Path]:
    """File of each module of the package, by its dotted name; the name of a folder means its `__init__.py`."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Modules of the package that a module imports."""
    home = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            parents = home.split(".")[: len(home.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                if inner in known or source in known:
                    yield inner if inner in known else source


def imports(package: Path) -> dict[str, set[str]]:
    """The modules of the package that each module imports, without itself."""
    known = modules(package)
    return {name: set(imported(name, path, known)) - {name} for name, path in known.items()}


def between_rooms(graph: Mapping[str, set[str]], package: str = PACKAGE) -> dict[str, set[str]]:
    """The same graph between the folders and files directly under the package."""

    def room(name: str) -> str:
        return ".".join(name.split(".")[:2])

    found: dict[str, set[str]] = {}
    for name, targets in graph.items():
        if name != package:
            found.setdefault(room(name), set()).update(room(target) for target in targets if target != package)
    return {name: targets - {name} for name, targets in found.items()}


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of two or more nodes that reach each other (Tarjan 1972, SIAM Journal on Computing 1: 146-160)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in number:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], number[target])
        if low[node] == number[node]:
            at = stack.index(node)
            members = sorted(stack[at:])
            del stack[at:]
            if len(members) > 1:
                found.append(members)

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def main() -> int:
    """Print every circle; their number is the exit status."""
    graph = imports(ROOT / PACKAGE)
    rooms = between_rooms(graph)
    total = 0
    for what, one in (("modules", graph), ("folders", rooms)):
        found = circles(one)
        arrows = sum(len(targets) for targets in one.values())
        print(f"{len(one)} {what}, {arrows} imports between them, {len(found)} circles")
        for members in found:
            print("  " + " <-> ".join(members))
        total += len(found)
    return total


if __name__ == "__main__":
    sys.exit(main())
