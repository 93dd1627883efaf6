"""All that a person meets is shown on one screen, as text and as HTML: no arrays, nothing unescaped, no long work."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit import results
from hierlogit.display import Column, Facts, Sentences, Table, View
from hierlogit.errors import ConvergenceWarning, DataWarning, FitError
from hierlogit.fits.diagnostics import DeferredMeasures
from hierlogit.fits.findings import FINDING_KINDS, Finding
from hierlogit.formatting import cell, plain

PACKAGE = Path(__file__).parents[2] / "hierlogit"
#: A screen, in lines and characters.
HEIGHT, WIDTH = 40, 100
#: The width of a table in a notebook, in characters.
PAGE = 120
CLUSTERS = 5_000
SCRIPT = "<script>alert('x')</script>"
#: Elements without an end.
VOID = {"br"}
#: Elements that take a line, or more, of what is seen.
LINES = {"tr", "li", "p", "summary", "mtr"}


# ---- what is shown ----------------------------------------------------------------------------------------------


def rows(clusters: int, size: int, seed: int = 1) -> pd.DataFrame:
    """Rows of clinics and readers that cross them, with names and levels that are HTML."""
    rng = np.random.default_rng(seed)
    n = clusters * size
    frame = pd.DataFrame(
        {
            "<i>clinic</i>": np.repeat([f"{SCRIPT} {k}" for k in range(clusters)], size),
            "reader": rng.choice([f"reader {k} & co" for k in range(12)], n),
            "<b>dose</b>": rng.normal(size=n),
            "arm": rng.choice(["control", SCRIPT, "new"], n),
            "ward": rng.choice([f"ward {k} with a name that is longer than anybody would like" for k in range(50)], n),
            "trials": rng.integers(1, 9, n),
        }
    )
    effects = np.repeat(rng.normal(0, 1, clusters), size)
    p = 1 / (1 + np.exp(0.5 - 0.7 * frame["<b>dose</b>"] - effects))
    frame["healed"] = np.where(rng.uniform(size=n) < p, "yes", "no")
    frame["successes"] = rng.binomial(frame["trials"], p)
    return frame


@pytest.fixture(scope="module")
def fits(make_fit: Callable[..., results.Fit]) -> dict[str, results.Fit]:
    """Fits of every engine, with thousands of clusters, crossed factors, many columns, and without random effects."""
    many, few = rows(CLUSTERS, 4), rows(40, 15)
    large = hl.Model("healed ~ `<b>dose</b>` + arm + (1 | `<i>clinic</i>`)", many)
    slope = hl.Model("healed ~ `<b>dose</b>` + (1 + `<b>dose</b>` | reader) + (1 | `<i>clinic</i>`)", few)
    wide = hl.Model("healed ~ `<b>dose</b>` + arm + ward + (1 | `<i>clinic</i>`) + (1 | reader)", rows(60, 40))
    counts = hl.Model("p(successes, trials) ~ `<b>dose</b>` + arm", few)
    with pytest.warns(ConvergenceWarning):  # four rows in a cluster are few for Laplace's method
        approximate = large.fit(hl.Laplace(seed=1))
    return {
        "large": approximate,
        "large, drawn": make_fit(large, None, draws=30),
        "crossed": make_fit(slope, None, draws=30),
        "wide": wide.fit(hl.MAP(seed=1)),
        "wide, drawn": make_fit(wide, None, draws=30),
        "counts": counts.fit(hl.Laplace(seed=1)),
        "quadrature": hl.Model("healed ~ 1 + (1 | `<i>clinic</i>`)", few).fit(hl.AGQ(nodes=5, seed=1)),
    }


def findings() -> tuple[Finding, ...]:
    """One of each code, with more evidence than anybody reads."""
    return tuple(
        Finding(code, kind.severities[0], f"{SCRIPT} in {', '.join(map(str, range(60)))}.", "Leave them out. " * 12)
        for code, kind in FINDING_KINDS.items()
    )


@pytest.fixture(scope="module")
def examples(fits: dict[str, results.Fit], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Objects of each class of results."""
    large, drawn = fits["large"], fits["large, drawn"]
    small = hl.Model("p(successes, trials) ~ arm + (1 | reader)", rows(10, 6)).fit(hl.Laplace(seed=1))
    smaller = hl.Model("p(successes, trials) ~ arm", rows(10, 6)).fit(hl.Laplace(seed=1))
    check, boot = hl.check(small, replicates=50, seed=1), hl.bootstrap(small, replicates=5, seed=1)
    layout = hl.Layout(
        {"<i>school": 5, "<i>school/class": 2},
        size=lambda random, count: random.integers(1, 5, count),
        predictors={"x": ("normal", 0, 2), "<b>z</b>": lambda random, count: random.normal(size=count)},
        cluster_predictors={"<i>school": {"arm": ["control", SCRIPT]}},
    )
    power = hl.power("y ~ x + (1 | s)", hl.Layout({"s": 5}, 8, {"x": "normal"}), beta={"Intercept": 0, "x": 1},
                     sd={"s": 0.5}, replicates=2, seed=1)  # fmt: skip
    labels = pd.Index([f"{SCRIPT} {k}" for k in range(CLUSTERS)], name="<i>clinic</i>")
    numbers = pd.DataFrame(np.random.default_rng(1).normal(size=(CLUSTERS, 4)), labels, ["a", "b", "c", "<b>d</b>"])
    influence = results.Influence(
        group="<i>clinic</i>",
        table=numbers.assign(parameter=f"sd[{SCRIPT}]", status=["failed"] * 100 + ["converged"] * (CLUSTERS - 100)),
        changes=numbers,
        dfbetas=numbers,
        estimate=numbers.iloc[0],
        se=numbers.iloc[1].abs(),
        failures={SCRIPT: "no maximum"},
        method="fitted again by Laplace without each",
    )
    pooled = hl.fit_imputed("p(successes, trials) ~ arm + (1 | reader)", [rows(10, 6)] * 5, hl.Laplace(seed=1))
    ratio = hl.likelihood_ratio(smaller, small)
    overdispersion = hl.check_overdispersion(small, replicates=50, seed=1)
    folder = tmp_path_factory.mktemp("shards") / "new"
    shards = hl.Shards.write(rows(40, 15), folder, group="<i>clinic</i>", shards=4)
    sharded = shards.model("healed ~ `<b>dose</b>` + arm + (1 | `<i>clinic</i>`)")
    with pytest.warns(DataWarning, match="evidence depends on the priors"):
        factors = hl.bayes_factor(
            {f"{SCRIPT} {k}": fit for k, fit in enumerate((smaller, small))}, draws=256, nodes=1, scales=[0.5, 2]
        )
    return {
        "BayesFactors": [factors],
        "Bootstrap": [boot, replace(boot, values=numbers.T, estimate=numbers.T.iloc[0], requested=9, interrupted=True)],
        "Build": [
            hl.build("healed ~ `<b>dose</b>` + arm", rows(40, 15), clusters=["<i>clinic</i>", "reader"]),
            hl.build("healed ~ `<b>dose</b>`", rows(40, 15), clusters="<i>clinic</i>", estimand="<b>dose</b>"),
        ],
        "Check": [check, replace(check, findings=findings())],
        "Overdispersion": [
            overdispersion,
            replace(overdispersion, failures={3: f"{SCRIPT}"}, findings=findings()[:1], interrupted=True),
        ],
        "DataCheck": [hl.check_data(large.model), hl.check_data(fits["wide"].model), hl.check_data(smaller.model)],
        "DensityCheck": [results.DensityCheck(5, 1, 1e-3, 1e-8, 1e-3, 1e-6, f"u_{SCRIPT}")],
        "Diagnostics": [replace(large.diagnostics, findings=findings()), *(fit.diagnostics for fit in fits.values())],
        "DrawTable": [
            hl.predictions(drawn),
            hl.predictions(drawn, by="<i>clinic</i>"),
            hl.avg_comparisons(drawn, direction=True, rope=(-0.1, 0.1)),
            hl.slopes(fits["wide, drawn"], "<b>dose</b>", scale="link", ci_prob=0.955),
            hl.conditional_vs_average(drawn),
            hl.hypotheses(drawn, "pairwise", adjust="single-step"),
        ],
        "Estimate": [fit.estimate for fit in fits.values() if fit.estimate],
        "Evidence": [*factors.evidence.values(), replace(next(iter(factors.evidence.values())), pareto_k=0.9)],
        "Explanation": [hl.explain(large), hl.explain(fits["wide"]), hl.explain(fits["crossed"])],
        "Explorer": [hl.explore(drawn), hl.explore(fits["crossed"]), hl.explore(small)],
        "Finding": list(findings()),
        "SearchComparison": [
            hl.compare_searches(small, starts=2, seed=1),
            results.SearchComparison(
                pd.DataFrame(
                    {"log_likelihood": 0.0, "difference": numbers["a"], "moved": numbers["b"].abs(), "verdict": "lower"}
                ),
                numbers.T,
                1,
                interrupted=True,
            ),
        ],
        "Fit": [*fits.values(), results.Fit(drawn.model, drawn.data, replace(drawn.diagnostics, findings=findings()))],
        "IgnoringClusters": [
            hl.ignoring_clusters(small, replicates=5, seed=1),
            replace(hl.ignoring_clusters(fits["wide, drawn"], replicates=0), interrupted=True, findings=findings()),
        ],
        "Influence": [influence],
        "LeagueTable": [
            hl.league_table(drawn, num_draws=10),
            hl.league_table(small, target={"odds_ratio": 1.2}),
            hl.league_table(fits["crossed"], "reader", at={"<b>dose</b>": 1}, others="average"),
        ],
        "PooledEstimate": [pooled.estimate],
        "PooledFit": [pooled, hl.pool([drawn, drawn])],
        "Pooling": [hl.pooling(drawn, num_draws=10)],
        "Power": [
            power,
            replace(
                power,
                table=pd.concat([power.table.assign(parameter=f"arm[{SCRIPT}]")] * 99),
                failures={(0, k): f"{SCRIPT} {k % 9}" for k in range(99)},
            ),
        ],
        "ResultTable": [
            *(hl.summary(fit) for fit in fits.values()),
            hl.odds_ratios(fits["wide"]),
            hl.odds_ratios(fits["wide, drawn"], ci_kind="hdi"),
            hl.ranef(drawn),
            hl.variance_components(fits["crossed"]),
            hl.compare({"one": smaller, "two": small}),
            hl.compare_engines(smaller.model, {f"engine {k}": hl.Laplace(seed=k) for k in range(4)}),
            hl.check_quadrature(small),
            hl.test_terms(small, "bootstrap", replicates=3, seed=1, adjust="holm"),
            hl.summary(pooled),
            hl.test_terms(pooled),
            hl.test_slopes(fits["crossed"], replicates=50, seed=1),
            boot.summary(),
        ],
        "Validation": [
            hl.validate(small),
            hl.validate(small, folds=2, clusters="typical", least_events=1, seed=1),
            replace(hl.validate(smaller, pd.Series(rows(10, 6)["<i>clinic</i>"])), failures={SCRIPT: f"no {SCRIPT}"}),
        ],
        "RatioTest": [
            ratio,
            replace(ratio, simulated=np.arange(500.0), failures={3: "FitError: no maximum."}, interrupted=True),
        ],
        "ShardedModel": [sharded],
        "ShardedFit": [sharded.fit("laplace")],
        "ShardedPosterior": [sharded.fit(hl.ImportanceSampling(draws=100, nodes=3, seed=1))],
        "others": [
            layout,
            shards,
            hl.NUTS(),
            hl.NUTS(draws=2000, seed=7, store="a/folder/" * 20),
            hl.Laplace(),
            hl.AGQ(nodes=7),
            hl.MAP(),
            hl.ImportanceSampling(nodes=9),
            *(family() for family in (hl.priors.Normal, hl.priors.Exponential, hl.priors.Decov, hl.priors.LKJ)),
            hl.priors.StudentT(4, 0, 1 / 3),
            *(hl.datasets.describe(name) for name in hl.datasets.list()["name"]),
            large.model.arrangement,
            large.model.design.training_rows(),
        ],
    }


def _attribute(value: Any, name: str) -> Any:
    """An attribute; None where it is refused, as the likelihood of pooled estimates is."""
    try:
        return getattr(value, name)
    except FitError:
        return None


def reached(value: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """The objects of this package that public attributes lead to, each once."""
    if id(value) in seen or isinstance(value, DeferredMeasures):  # whose values would be computed
        return
    seen[id(value)] = value
    if isinstance(value, Mapping):
        parts: Any = list(value.values())[:50]
    elif isinstance(value, (tuple, list)) and not type(value).__module__.startswith("hierlogit"):
        parts = list(value)[:50]
    elif type(value).__module__.startswith("hierlogit") and not inspect.isroutine(value):
        yield value
        if isinstance(value, (pd.DataFrame, tuple, results.Explorer)):  # a widget has traits of its own
            return
        # The data and draws of a fit are xarray's, and are made when they are read.
        names = [name for name in dir(type(value)) if not name.startswith("_") and name not in ("data", "posterior")]
        names += [field.name for field in fields(value)] if is_dataclass(value) else list(vars(value))
        parts = [_attribute(value, name) for name in dict.fromkeys(names) if not name.startswith("_")]
    else:
        return
    for part in parts:
        yield from reached(part, seen)


# ---- expectations ----------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Checks HTML, and counts the lines that are seen while folds are closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen = 0
        self.tabular = False
        self.row = self.widest = 0
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert tag not in ("script", "style", "link", "img", "iframe", "b", "i"), tag
        assert not {"src", "href", "onclick", "onload"} & set(attributes), attributes
        assert "url(" not in (attributes.get("style") or "")
        if tag == "th":
            assert attributes.get("scope") in ("row", "col", "colgroup")
        folded = self.open.count("details")
        if tag in LINES and (not folded or (tag == "summary" and folded == 1)):
            self.seen += 1
        if tag == "tr":
            self.row = 0
        self.tabular |= tag == "thead"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "tr" and self.tabular and "details" not in self.open:
            self.widest = max(self.widest, self.row)
        self.tabular &= tag != "table"

    def handle_data(self, data: str) -> None:
        self.row += len(data)


def judge(value: Any) -> None:
    """Fail unless text and HTML fit on a screen, and are for eyes."""
    what = type(value).__name__
    text = repr(value)
    lines = text.splitlines()
    assert 0 < len(lines) <= HEIGHT, f"{what} takes {len(lines)} lines:\n{text}"
    assert max(map(len, lines)) <= WIDTH, f"{what} takes {max(map(len, lines))} characters:\n{text}"
    assert not lines[0].startswith(" ") or what in ("DrawTable", "Paragraph"), text
    html = value._repr_html_()
    for shown in (text, re.sub("<pre>.*</pre>", "", html, flags=re.DOTALL)):  # but for the program of an explanation
        wall = re.search(r"array\(|dtype| at 0x|mappingproxy|(\b|Range|Multi)Index\(|Timestamp\(|\bnan\b", shown)
        assert wall is None, f"{what} shows {wall[0] if wall else None}:\n{shown}"
    page = Page(html)
    assert page.seen <= HEIGHT, f"{what} shows {page.seen} lines:\n{html}"
    assert page.widest <= PAGE, f"{what} has a row of {page.widest} characters:\n{html}"


def named(stub: str) -> set[str]:
    """Classes that a stub makes public."""
    body = ast.parse((PACKAGE / stub).read_text(encoding="utf-8")).body
    names = [alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return {name for name in names if name[0].isupper()}


RESULTS = sorted(named("results.pyi"))


# ---- tests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*RESULTS, *sorted(named("__init__.pyi"))])
def test_every_public_class_has_a_repr_of_its_own(name: str) -> None:
    value = getattr(results, name, None) or getattr(hl, name)
    own = next(base for base in value.__mro__ if "__repr__" in vars(base))
    assert own.__module__.startswith("hierlogit")
    # What dataclasses make is wrapped against recursion.
    assert not hasattr(value.__repr__, "__wrapped__")
    assert next(base for base in value.__mro__ if "_repr_html_" in vars(base)).__module__.startswith("hierlogit")


def test_every_class_of_results_has_examples(examples: dict[str, list[Any]]) -> None:
    assert set(examples) - {"others"} == set(RESULTS)
    for name in RESULTS:
        assert all(isinstance(one, getattr(results, name)) for one in examples[name])


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_shown_on_one_screen(name: str, examples: dict[str, list[Any]]) -> None:
    for value in examples[name]:
        judge(value)


def test_whatever_attributes_lead_to_is_shown_on_one_screen(examples: dict[str, list[Any]]) -> None:
    seen: dict[int, Any] = {}
    kinds = set()
    for value in [one for many in examples.values() for one in many]:
        for found in reached(value, seen):
            kinds.add(type(found).__name__)
            judge(found)
    known = {"Model", "ModelSpec", "Design", "GroupBlock", "Outcome", "Formula", "Response", "RandomTerm", "NameUse"}
    known |= {"Priors", "Normal", "LKJ", "TrainingTable", "Arrangement", "RowIndex", "EncodedRows", "GroupRows"}
    known |= {"Interval", "Paragraph", "FindingKind", "Layout", "NUTS", "Dataset"}
    assert kinds >= known | set(RESULTS)


def test_showing_a_likelihood_fit_draws_nothing_and_computes_no_k_hat(fits: dict[str, results.Fit]) -> None:
    fit = fits["large"]
    assert len(fit.model.design.groups[0].levels) == CLUSTERS
    judge(fit)
    judge(fit.diagnostics)
    assert "data" not in vars(fit)
    measures = fit.diagnostics.measures
    assert isinstance(measures, DeferredMeasures)
    assert "pareto_k" in measures
    assert "pareto_k" not in measures.computed
    assert "pareto_k: computed when first read" in " ".join(repr(fit).split())


def test_measures_are_computed_once_and_leave_as_numbers() -> None:
    calls = []
    measures = DeferredMeasures({"evaluations": 3.0}, {"pareto_k": lambda: calls.append(1) or 0.5})  # type: ignore[func-returns-value]
    assert list(measures) == ["evaluations", "pareto_k"]
    assert len(measures) == 2
    assert "pareto_k" in repr(measures)
    assert calls == []
    assert pickle.loads(pickle.dumps(measures)) == {"evaluations": 3.0, "pareto_k": 0.5} == measures
    assert measures["pareto_k"] == 0.5
    assert calls == [1]
    assert repr(measures) == "{'evaluations': 3.0, 'pareto_k': 0.5}"
    with pytest.raises(KeyError):
        measures["max_rhat"]


def test_an_estimate_shows_the_numbers_of_its_summary(fits: dict[str, results.Fit]) -> None:
    for name in ("large", "wide", "counts", "quadrature"):
        fit = fits[name]
        assert fit.estimate is not None
        shown = [" ".join(line.split()) for line in repr(fit.estimate).splitlines()]
        table = hl.summary(fit)
        columns = ["estimate", "se"] + ([] if fit.estimate.penalised else ["z", "p_value"])
        for label in [*table.index[:5], *table.index[-1:]]:
            fixed = table.loc[label, "component"] == "fixed"
            values = [plain(cell(key, float(table.loc[label, key]))) for key in (columns if fixed else columns[:2])]
            assert any(line.endswith(" ".join(values)) for line in shown), (label, values)
        assert f"{fit.estimate.aic:,.2f}" in shown[1] + shown[2]
        assert f"with {fit.estimate.n_parameters} parameters and {fit.estimate.n_rows:,} rows" in shown[1] + shown[2]


def test_an_estimate_at_a_boundary_says_so(fits: dict[str, results.Fit]) -> None:
    estimate = fits["quadrature"].estimate
    assert estimate is not None
    (group,) = estimate.cholesky
    covariance = np.diag([estimate.covariance[0, 0], 0.0])
    singular = replace(estimate, cholesky={group: np.zeros((1, 1))}, covariance=covariance, boundary=("sd[x] = 0",))
    judge(singular)
    assert "boundary        sd[x] = 0" in repr(singular)
    assert repr(singular).splitlines()[-1].split()[-2:] == ["0", "-"]
    lost = replace(estimate, covariance=np.full((2, 2), np.nan))
    judge(lost)
    assert np.isnan(lost.p_values).all()


def test_fits_name_engine_status_and_method(fits: dict[str, results.Fit]) -> None:
    titles = {name: repr(fit).splitlines()[0] for name, fit in fits.items()}
    assert titles["large"].startswith("Fit by Laplace: check, ")
    assert titles["quadrature"].startswith("Fit by AGQ (quadrature with 5 nodes): ")
    assert titles["wide"].startswith("Fit by MAP (Laplace): ")
    assert titles["crossed"].startswith("Fit by NUTS: 2 chains of 30 draws, converged, ")
    assert "<summary>Priors</summary>" in fits["crossed"]._repr_html_()
    assert "Priors" not in fits["large"]._repr_html_()


def test_a_table_of_draws_is_rounded_for_eyes_only(examples: dict[str, list[Any]]) -> None:
    table = examples["DrawTable"][0]
    assert table["mean"].iloc[0] != round(table["mean"].iloc[0], 6)
    assert plain(cell("mean", table["mean"].iloc[0])) in repr(table).splitlines()[2]
    assert f"… and {len(table) - 10:,} more" in repr(table)
    assert repr(table).startswith("Probability of healed = 'yes'; 89% equal-tailed interval\n")
    assert "95.5% equal-tailed" in repr(examples["DrawTable"][3])


def test_engines_show_what_differs_from_their_defaults() -> None:
    assert repr(hl.NUTS()) == "NUTS()"
    assert repr(hl.NUTS(draws=2000, seed=7)) == "NUTS(draws=2000, seed=7)"
    assert repr(hl.AGQ(nodes=7)) == "AGQ(nodes=7)"
    assert repr(hl.ImportanceSampling(seed=3)) == "ImportanceSampling(seed=3)"
    assert "backend" in hl.NUTS()._repr_html_()


def test_a_screen_is_shared_out_among_parts() -> None:
    facts = Facts(tuple((f"fact {k}", "word " * 300) for k in range(90)), "facts", ".facts")
    sentences = Sentences(tuple("word " * 90 for _ in range(90)), ".sentences")
    columns = (Column("who", tuple("ab" * 400), number=False, label=True), Column("n", tuple("12" * 400)))
    view = View("Title " * 40, (facts, sentences, Table(columns, 800, ".table", head=800)))
    lines = view.text().splitlines()
    assert len(lines) <= HEIGHT
    assert max(map(len, lines)) <= WIDTH
    for where in (".facts", ".sentences", ".table"):
        assert f"more in {where}" in view.text()
        assert f"more in {where}</summary>" in view.html()
    assert Page(view.html()).seen <= HEIGHT


def test_a_wide_table_keeps_its_first_and_its_needed_columns() -> None:
    names = [f"column_{k:02}" for k in range(30)]
    frame = pd.DataFrame(np.full((3, 30), 0.5), columns=names)
    table = Table.of(frame, spare=names[:25])
    lines = View("", (table,)).text().splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert all(name in lines[0] for name in names[25:])
    assert "  columns not shown: column_01, column_02" in "\n".join(lines)
    assert all(name in View("", (table,)).html() for name in names)


def test_numbers_stand_below_each_other_by_their_points() -> None:
    cells = Column("mean", ("−1.065", "0.00307", "12", "–", "< 0.001")).aligned
    assert cells == ["   mean", " -1.065  ".rstrip(), ""] or len(set(map(len, cells))) == 1
    points = {text.index(".") for text in cells if "." in text and "<" not in text}
    assert len(points) == 1
