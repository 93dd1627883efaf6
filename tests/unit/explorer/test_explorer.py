"""The sliders: what they show is what the functions of the package compute, in Python and in the browser."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

import hierlogit as hl
from hierlogit.errors import FitError, PackageError, PredictionError
from hierlogit.explorer.from_fit import MOST_ROWS, slider_model
from hierlogit.explorer.page import asset, place
from hierlogit.explorer.slider_model import Position

#: Formulas with their data, by what is special about them.
MODELS = {
    "intercept": ("use ~ age + (1 | district)", "contraception"),
    "slope": ("use ~ age + urban + (1 + urban | district)", "contraception"),
    "numeric slope": ("use ~ age + (1 + age | district)", "contraception"),
    "no predictor": ("r2 ~ 1 + (1 | id) + (1 | item)", "verbagg"),
    "counts": ("p(successes, size) ~ period + (1 | herd)", "cbpp"),
}


@pytest.fixture(scope="module")
def fits() -> dict[str, hl.results.Fit]:
    return {
        name: hl.Model(formula, hl.datasets.load(data)).fit(hl.Laplace(draws=100, seed=1))
        for name, (formula, data) in MODELS.items()
    }


def with_clusters(fit: hl.results.Fit, group: str, position: Position) -> hl.results.Fit:
    """The fit as if it had been sampled, with all draws at its maximum but for the sds and correlation of a factor."""
    estimate = fit.estimate
    assert estimate is not None
    posterior = fit.posterior
    fixed = {"beta": xr.full_like(posterior["beta"], 0) + estimate.beta}
    for other in fit.model.design.groups:
        sd = np.linalg.norm(estimate.cholesky[other.name], axis=1)
        fixed[f"sd_{other.name}"] = xr.full_like(posterior[f"sd_{other.name}"], 0) + sd
    sds = [position.sd, position.sd_slope][: posterior.sizes[f"{group}_effect"]]
    fixed[f"sd_{group}"] = xr.full_like(posterior[f"sd_{group}"], 0) + np.array(sds)
    if len(sds) == 2:
        r = position.correlation
        fixed[f"cor_{group}"] = xr.full_like(posterior[f"cor_{group}"], 0) + np.array([[1, r], [r, 1]])
    tree = xr.DataTree.from_dict({"posterior": posterior.assign(fixed)})
    return hl.results.Fit(fit.model, tree, fit.diagnostics)


@pytest.mark.parametrize("name", ["intercept", "slope", "numeric slope", "counts"])
def test_the_start_is_the_fit(fits: dict[str, hl.results.Fit], name: str) -> None:
    fit = fits[name]
    sliders, components = hl.explore(fit), hl.variance_components(fit).reset_index()
    assert [sliders.sd, *([sliders.sd_slope] if "slope" in name else [])] == pytest.approx(
        components[components["quantity"] == "sd"]["estimate"].to_list()
    )
    assert sliders.icc == pytest.approx(hl.icc(fit)["estimate"].iloc[0])
    assert sliders.mor == pytest.approx(hl.mor(fit)["estimate"].iloc[0])
    averages = hl.predictions(fit, clusters="average")["estimate"]
    weights = fit.model.design.outcome.trials
    assert sliders.mean == pytest.approx(np.average(averages, weights=weights), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("intercept", {"sd": 1.7}),
        ("slope", {"sd": 1.1, "sd_slope": 1.6, "correlation": -0.5}),
        ("numeric slope", {"sd": 0.4, "sd_slope": 0.15, "correlation": 0.3}),
    ],
)
def test_results_are_those_of_the_verbs_at_the_position(
    fits: dict[str, hl.results.Fit], name: str, moved: dict[str, float]
) -> None:
    sliders = hl.explore(fits[name])
    before = sliders.icc
    for slider, value in moved.items():
        setattr(sliders, slider, value)
    assert sliders.icc != before
    changed = with_clusters(fits[name], "district", sliders._position)
    assert sliders.icc == pytest.approx(hl.icc(changed)["mean"].iloc[0])
    assert sliders.mor == pytest.approx(hl.mor(changed)["mean"].iloc[0])
    term = {"intercept": "age", "slope": "urban[Y]", "numeric slope": "age"}[name]
    assert sliders.setup["focus"] == ("" if name == "intercept" else term)
    # Rows that are nearly alike stand for each other.
    assert sliders.ratio == pytest.approx(hl.conditional_vs_average(changed).loc[term, ("ratio", "median")], rel=3e-3)


def test_other_factors_count_in_the_variance(fits: dict[str, hl.results.Fit]) -> None:
    fit = fits["no predictor"]
    sliders = hl.explore(fit, group="item")
    sliders.sd = 0.5
    changed = with_clusters(fit, "item", sliders._position)
    shares = hl.icc(changed).set_index("group")["mean"]
    assert sliders.icc == pytest.approx(shares["item"])
    assert sliders.ratio is None
    average = hl.predictions(changed, hl.datagrid(changed), clusters="average")["mean"].iloc[0]
    assert sliders.mean == pytest.approx(average)


def test_an_average_cluster_is_estimated_by_its_posterior(fits: dict[str, hl.results.Fit]) -> None:
    sliders = hl.explore(fits["intercept"])
    sliders.sd, sliders.size = 1.3, 5
    z, weight = np.polynomial.hermite_e.hermegauss(120)
    p = expit(slider_model(fits["intercept"]).level + 1.3 * z)
    expected = [float((weight * like * p).sum() / (weight * like).sum()) for like in ((1 - p) ** 5, p**5)]
    assert [sliders.lowest, sliders.highest] == pytest.approx(expected, rel=1e-6)


def test_rows_are_replaced_by_few_with_the_same_means(fits: dict[str, hl.results.Fit]) -> None:
    model, design = slider_model(fits["slope"]), fits["slope"].model.design
    assert len(model.weights) <= MOST_ROWS < design.n_rows
    assert model.weights.sum() == pytest.approx(design.outcome.trials.sum())
    X, estimate = design.X, fits["slope"].estimate
    assert estimate is not None
    assert model.level == pytest.approx(float(np.mean(X @ estimate.beta)))


def test_a_slope_far_from_zero_is_taken_at_its_mean(fits: dict[str, hl.results.Fit]) -> None:
    rows = hl.datasets.load("contraception").assign(year=lambda frame: frame["age"] + 30)
    fit = hl.Model("use ~ year + (1 + year | district)", rows).fit(hl.Laplace(draws=100, seed=1))
    sliders, centred = hl.explore(fit), hl.explore(fits["numeric slope"])
    assert "Intercept at year = 30.0" in sliders.setup["sliders"][0]["label"]
    # The column `age` is centred already.
    for name in ("sd", "sd_slope", "correlation", "icc", "ratio"):
        assert getattr(sliders, name) == pytest.approx(getattr(centred, name), rel=2e-2), name


def test_a_sampled_fit_starts_at_its_means(make_fit: Callable[..., Any], clustered_rows: Any) -> None:
    fit = make_fit("healed ~ dose + arm + (1 + arm | clinic)", clustered_rows(12, 15))
    sliders = hl.explore(fit)
    assert sliders.sd == pytest.approx(float(fit.posterior["sd_clinic"].mean(("chain", "draw"))[0]))
    assert sliders.icc == pytest.approx(hl.icc(fit)["mean"].iloc[0], abs=0.1)


@pytest.mark.parametrize(
    ("name", "value"), [("sd", -0.1), ("sd", "1"), ("sd_slope", 99), ("correlation", 1.1), ("size", 0), ("size", 2.5)]
)
def test_positions_out_of_range_are_refused(fits: dict[str, hl.results.Fit], name: str, value: Any) -> None:
    sliders = hl.explore(fits["slope"])
    before = getattr(sliders, name)
    with pytest.raises(PredictionError, match=name):
        setattr(sliders, name, value)
    assert getattr(sliders, name) == before


def test_a_median_odds_ratio_beyond_floating_point_numbers_is_left_out(fits: dict[str, hl.results.Fit]) -> None:
    sliders = hl.explore(fits["slope"])
    far = replace(sliders._sliders.start, sd=1000.0)
    assert sliders._sliders.results(far)["mor"] is None
    sliders.set_trait("mor", None)
    assert "median odds ratio -" in " ".join(repr(sliders).split())


def test_errors(fits: dict[str, hl.results.Fit], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PredictionError, match=r"Intercept is the only effect that varies.*random slope"):
        hl.explore(fits["intercept"]).sd_slope = 1.0
    with pytest.raises(PredictionError, match="x: .*'agee'.*'age'"):
        hl.explore(fits["slope"], "agee")
    with pytest.raises(FitError, match="no grouping factor 'town'|'town'"):
        hl.explore(fits["slope"], group="town")
    single = hl.Model("use ~ age", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    with pytest.raises(FitError, match="no random effects"):
        hl.explore(single)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "hierlogit.explorer.widget")
    with pytest.raises(PackageError, match=r'pip install "hierlogit\[widgets\]"') as caught:
        hl.explore(fits["slope"])
    assert isinstance(caught.value, ImportError)


def test_a_page_without_widgets_has_a_table(fits: dict[str, hl.results.Fit]) -> None:
    sliders = hl.explore(fits["slope"])
    assert "ICC" in repr(sliders)
    assert "<table" in sliders._repr_html_()
    bundle = sliders._repr_mimebundle_()
    assert bundle is not None
    assert "application/vnd.jupyter.widget-view+json" in bundle[0]


# ---- in the browser -----------------------------------------------------------------------------------------------


def in_browser(page_after_scripts: Callable[[str], str], script: str, style: str = "") -> str:
    """The page after the module of the sliders and a script have run."""
    body = f'<body><script type="module">{asset("explorer.js")}\n{script}</script></body>'
    return page_after_scripts(f'<!doctype html><html><head><meta charset="utf-8">{style}</head>{body}</html>')


def written(done: str) -> Any:
    """What a script has written to the page as JSON."""
    (text,) = re.findall(r'<pre id="written">(.*?)</pre>', done, re.DOTALL)
    return json.loads(unescape(text))


WRITE = """
function write(value) {
  const place = document.createElement("pre");
  place.id = "written"; place.textContent = JSON.stringify(value); document.body.append(place);
}
"""
POSITIONS: list[Mapping[str, float]] = [
    {},
    {"sd": 0.0, "size": 1},
    {"sd": 1.5, "sd_slope": 0.3, "correlation": 0.9, "size": 100},
    {"sd": 4.0, "sd_slope": 0.4, "correlation": -1.0, "size": 7},
]


def test_the_script_computes_what_python_computes(
    fits: dict[str, hl.results.Fit], page_after_scripts: Callable[[str], str]
) -> None:
    cases, expected = [], []
    for fit in fits.values():
        model = slider_model(fit)
        for moved in POSITIONS:
            known = dict(zip(("sd", "sd_slope"), model.effects, strict=False))
            kept = {key: value for key, value in moved.items() if key in known or key == "size" or len(known) > 1}
            position = model.checked(**kept)
            cases.append([model.plain(), {**model.plain()["start"], **kept}])
            expected.append(model.results(position))
    script = f"{WRITE} write({json.dumps(cases)}.map(([data, at]) => results(data, at)));"
    found = written(in_browser(page_after_scripts, script))
    assert len(found) == len(expected) == len(MODELS) * len(POSITIONS)
    for one, other in zip(found, expected, strict=True):
        for name, value in other.items():
            assert one[name] == (None if value is None else pytest.approx(value, rel=1e-4)), name


#: A model such as notebooks give to a widget, which records what is set.
NOTEBOOK = """
const listeners = {}, sent = [];
const model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; sent.push([name, value]); },
  save_changes: () => sent.push("saved"),
  on: (event, call) => { listeners[event] = call; },
  off: (event) => { delete listeners[event]; },
};
const el = document.createElement("div");
document.body.append(el);
const remove = widget.render({ model, el });
const input = (name) => el.querySelector(`[data-name=${name}]`);
const move = (name, value) => { input(name).value = value; input(name).dispatchEvent(new Event("input")); };
const text = () => el.querySelector(".words").textContent;
"""


def test_the_widget_sends_what_is_moved_and_shows_what_is_set(
    fits: dict[str, hl.results.Fit], page_after_scripts: Callable[[str], str]
) -> None:
    sliders = hl.explore(fits["slope"])
    state = {name: getattr(sliders, name) for name in ("setup", "sd", "sd_slope", "correlation", "size")}
    steps = """
    const first = text();
    move("sd", 1.5); move("size", 5);
    const second = text(), moved = [...sent];
    state.correlation = 0.5; listeners["change:correlation"]();
    const third = text(), shown = [input("correlation").value, input("sd").value];
    const labels = [...el.querySelectorAll("input")].map((one) => one.labels.length);
    sent.length = 0; el.querySelector("button").click();
    const back = text(), reset = sent.filter((one) => one !== "saved");
    remove();
    write({ first, second, moved, third, shown, labels, back, reset, left: Object.keys(listeners).length });
    """
    module = asset("explorer.js").replace("export default {", "const widget = {")
    script = f"<script type='module'>{module}{WRITE}const state = {json.dumps(state)};{NOTEBOOK}{steps}</script>"
    found = written(page_after_scripts(f"<!doctype html><meta charset='utf-8'><body>{script}</body>"))
    assert found["moved"] == [["sd", 1.5], "saved", ["size", 5], "saved"]
    sliders.sd, sliders.size = 1.5, 5
    assert said(sliders) == numbers(found["second"]) != numbers(found["first"])
    sliders.correlation = 0.5
    assert said(sliders) == numbers(found["third"])
    assert found["shown"] == ["0.5", "1.5"]
    assert found["labels"] == [1, 1, 1, 1]
    assert found["back"] == found["first"]
    assert dict(found["reset"]) == pytest.approx({**sliders.setup["start"]})
    assert found["left"] == 0


def numbers(words: str) -> list[str]:
    """The results in the text below the drawings."""
    found = re.search(
        r"variance, ([\d.]+)% .* ratio is ([\d.]+)\. .* probability is ([\d.]+)%\. .* of ([\d.]+)%, one with "
        r"events only ([\d.]+)%\. .* is ([\d.]+) times",
        words,
    )
    assert found is not None, words
    return list(found.groups())


def said(sliders: Any) -> list[str]:
    """The results of the widget with the decimals of the text."""
    shares = {name: f"{100 * getattr(sliders, name):.1f}" for name in ("icc", "mean", "lowest", "highest")}
    return [
        shares["icc"], f"{sliders.mor:.2f}", shares["mean"], shares["lowest"], shares["highest"], f"{sliders.ratio:.2f}"
    ]  # fmt: skip


def test_labels_of_the_data_are_no_markup(page_after_scripts: Callable[[str], str], make_fit: Any) -> None:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"y": rng.integers(0, 2, 80), "g": np.repeat(list("abcd"), 20)})
    rows["arm"] = rng.choice(["</script><img src=x onerror=write(1)>", "b & c"], 80)
    model = slider_model(make_fit("y ~ arm + (1 | g)", rows))
    body = place(model)
    assert body.count("</script>") == 1
    script = f"<script type='module'>{asset('explorer.js')}{WRITE}mount(document.querySelector('.hierlogit-explorer'), "
    script += "JSON.parse(document.querySelector('script').textContent), {sd:1,sd_slope:0,correlation:0,size:3}, 0);"
    script += "write([...document.querySelectorAll('img')].length)</script>"
    done = page_after_scripts(f"<!doctype html><meta charset='utf-8'><body>{body}{script}</body>")
    assert written(done) == 0
    assert "&lt;/script&gt" in done
