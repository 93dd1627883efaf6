"""Names and levels from data are text wherever they are shown: HTML, LaTeX, Markdown and terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import hierlogit as hl
from hierlogit.cli.app import app
from hierlogit.display import Shown
from hierlogit.model import Model
from hierlogit.progress import JupyterBar
from hierlogit.reporting.images import picture

MakeFit = Callable[..., hl.results.Fit]

NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "&amp; ' \"",
    r"$x$ \end{aligned} & % # _ ^ ~ {",
    "[red]x[/] [/]",
    "a\nb\tc",
    "\x1b[31m",
]


class Elements(HTMLParser):
    """Names of elements and of attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words += data


def assert_harmless(html: str, allowed: frozenset[str] = frozenset()) -> Elements:
    found = Elements(html)
    assert not found.elements & ({"script", "img", "iframe", "object"} - allowed)
    assert not {name for name in found.attributes if name.startswith("on")}
    return found


@pytest.fixture(scope="module")
def fit(make_fit: MakeFit) -> hl.results.Fit:
    random = np.random.default_rng(1)
    outcome, number, factor, other, group, *_ = NAMES
    rows = pd.DataFrame(
        {
            outcome: random.choice(["yes" + NAMES[0], "no" + NAMES[1]], 140),
            number: random.normal(size=140),
            factor: random.choice(NAMES[:4], 140),
            other: random.choice(NAMES[4:], 140),
            group: random.choice(NAMES, 140),
        }
    )
    formula = f"`{outcome}` ~ `{number}` + `{factor}` + `{other}` + (1 + `{number}` | `{group}`)"
    return make_fit(formula, rows)


def shown(fit: hl.results.Fit) -> Iterator[Any]:
    model = fit.model
    yield from (fit, model, model.formula, model.design, model.priors, hl.explain(fit))
    yield from (model.design.groups[0], model.design.table, model.design.outcome, hl.check_data(model))
    for verb in (
        hl.summary,
        hl.odds_ratios,
        hl.variance_components,
        hl.ranef,
        hl.predictions,
        hl.icc,
        hl.pooling,
        hl.league_table,
    ):
        yield verb(fit)  # type: ignore[operator]


def test_html_of_notebooks(fit: hl.results.Fit) -> None:
    for one in shown(fit):
        found = assert_harmless(one._repr_html_())
        if isinstance(one, Shown):
            assert "<script>" in found.words or "onerror=" in found.words or "[red]" in found.words


def test_text_has_no_control_characters(fit: hl.results.Fit) -> None:
    for one in (fit, fit.model, fit.model.design, fit.model.design.groups[0]):
        assert not {letter for letter in repr(one) if ord(letter) < 32} - {"\n"}


def test_the_report(fit: hl.results.Fit, tmp_path: Path) -> None:
    path = hl.report(fit, tmp_path / "report.html", title=NAMES[1], sections=["data", "model", "estimates"])
    html = path.read_text(encoding="utf-8")
    page = assert_harmless(html, frozenset({"img", "script"}))
    assert html.count("<script") == 1  # its own, by which paragraphs are copied
    assert NAMES[1] in page.words
    assert "`data`" not in page.words


def test_pictures_and_their_text_alternatives(fit: hl.results.Fit) -> None:
    html = picture(lambda: hl.plots.caterpillar(fit), f"Effects of {NAMES[0]}")
    found = assert_harmless(html, frozenset({"img"}))
    assert NAMES[0] in found.words


@pytest.mark.parametrize("name", NAMES)
def test_mathematics_of_any_name(name: str, make_fit: MakeFit) -> None:
    rows = pd.DataFrame({name: [0, 1] * 20, "x": np.arange(40.0), "g & h": list("abcd") * 10})
    model = hl.Model(f"`{name}` ~ x + (1 | `g & h`)", rows)
    lines = model.to_latex().splitlines()
    assert len(lines) == 9
    assert all(line.count("&") - line.count(r"\&") == 1 for line in lines[1:-1])
    html = hl.explain(model)._repr_html_()
    words = assert_harmless(html).words
    assert " ".join(name.split()) in words


def test_the_program_of_any_names_only_reads_them(fit: hl.results.Fit) -> None:
    import ast

    tree = ast.parse(hl.explain(fit).code)
    assert "alert" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {node.names[0].name for node in ast.walk(tree) if isinstance(node, ast.Import)} == {
        "arviz", "numpy", "pandas", "pymc", "pytensor.tensor",
    }  # fmt: skip


def test_a_name_with_line_breaks_is_no_code(make_fit: MakeFit) -> None:
    import ast

    name = "x\nimport os\nos.system('touch trace')"
    rows = pd.DataFrame({"y": [0, 1] * 20, name: np.arange(40.0), "g\nimport re": list("abcd") * 10})
    code = hl.explain(hl.Model(f"y ~ `{name}` + (1 | `g\nimport re`)", rows)).code
    tree = ast.parse(code)
    imported = {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}
    assert not imported & {"os", "re"}


def test_the_terminal(fit: hl.results.Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "fit", lambda *_, **__: fit)
    path = tmp_path / "rows.csv"
    fit.model.design.table.frame.to_csv(path, index=False)
    arguments = ["fit", str(path), fit.model.formula.text, "-o", str(tmp_path / "results")]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    assert "[red]x[/] [/]" in result.stdout
    assert r"\x1b[31m" in result.stdout
    assert "\x1b" not in result.output
    refused = CliRunner().invoke(app, ["fit", str(path), "y ~ `\x1b[31m` + `[red]`", "-o", str(tmp_path / "more")])
    assert refused.exit_code == 2
    assert "\x1b" not in refused.output


def test_a_bar_in_a_notebook() -> None:
    bar = JupyterBar.__new__(JupyterBar)
    bar._what, bar._total = NAMES[0], 3
    assert_harmless(bar._drawn(1, NAMES[1])["text/html"])
