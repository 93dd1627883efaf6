"""The registry of findings: complete, consistent with where findings are made, and what the page about them shows."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import hierlogit as hl
from hierlogit.fits.findings import FINDING_KINDS, Finding, count_by_severity, gravest_first, status_of, warning_text

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "hierlogit"
REGISTRY = PACKAGE / "fits" / "findings.py"
#: Calls whose first argument is the code of a finding.
MAKERS = ("Finding", "Measure", "CheckResult", "not_made", "_sensitivity_result")


@cache
def all_calls() -> list[ast.Call]:
    """Calls of functions and classes in the package, outside the registry."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py") if path != REGISTRY]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


def calls(*names: str) -> list[ast.Call]:
    """Those of functions and classes of these names."""
    return [call for call in all_calls() if getattr(call.func, "id", getattr(call.func, "attr", "")) in names]


def strings(node: ast.expr) -> set[str]:
    """Every string that an expression can be: those of both branches of a conditional one."""
    if isinstance(node, ast.IfExp):
        return strings(node.body) | strings(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def code_of(call: ast.Call) -> set[str]:
    """The code that a call is given, by its position or its name."""
    named = [keyword.value for keyword in call.keywords if keyword.arg in ("code", "check")]
    return strings((call.args or named)[0]) if call.args or named else set()


def test_the_codes_in_use_are_the_registered_ones() -> None:
    used = {code for call in calls(*MAKERS) for code in code_of(call)}
    assert used - set(FINDING_KINDS) == set()
    assert set(FINDING_KINDS) - used == set()


def test_severities_in_use_are_the_registered_ones() -> None:
    used: dict[str, set[str]] = {}
    for call in calls("Finding"):
        for code in code_of(call):
            used.setdefault(code, set()).update(strings(call.args[1]))
    assert len(used) > 30
    assert used == {code: set(FINDING_KINDS[code].severities) for code in used}
    # Those that `hl.check` makes take theirs from the registry, which then has one.
    rest = {code: kind for code, kind in FINDING_KINDS.items() if code not in used}
    assert {kind.topic for kind in rest.values()} == {"model"}
    assert all(len(kind.severities) == 1 for kind in rest.values())


@pytest.mark.parametrize("code", FINDING_KINDS)
def test_where_to_look_is_there(code: str) -> None:
    kind = FINDING_KINDS[code]
    assert kind.meaning.endswith(".")
    assert kind.look.endswith(".")
    if kind.look.startswith("hl."):
        found = hl
        for name in re.match(r"hl\.([\w.]+)\(", kind.look)[1].split("."):  # type: ignore[index]
            found = getattr(found, name)
        assert callable(found)
    attribute = re.match(r"hl\.check_data\(model\)\.(\w+)", kind.look)
    assert attribute is None or attribute[1] in hl.results.DataCheck.__dataclass_fields__


def test_the_page_is_the_one_that_the_registry_makes(load_tool: Callable[[str], ModuleType]) -> None:
    script = load_tool("findings")
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text) == text, "run python tools/findings.py"
    assert set(script.HEADINGS) == {kind.topic for kind in FINDING_KINDS.values()}
    for code in FINDING_KINDS:
        assert f"| `{code}` |" in text


def test_other_codes_and_severities_are_refused() -> None:
    with pytest.raises(ValueError, match="there is no finding 'singular'; the codes are constant_draws, "):
        Finding("singular", "note", "The sd is zero.", "Leave the term out.")
    with pytest.raises(ValueError, match="'not_converged' has the severity error or warning, not 'note'"):
        Finding("not_converged", "note", "No maximum.", "Rescale.")


def test_a_finding_shows_where_to_look_unless_its_remedy_does() -> None:
    finding = Finding("high_rhat", "warning", "The largest R-hat is 2.", "Raise tune.")
    assert str(finding) == (
        "warning (high_rhat): The largest R-hat is 2. Raise tune. hl.summary(fit) shows the R-hat of every parameter."
    )
    named = Finding("high_rhat", "warning", "The largest R-hat is 2.", "Look at hl.summary(fit, ci_prob=0.5).")
    assert named.advice == named.remedy
    shown = Finding("large_sd", "warning", "sd > 10 & rising", "Use MAP.")._repr_html_()
    assert "warning (large_sd)" in shown
    assert "sd &gt; 10 &amp; rising" in shown
    assert FINDING_KINDS["large_sd"].meaning in shown


def test_findings_together() -> None:
    note = Finding("singular_fit", "note", "The sd is zero.", "Leave the term out.")
    warning = Finding("low_ess", "warning", "It is 12.", "Raise draws.")
    stopped = Finding("interrupted", "warning", "Half of the draws.", "Fit again.")
    error = Finding("constant_draws", "error", "2 are constant.", "Look at the data.")
    assert gravest_first([note, warning, stopped, error]) == (error, warning, stopped, note)
    assert count_by_severity([note, warning, stopped, error]) == "1 error, 2 warnings, 1 note"
    assert warning_text([note, warning]) == "It is 12. Raise draws."
    assert warning_text([note]) == ""
    statuses = [status_of(found) for found in ([], [note], [warning], [warning, stopped], [stopped, error])]
    assert statuses == ["converged", "converged", "check", "interrupted", "failed"]
