"""The documentation: everything public is in the reference, and links, files, calls and options on the pages exist."""

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import hierlogit as hl

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "hierlogit"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if "_build" not in path.parts)
TEXTS = ["README.md", "CONTRIBUTING.md", *(f"docs/{page}" for page in PAGES)]
NOTEBOOKS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "case_studies").glob("*.ipynb"))
#: Pages that report measured times, and the history of changes.
MEASURED = ("docs/benchmarks.md", "docs/calibration.md", "docs/changelog.md")
#: Times and speed ratios, in figures and in words.
SPEED = re.compile(
    r"\b\d[\d.,]*\s*(?:µs|ms|s|milliseconds?|seconds?|minutes?|hours?|x|times)\b"
    r"|\b(?:half|(?:third|quarter|tenth|hundredth)s?\s+of)\s+an?\s+(?:second|minute|hour)\b"
    r"|\b(?:two|three|four|five|ten|twenty|thirty)\s+(?:seconds|minutes|hours)\b"
)
#: What looks like a speed and is not: numbers of simulations.
NOT_SPEED = {
    "docs/comparing.md": {"8,000 times", "60 times"},
    "docs/how_to/missing_values.md": {"1.22 times", "1.03 times"},
}
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
    bases = {hl.priors.Prior, hl.priors.CoefficientPrior, hl.priors.ScalePrior}
    families = {
        name
        for name, value in vars(hl.priors).items()
        if isinstance(value, type) and issubclass(value, hl.priors.Prior) and value not in bases
    }
    assert families == listed_names()["hierlogit.priors"]


def test_the_table_of_maximum_likelihood_in_the_readme_is_what_the_call_prints() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    formula = re.findall(r'model = hl.Model\("(.+?)", hl.datasets.load', text)[0]
    fit = hl.Model(formula, hl.datasets.load("contraception")).fit("laplace")
    (shown,) = re.findall(r"```text\n(Parameters \(logit scale\); 95% profile.*?)\n```", text, re.DOTALL)
    assert repr(hl.summary(fit, interval="profile", ci_prob=0.95, progress=False)) == shown


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


@pytest.mark.parametrize("page", sorted(set(TEXTS) - set(MEASURED)))
def test_only_the_benchmarks_report_times(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = {" ".join(match[0].split()) for match in SPEED.finditer(text)}
    assert found - NOT_SPEED.get(page, set()) == set(), "give the order of magnitude and link to docs/benchmarks.md"


@pytest.mark.parametrize(
    "text", ["in 0.3 s", "5.4ms", "12 seconds", "138 times", "2.5 x", "half a\nminute", "a third of a second"]
)
def test_times_are_found(text: str) -> None:
    assert SPEED.search(text)


@pytest.mark.parametrize("text", ["milliseconds", "60 districts", "I(x * 2) s", "95 % of", "times", "`-k 3` seconds"])
def test_other_numbers_are_not_times(text: str) -> None:
    assert not SPEED.search(text)


@pytest.mark.parametrize("page", TEXTS)
def test_files_named_on_a_page_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`(?:python )?([\w./-]+/[\w.-]+\.(?:py|md|toml|json|R))`", text)
    assert [name for name in named if not any((place / name).exists() for place in (ROOT, PACKAGE))] == []


def programs(path: Path) -> Iterator[str]:
    """Python code on a page or in a notebook: blocks and cells, and calls in the middle of a sentence."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
        yield from (source for kind, source in cells if kind == "code")
        text = "\n".join(source for kind, source in cells if kind == "markdown")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        prompted = re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", block, re.MULTILINE)
        yield "\n".join(prompted) if ">>>" in block else block
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    yield from (call.replace("{...}", "...") for call in re.findall(r"`(hl\.[\w.]*\w(?:\([^`\n]*\))?)`", prose))


def public(node: ast.expr) -> Any:
    """What an expression such as `hl.plots.forest` stands for; None if it does not begin with `hl`."""
    if isinstance(node, ast.Attribute):
        owner = public(node.value)
        return None if owner is None else getattr(owner, node.attr)
    return hl if isinstance(node, ast.Name) and node.id == "hl" else None


def wrong_calls(code: str) -> Iterator[str]:
    """Names below `hl` that do not exist, and calls of them with arguments that they do not take."""
    for node in ast.walk(ast.parse(code)):
        try:
            function = public(node.func) if isinstance(node, ast.Call) else None
            if isinstance(node, ast.Call) and function is not None:
                given = [value for value in node.args if not (isinstance(value, ast.Constant) and value.value is ...)]
                options = {option.arg: option.value for option in node.keywords if option.arg is not None}
                inspect.signature(function).bind_partial(*given, **options)
            elif isinstance(node, ast.Attribute):
                public(node)
        except (AttributeError, TypeError) as error:
            yield f"{ast.unparse(node)}: {error}"


@pytest.mark.parametrize("page", [*TEXTS, *NOTEBOOKS])
def test_calls_on_a_page_have_names_and_options_that_exist(page: str) -> None:
    assert [wrong for code in programs(ROOT / page) for wrong in wrong_calls(code)] == []


@pytest.mark.parametrize("code", ["hl.data_report(model)", "hl.mor(fit, at=rows)", "hl.slopes(fit, 'x', rows)"])
def test_wrong_calls_are_found(code: str) -> None:
    assert list(wrong_calls(code)) != []


def test_gallery_has_every_plot(load_tool: Callable[[str], ModuleType]) -> None:
    gallery = load_tool("gallery")
    assert {entry.function for entry in gallery.ENTRIES} == public_functions(LISTED["hierlogit.plots"]) - {
        "text_alternative"
    }
    assert gallery.PAGE.read_text(encoding="utf-8") == gallery.page(), "run python tools/gallery.py"
    for entry in gallery.ENTRIES:
        assert f"hl.plots.{entry.function}(" in entry.call


def test_the_origin_of_every_data_set_is_listed() -> None:
    page = (DOCS / "case_studies" / "index.md").read_text(encoding="utf-8")
    for _, one in hl.datasets.list().iterrows():
        assert f"| `{one['name']}`: {one['title']}; {one['rows']:,} rows, {one['clusters']} | {one['origin']} |" in page


def test_the_table_of_the_criteria_is_that_of_the_simulated_studies() -> None:
    table = pd.read_csv(DOCS / "comparing" / "criteria.csv")
    table["rate"] = 100 * table["right"] / table[["smaller", "right", "larger"]].sum(axis=1)
    means = table.groupby(["question", "truth", "size", "criterion"])["rate"].mean()
    text = (DOCS / "comparing.md").read_text(encoding="utf-8")
    for name, key in (
        ("clusters do not differ", ("random effects", "none", 0.0)),
        ("slopes differ too, sd 0.3", ("random effects", "slope", 0.3)),
        ("predictor of clusters, effect 0.5", ("predictor of clusters", "with", 0.5)),
    ):
        (line,) = (one for one in text.splitlines() if one.startswith(f"| {name} |"))
        shown = [float(cell.removesuffix(" %")) for cell in re.findall(r"\d+ %", line)]
        criteria = ["aic", "bic", "bic_clusters", "bic_hybrid", "bic_hybrid_alone"]
        criteria += ["icl", "icl_without_constant", "icl_entropy"]
        assert shown == [round(float(means[(*key, criterion)])) for criterion in criteria]
