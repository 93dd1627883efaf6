"""The documentation: everything public is in the reference, and pages link to pages that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "hierlogit"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if "_build" not in path.parts)
#: Modules whose public names the reference lists one by one, by the heading they stand under.
LISTED = {
    "hierlogit": PACKAGE / "__init__.pyi",
    "hierlogit.plots": PACKAGE / "plots" / "__init__.pyi",
    "hierlogit.results": PACKAGE / "results.pyi",
}


def listed_names() -> dict[str, set[str]]:
    """Names in the reference's summaries, by module."""
    text = (DOCS / "reference" / "index.md").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for module, names in re.findall(r"currentmodule:: (\S+)\n.*?:nosignatures:\n\n((?:   \S+\n)+)", text, re.DOTALL):
        found.setdefault(module, set()).update(names.split())
    return found


def public_functions(stub: Path) -> set[str]:
    """What a stub takes from modules, without the modules that it makes public."""
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


@pytest.mark.parametrize("module", LISTED)
def test_everything_public_is_in_the_reference(module: str) -> None:
    assert public_functions(LISTED[module]) - listed_names()[module] == set()
    assert listed_names()[module] - public_functions(LISTED[module]) == set()


def test_every_prior_is_in_the_reference() -> None:
    import hierlogit as hl

    bases = {hl.priors.Prior, hl.priors.CoefficientPrior, hl.priors.ScalePrior}
    families = {
        name
        for name, value in vars(hl.priors).items()
        if isinstance(value, type) and issubclass(value, hl.priors.Prior) and value not in bases
    }
    assert families == listed_names()["hierlogit.priors"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    # The notebooks are copied to the pages when these are built.
    targets = [f"../../case_studies/{target}" if target.endswith(".ipynb") else target for target in targets if target]
    here = (DOCS / page).parent
    assert [target for target in targets if not here.joinpath(target).exists()] == []


def test_every_page_is_in_a_table_of_contents() -> None:
    inside = {"index.md"}
    for page in PAGES:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            inside |= {(Path(page).parent / f"{name}.md").as_posix() for name in names}
    assert set(PAGES) - inside == {page for page in PAGES if page.startswith("reference/generated")}
