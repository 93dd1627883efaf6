"""The case studies as they are committed: executed from top to bottom, without a word of the machine they ran on."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

import hierlogit as hl

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "case_studies").glob("*.ipynb"))
LARGEST = 1_500_000


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    """Cells of a kind."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def text(cell: dict[str, Any]) -> str:
    """What is written in a cell."""
    return "".join(cell["source"])


def test_they_are_all_in_the_documentation() -> None:
    page = (ROOT / "docs" / "case_studies" / "index.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == len(re.findall(r"\]\(\w+\.ipynb\)", page)) >= 8
    for path in NOTEBOOKS:
        assert f"]({path.name})" in page
        assert f"\n{path.stem}\n" in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_was_executed_from_top_to_bottom(self, path: Path) -> None:
        code = cells(path, "code")
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
        outputs = [output for cell in code for output in cell["outputs"]]
        assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
        assert {output["name"] for output in outputs if output["output_type"] == "stream"} <= {"stdout"}
        assert any("image/png" in output.get("data", {}) for output in outputs)

    def test_shows_no_progress_bar(self, path: Path) -> None:
        """A bar that was removed leaves an empty output, and one that was not leaves its last state."""
        for cell in cells(path, "code"):
            for output in cell["outputs"]:
                shown = output.get("data", {"text/plain": output.get("text")})
                assert any(shown.values())
                assert "<progress" not in "".join(shown.get("text/html", []))

    def test_says_nothing_of_the_machine(self, path: Path) -> None:
        said = path.read_text(encoding="utf-8")
        assert re.findall(r"/(?:root|home|work|tmp|Users)/", said) == []
        assert set(json.loads(said)["metadata"]) == {"kernelspec"}
        assert path.stat().st_size <= LARGEST

    def test_has_a_title_and_an_end(self, path: Path) -> None:
        headings = re.findall(r"^(#+) (.+)$", "\n".join(text(cell) for cell in cells(path, "markdown")), re.MULTILINE)
        assert [level for level, _ in headings].count("#") == 1
        assert headings[0][0] == "#"
        assert headings[-1][1] in ("What would change the answer", "What to remember")

    def test_uses_what_is_there(self, path: Path) -> None:
        for cell in cells(path, "code"):
            for node in ast.walk(ast.parse(text(cell))):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hl":
                    assert hasattr(hl, node.attr)
