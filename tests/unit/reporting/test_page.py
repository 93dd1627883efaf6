"""The report: everything is on one page, the page is sound, and nothing that fails takes the rest with it."""

from __future__ import annotations

import pickle
import re
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import hierlogit as hl
from hierlogit.cli.app import app
from hierlogit.errors import FitError
from hierlogit.reporting import page
from hierlogit.reporting.page import ReportPath
from hierlogit.reporting.request import attempted

ROOT = Path(__file__).parents[3]
EMPTY = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """A page: its elements in order, and whether every one is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(self.text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("script", "style"):
            self.words.append(data)

    def attributes(self, tag: str, name: str) -> list[str]:
        return [str(found[name]) for element, found in self.elements if element == tag and name in found]

    @property
    def gaps(self) -> list[str]:
        """Lines that say why something is not there."""
        reasons = ("not available, because", "could not be made, because")
        return [words for words in self.words if any(reason in words for reason in reasons)]

    @property
    def prose(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def contraception() -> pd.DataFrame:
    return hl.datasets.load("contraception")


@pytest.fixture(scope="module")
def fits(contraception: pd.DataFrame) -> dict[str, hl.results.Fit]:
    formulas = {"same": "use ~ age + urban + (1 | district)", "varying": "use ~ age + urban + (1 + urban | district)"}
    return {name: hl.Model(formula, contraception).fit(hl.Laplace(seed=1)) for name, formula in formulas.items()}


@pytest.fixture(scope="module")
def built(contraception: pd.DataFrame) -> hl.results.Build:
    return hl.build("use ~ age + urban + (1 | district)", contraception, engine=hl.Laplace(draws=100, seed=1))


@pytest.fixture(scope="module")
def whole(fits: dict[str, hl.results.Fit], tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("page") / "one.html"
    assert hl.report(fits["varying"], path, replicates=50) == path
    # Three fits in one report are less than 3 MB.
    assert path.stat().st_size < 1e6
    assert [other.name for other in path.parent.iterdir()] == ["one.html"]
    return Page(path)


def test_every_section_is_there_and_linked(whole: Page) -> None:
    expected = [key for key in page.SECTIONS if key not in ("comparison", "build")] + ["provenance"]
    assert whole.attributes("section", "id") == expected
    assert whole.attributes("a", "href") == [f"#{key}" for key in expected]
    assert whole.gaps == []


def test_the_page_needs_nothing_else(whole: Page) -> None:
    sources = whole.attributes("img", "src") + whole.attributes("a", "href")
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in whole.elements}
    assert "src" not in {name for tag, found in whole.elements if tag == "script" for name in found}
    assert re.findall(r"url\(|@import|fetch\(|XMLHttpRequest", whole.text) == []


def test_headings_go_down_one_by_one(whole: Page) -> None:
    levels = [int(tag[1]) for tag, _ in whole.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_pictures_have_words_and_ids_are_unique(whole: Page) -> None:
    words = whole.attributes("img", "alt")
    assert len(words) == sum(tag == "img" for tag, _ in whole.elements) >= 8
    assert all(len(text) > 40 and text.endswith(".") for text in words)
    ids = [str(found["id"]) for _, found in whole.elements if "id" in found]
    assert len(set(ids)) == len(ids)
    assert whole.attributes("html", "lang") == ["en"]


def test_predictors_and_coefficients_are_drawn_together_where_there_are_two(
    whole: Page, fits: dict[str, hl.results.Fit], tmp_path: Path
) -> None:
    captions = ("Probability of use = 1 by age and urban", "Two coefficients of each cluster, Intercept and urban[Y]")
    assert all(caption in whole.prose for caption in captions)
    slopes = Page(hl.report(fits["same"], tmp_path / "one.html", sections=["clusters"]))
    assert "Two coefficients" not in slopes.prose
    counts = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))
    levels = Page(hl.report(counts, tmp_path / "two.html", sections=["effects"]))
    assert "Difference in the probability of successes , in percentage points" in levels.prose
    assert "img" not in {tag for tag, _ in levels.elements}
    assert slopes.gaps == levels.gaps == []


def test_numbers_are_those_of_the_verbs(whole: Page, fits: dict[str, hl.results.Fit]) -> None:
    fit = fits["varying"]
    ratio = hl.odds_ratios(fit).loc["urban[Y]", "estimate"]
    assert f"urban[Y] {hl.summary(fit).loc['urban[Y]', 'estimate']:.3f}" in whole.prose
    assert f" {ratio:.2f} " in whole.prose
    assert f"{100 * hl.icc(fit)['estimate'].iloc[0]:.1f}%" in whole.prose
    assert f"{hl.mor(fit)['estimate'].iloc[0]:.2f}" in whole.prose
    effect = hl.avg_comparisons(fit, "urban", clusters="average")["estimate"].iloc[0]
    assert f"Y - N +{100 * effect:.1f}" in whole.prose
    assert "759 of 1,934 rows (39.2%)" in whole.prose


def test_the_summary_gives_the_numbers_of_the_verbs(whole: Page, fits: dict[str, hl.results.Fit]) -> None:
    fit = fits["varying"]
    assert (
        "The question is how the probability of use = 1 depends on age and urban , and how much it differs"
        in whole.prose
    )
    assert "1,934 rows, 759 of them with use = 1 : 39 of 100." in whole.prose
    rows = fit.model.design.table.frame
    town, village = (
        hl.avg_predictions(fit, rows.assign(urban=value), clusters="average", num_draws=200) for value in "YN"
    )
    differences = 100 * (town.draws - village.draws).to_numpy().ravel()
    low, high = np.quantile(differences, [0.055, 0.945]).round()
    many, few = (round(100 * table["estimate"].iloc[0]) for table in (town, village))
    more = round(100 * (town["estimate"].iloc[0] - village["estimate"].iloc[0]))
    assert f"urban N {few} Y {many} {more} more ({low:.0f} to {high:.0f} more)" in whole.prose
    table = hl.avg_predictions(fit, clusters={"district": [0.1, 0.9]}, num_draws=200)
    low, high = (round(100 * value) for value in table["estimate"])
    assert f"the event is expected in {low} to {high} of 100 rows" in whole.prose
    # The formula has no square of age.
    assert "Can it be trusted? With care: the checks found evidence against the model: " in whole.prose


def test_the_methods_name_their_sources_and_can_be_copied(whole: Page, fits: dict[str, hl.results.Fit]) -> None:
    fit = fits["varying"]
    assert "We modelled the probability of use = 1 by mixed-effects logistic regression" in whole.prose
    estimate = fit.estimate
    assert estimate is not None
    assert f"the log-likelihood is −{abs(estimate.log_likelihood):,.2f} with 6 parameters" in whole.prose
    assert "(maximum likelihood; Pinheiro" not in whole.prose
    for source in ("Pinheiro and Chao 2006", "Larsen and Merlo 2005", "Goldstein et al. 2002", "Zeger et al. 1988"):
        surname, year = source.split()[0], source[-4:]
        assert source in whole.prose
        assert re.search(rf"{surname} [^()]*\({year}\)\.", whole.prose), source
        assert f"@article{{{surname.lower()}{year}," in whole.prose
    assert "@software{hierlogit, author = {hierlogit developers}" in whole.prose
    assert "Hoffman" not in whole.prose
    anchors = {str(found["id"]) for _, found in whole.elements if "id" in found}
    assert {"methods-1", "bibtex-1", "program"} == set(whole.attributes("button", "data-copies")) <= anchors


def test_texts_are_copied_without_a_network(whole: Page, page_after_scripts: Any) -> None:
    step = "document.execCommand = () => true; document.querySelector('[data-copies=methods-1]').click();"
    step += "document.body.append('selected: ' + getSelection().toString().slice(0, 11));"
    done = page_after_scripts(whole.text.replace("</body>", f"<script>{step}</script></body>"))
    assert "selected: We modelled" in done
    assert "Copied." in done


def test_rare_events_are_counted_out_of_more_than_a_hundred() -> None:
    from hierlogit.reporting.sections.frequencies import out_of

    assert [out_of(rate).base for rate in (0.5, 0.02, 0.019, 0.9999)] == [100, 100, 1000, 100_000]
    among = out_of(0.4)
    assert [among(0.0), among(0.004), among(0.114), among(0.999)] == ["0", "fewer than 1", "11", "more than 99"]
    assert [among.more(0.1), among.more(-0.1), among.more(0.001)] == ["10 more", "10 fewer", "as many"]


def test_averages_from_some_of_the_draws_are_announced(
    fits: dict[str, hl.results.Fit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierlogit.reporting.request.MOST_VALUES", 300 * 1934)
    found = Page(hl.report(fits["same"], tmp_path / "some.html", sections=["effects"]))
    assert "from 300 of the 1,000 draws" in found.prose
    few = hl.avg_comparisons(fits["same"], "urban", clusters="average", num_draws=300).iloc[0]
    assert f"{100 * few['eti89_lb']:+.1f} to {100 * few['eti89_ub']:+.1f}" in found.prose


def test_models_that_cannot_be_told_apart_are_named() -> None:
    from hierlogit.reporting.sections.comparison import _verdict

    table = pd.DataFrame({"elpd_diff": [0.0, -1.0, -30.0], "dse": [0.0, 0.9, 5.0]}, index=["a", "b", "c"])
    assert "`b` does not differ clearly from the best model, `a`" in _verdict(table)
    assert _verdict(table).endswith("`c` predicts worse.")


@pytest.mark.parametrize(("name", "sections"), [("varying", ["estimates", "effects"]), ("built", ["build"])])
def test_the_program_makes_the_same_page(
    fits: dict[str, hl.results.Fit],
    built: hl.results.Build,
    contraception: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    sections: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    hl.report(fits.get(name, built), "page.html", sections=sections, title="Use & town")
    first = Page(Path("page.html"))
    start = first.text.index("import hierlogit as hl")
    program = first.text[start : first.text.index("</code>", start)]
    from html import unescape

    contraception.to_csv("rows.csv", index=False)
    Path("page.html").unlink()
    exec(compile(unescape(program), "program", "exec"), {})
    again = Page(Path("page.html"))
    # But for the seconds that it took.
    took = re.compile(r"<dt>Seconds</dt><dd>.*?</dd>|fitted, in .*? s,")
    assert took.sub("", again.text) == took.sub("", first.text)


def test_a_build_up_is_reported_with_all_its_models(built: hl.results.Build, tmp_path: Path) -> None:
    found = Page(hl.report(built, tmp_path / "built.html", sections=["build"]))
    assert found.gaps == []
    assert "5 models were fitted" in found.prose
    assert "4 were kept on the way to use ~ age + urban + (1 + urban | district) (M4)." in found.prose
    assert all(f"{name} {adds}" in found.prose for name, adds in built.table["adds"].items())
    assert "urban[Y] in 3 models of the 5 that were tried" in found.text
    with pytest.raises(FitError, match="build"):
        hl.report(built.fit, tmp_path / "fit.html", sections=["build"])


def test_several_fits_are_compared(fits: dict[str, hl.results.Fit], tmp_path: Path) -> None:
    path = hl.report(fits, tmp_path / "both.html", sections=["data", "comparison", "estimates"])
    found = Page(path)
    assert "2 models compared: same, varying." in found.prose
    assert found.gaps == []
    test = hl.likelihood_ratio(fits["same"], fits["varying"])
    assert f"varying against same {test.statistic:.1f}" in found.prose
    assert found.prose.count("How large the clusters are") == 1
    order = [tag for tag, _ in found.elements if tag in ("h2", "h3", "h4")]
    assert order.count("h3") >= 2


@pytest.fixture(scope="module")
def summaries(
    fits: dict[str, hl.results.Fit], contraception: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Page:
    """The summary of fits of the same rows, of which one has no predictors."""
    empty = hl.Model("use ~ 1 + (1 | district)", contraception).fit(hl.Laplace(seed=1))
    chosen = ["summary", "ranking", "checks"]
    place = tmp_path_factory.mktemp("three") / "three.html"
    return Page(hl.report({**fits, "empty": empty}, place, sections=chosen, replicates=50))


def test_several_fits_share_one_summary(summaries: Page, fits: dict[str, hl.results.Fit]) -> None:
    start, end = (summaries.text.index(f'<section id="{key}"') for key in ("summary", "ranking"))
    text = summaries.text[start:end]
    assert re.findall(r"<h[34]>(.*?)</h", text) == [
        "The question",
        "What was found, and how much clusters differ",
        "Can it be trusted?",
    ]
    for once in ("The question is how the probability", "Intervals show how far the results", "<table"):
        assert text.count(once) == 1, once
    head, *rows = re.findall(r"<tr>(.*?)</tr>", text)
    assert re.findall(r"<th[^>]*>(.*?)</th>", head) == ["Predictor", "Value", "same", "varying", "empty"]
    cells = [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows]
    table = dict(zip((row[0] for row in cells), cells, strict=True))
    assert table["N"][3] == "not in the model"
    low, high = [], []
    for column, (name, fit) in enumerate(fits.items(), 1):
        rows_of = fit.model.design.table.frame
        few, many = (
            round(100 * hl.avg_predictions(fit, rows_of.assign(urban=value), clusters="average")["estimate"].iloc[0])
            for value in "NY"
        )
        assert table["N"][column] == f"{few}", name
        assert re.fullmatch(rf"{many}\d+ more \(\d+ to \d+ more\)", table["Y"][column]), name
        ends = hl.avg_predictions(fit, clusters={"district": [0.1, 0.9]}, num_draws=200)["estimate"]
        low.append(round(100 * ends.iloc[0]))
        high.append(round(100 * ends.iloc[1]))
    assert [f"{a} to {b}" for a, b in zip(low, high, strict=True)] == table["middle 80%"][1:3]


def test_fits_of_other_outcomes_have_summaries_of_their_own(
    fits: dict[str, hl.results.Fit], contraception: pd.DataFrame, tmp_path: Path
) -> None:
    half = hl.Model("use ~ age + (1 | district)", contraception.iloc[::2]).fit(hl.Laplace(seed=1))
    found = Page(hl.report({"all": fits["same"], "half": half}, tmp_path / "two.html", sections=["summary"]))
    assert found.prose.count("The question is how the probability of use = 1 depends on") == 2
    assert "There are 967 rows" in found.prose


def test_more_fits_than_fit_beside_each_other_are_in_several_tables(
    fits: dict[str, hl.results.Fit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierlogit.reporting.sections.summary.MOST_BESIDE", 1)
    found = Page(hl.report(fits, tmp_path / "two.html", sections=["summary"]))
    assert [tag for tag, _ in found.elements].count("table") == 2
    assert found.prose.count("The question is") == 1


def test_long_tables_are_printed_for_the_first_fit_only(summaries: Page, whole: Page) -> None:
    def folds(page: Page) -> list[tuple[str, str | None]]:
        titles = re.findall(r"<details(?: class=\"(\w+)\")?><summary>(.*?)</summary>", page.text)
        return [(title, kind or None) for kind, title in titles]

    for title in ("All clusters", "All checks"):
        assert [kind for what, kind in folds(summaries) if what == title] == [None, "unprinted", "unprinted"]
        assert (title, None) in folds(whole)
    assert ("References as BibTeX", "unprinted") in folds(summaries)
    # The funnel and the ranks of each fit are on one page with the sentences about them.
    together = re.findall(r'<div class="kept"><p>(.*?)</p><div class="beside">(.*?)</div></div></div>', summaries.text)
    assert [text.count("Rank 1 has the lowest probability") for text, _ in together] == [1, 1, 1]
    assert [pictures.count("<img") for _, pictures in together] == [2, 2, 2]
    style = re.sub(r"\s+", " ", whole.text[whole.text.index("@media print") : whole.text.index("</style>")])
    assert ".unprinted:not([open]) { display: none; }" in style
    assert "details:not(.unprinted)::details-content { content-visibility: visible;" in style


def test_labels_are_no_markup(tmp_path: Path, make_fit: Any) -> None:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"y": rng.choice(["<no>", "a & b"], 80), "x<1": rng.normal(size=80)})
    rows["g"] = np.repeat(["<script>alert(1)</script>", '"quoted"', "plain", "`code`"], 20)
    fit = make_fit("y ~ `x<1` + (1 | g)", rows)
    path = hl.report(fit, tmp_path / "odd.html", sections=["data", "model", "estimates", "clusters", "influence"])
    found = Page(path)
    assert "alert(1)" not in "".join(re.findall(r"<script.*?</script>", found.text, re.DOTALL))
    assert found.gaps == []


@pytest.mark.parametrize(
    ("formula", "data", "engine", "gaps"),
    [
        ("p(successes, size) ~ period + (1 | herd)", "cbpp", hl.MAP(draws=200, seed=1), []),
        ("use ~ age + urban", "contraception", hl.Laplace(draws=200, seed=1), []),
        ("use ~ 1 + (1 | district)", "contraception", hl.Laplace(draws=200, seed=1), []),
        ("y ~ 0 + (1 | ID)", "bacteria", hl.MAP(draws=200, seed=1), ["The plot of influence"]),
        ("y ~ week_gt2 + (1 | ID) + (1 | week)", "bacteria", hl.MAP(draws=200, seed=1), []),
    ],
)
def test_other_models(formula: str, data: str, engine: Any, gaps: list[str], tmp_path: Path) -> None:
    fit = hl.Model(formula, hl.datasets.load(data)).fit(engine)
    chosen = [key for key in page.SECTIONS if key not in ("comparison", "build", "checks")]
    found = Page(hl.report(fit, tmp_path / "other.html", sections=chosen))
    assert [gap.split(":")[0] for gap in found.gaps] == gaps


def test_a_sampled_fit(tmp_path: Path, make_fit: Any, clustered_rows: Any) -> None:
    fit = make_fit("healed ~ dose + arm + (1 + dose | clinic)", clustered_rows(12, 15))
    chosen = ["model", "convergence", "estimates", "effects", "variance", "clusters", "influence", "sliders"]
    found = Page(hl.report(fit, tmp_path / "sampled.html", sections=chosen, ci_prob=0.5))
    assert found.gaps == []
    assert "Probability above 0" in found.prose
    assert "50% interval" in found.prose
    assert "Largest R-hat" in found.prose


def test_what_fails_is_said_and_the_rest_stays(
    tmp_path: Path, fits: dict[str, hl.results.Fit], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise hl.errors.FitError("no <such> thing.")

    monkeypatch.setattr("hierlogit.reporting.sections.variance.icc", broken)
    found = Page(hl.report(fits["same"], tmp_path / "gap.html", sections=["variance"]))
    assert "The variance partition: not available, because no <such> thing." in found.prose
    assert "Explained by the fixed effects" in found.prose


def test_an_interruption_is_no_gap() -> None:
    def stopped() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempted("This", stopped)


def test_errors(tmp_path: Path, fits: dict[str, hl.results.Fit]) -> None:
    with pytest.raises(
        hl.errors.FitError, match="there is no section 'plots' in the report; choose one of 'summary', 'data', 'model'"
    ):
        hl.report(fits["same"], tmp_path / "x.html", sections=["plots"])
    with pytest.raises(hl.errors.FitError, match="there is no section 'comparison'"):
        hl.report(fits["same"], tmp_path / "x.html", sections=["comparison"])
    with pytest.raises(hl.errors.FitError, match="replicates=10 must be a whole number from 50"):
        hl.report(fits["same"], tmp_path / "x.html", replicates=10)
    with pytest.raises(hl.errors.FitError, match="is a folder. Name a file in it"):
        hl.report(fits["same"], tmp_path)
    with pytest.raises(hl.errors.FitError, match="needs a fit, or several by name"):
        hl.report({}, tmp_path / "x.html")
    with pytest.raises(hl.errors.FitError, match=r"fits\['a'\] is not a Fit \(got Model\). Fit the model first"):
        hl.report({"a": fits["same"].model}, tmp_path / "x.html")  # type: ignore[dict-item]
    with pytest.raises(hl.errors.FitError, match="there is no folder"):
        hl.report(fits["same"], tmp_path / "none" / "x.html", sections=["estimates"])
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_page(
    tmp_path: Path, fits: dict[str, hl.results.Fit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, fit in fits.items():
        fit.save(Path(f"{name}.nc"))
    monkeypatch.setattr(page, "SECTIONS", {key: page.SECTIONS[key] for key in ("comparison", "estimates")})
    run = CliRunner().invoke
    made = run(app, ["report", "same.nc", "varying.nc", "--title", "Two models"])
    assert made.exit_code == 0, made.output
    assert "Report in report.html" in made.output
    assert "2 models compared: same, varying." in Page(Path("report.html")).prose
    again = run(app, ["report", "same.nc"])
    assert again.exit_code == 2
    assert "report.html already exists. Pass --overwrite" in again.output
    assert run(app, ["report", "same.nc", "--overwrite"]).exit_code == 0
    assert "1 name given for 2 fits" in run(app, ["report", "same.nc", "varying.nc", "-o", "b", "--name", "a"]).output
    assert "there is no file none.nc" in run(app, ["report", "none.nc", "-o", "c"]).output


# ---- the sliders --------------------------------------------------------------------------------------------------


def test_the_sliders_are_those_of_the_first_fit(
    whole: Page, fits: dict[str, hl.results.Fit], page_after_scripts: Any
) -> None:
    done = page_after_scripts(whole.text)
    names = re.findall(r'<input id="[^"]*" type="range"[^>]* data-name="(\w+)"', done)
    assert names == ["sd", "sd_slope", "correlation", "size"]
    (said,) = re.findall(r'<p class="words"[^>]*>(.*?)</p>', done)
    share, ratio = hl.icc(fits["varying"])["estimate"].iloc[0], hl.mor(fits["varying"])["estimate"].iloc[0]
    assert f"{100 * share:.1f}% lies between clusters of district" in said
    assert f"the median odds ratio is {ratio:.2f}." in said
    assert len(re.findall(r'<circle class="first" cx="[\d.]+"', done)) == 26 + 1 + 2


def test_the_script_is_left_out_without_its_section(fits: dict[str, hl.results.Fit], tmp_path: Path) -> None:
    found = Page(hl.report(fits["same"], tmp_path / "none.html", sections=["estimates"]))
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert "hierlogit-explorer" not in found.text


def test_a_report_is_a_link_in_a_notebook(tmp_path: Path) -> None:
    path = ReportPath(tmp_path / "a <b> report.html")
    assert path == tmp_path / "a <b> report.html"
    assert path._repr_html_().endswith('/a%20%3Cb%3E%20report.html" target="_blank">a &lt;b&gt; report.html</a>')
    assert type(path.parent) is type(tmp_path)
    assert pickle.loads(pickle.dumps(path)) == path


def test_dropped_columns_and_rows_are_reported_and_effects_are_those_of_observed_cells(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        {"a": rng.choice(list("uvw"), 200), "b": rng.choice(list("pq"), 200), "x": rng.normal(size=200)}
    )
    rows = rows[(rows["a"] != "w") | (rows["b"] != "q")]
    rows = rows.assign(k=np.arange(len(rows)) % 4, n=np.where(np.arange(len(rows)) < 5, 0, 3))
    rows["k"] = np.minimum(rows["k"], rows["n"])
    with pytest.warns(hl.errors.DataWarning):
        fit = hl.Model("p(k, n) ~ a * b + x", rows).fit(hl.Laplace(seed=1))
    page = unescape(hl.report(fit, tmp_path / "report.html", sections=["data", "effects"]).read_text(encoding="utf-8"))
    assert "Rows left out because they have no trials" in page
    assert "Columns dropped from the fixed part" in page
    assert "'a[w]:b[q]' is zero in every row" in page
    assert "'a', 'b' cannot be compared in all rows: some combinations have no data." in page
    assert "not available" not in page
