"""The user's door: an immutable value that shows everything it holds, and survives a trip through pickle."""

import copy
import inspect
import linecache
import pickle
import re
import warnings
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import DataWarning, DesignError, EngineError, FormulaError, HierlogitError, PriorError
from hierlogit.foreign_options import INSTEAD, refuse_options
from hierlogit.priors import HalfNormal, Normal
from hierlogit.priors.defaults import default_priors

N = 40


def table(**columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(13)
    frame = pd.DataFrame(
        {
            "y": rng.integers(0, 2, N),
            "s": rng.integers(0, 3, N),
            "x": rng.normal(size=N),
            "t": rng.choice(["a", "b"], N),
            "g": rng.permutation(np.arange(N) % 7),
            "h": rng.choice(["p", "q", "r"], N),
        }
    )
    return frame.assign(**columns)


def triple(x: Any) -> Any:
    return 3 * x


def assert_equal_models(one: hl.Model, other: hl.Model) -> None:
    assert repr(one) == repr(other)
    assert one.formula == other.formula
    assert one.priors == other.priors
    left, right = one.design, other.design
    np.testing.assert_array_equal(left.X, right.X)
    np.testing.assert_array_equal(left.offset, right.offset)
    np.testing.assert_array_equal(left.outcome.y, right.outcome.y)
    np.testing.assert_array_equal(left.outcome.trials, right.outcome.trials)
    assert left.fixed_effects == right.fixed_effects
    assert left.table.rows.equals(right.table.rows)
    assert left.table.n_missing == right.table.n_missing
    assert left.table.missing_by_column == right.table.missing_by_column
    assert left.table.unused_levels == right.table.unused_levels
    for a, b in zip(left.groups, right.groups, strict=True):
        assert (a.name, a.effects, a.sets) == (b.name, b.effects, b.sets)
        assert a.levels.tolist() == b.levels.tolist()
        np.testing.assert_array_equal(a.index, b.index)
        np.testing.assert_array_equal(a.Z, b.Z)


# ---- a value -----------------------------------------------------------------------------------------------------


def test_models_are_immutable() -> None:
    model = hl.Model("y ~ x + (1 | g)", table())
    for name in ("formula", "design", "priors", "namespace", "new"):
        with pytest.raises(AttributeError, match=f"immutable: make a new one instead of setting '{name}'"):
            setattr(model, name, None)
    with pytest.raises(TypeError):
        model.namespace["f"] = triple  # type: ignore[index]


def test_other_priors_make_another_model_of_the_same_design() -> None:
    model = hl.Model("y ~ x + (1 | g)", table(), priors={"x": Normal(0, 9)})
    other = model.with_priors({"sd": HalfNormal(1)})
    assert other.design is model.design
    assert other.priors.sd["g"] == (HalfNormal(1),)
    assert other.priors.fixed == model.priors.fixed  # what is not named stays
    assert model.priors.fixed["x"] == Normal(0, 9)
    assert model.priors.sd == default_priors(model.design).sd


@pytest.mark.parametrize("copied", [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy])
def test_copies_are_equal(copied: Any) -> None:
    frame = table(
        t=pd.Categorical(table()["t"], ["b", "unused", "a"]),
        g=table()["g"].astype("Int64"),
        n=table()["s"] + 1,
        w=np.linspace(0, 1, N) ** 2,
    )
    frame.index = [f"row {i}" for i in range(N)]
    frame.loc["row 3", "x"] = None
    frame.loc["row 5", "g"] = None
    with pytest.warns(DataWarning):
        model = hl.Model(
            "p(s, n) ~ bs(w, df=4) + scale(triple(x)):t + offset(log(n)) + (1 + x | g) + (0 + t || h) + (1 | g:h)",
            frame,
            priors={"sd_g": HalfNormal(2), "beta": Normal(0, 3)},
            namespace={"triple": triple},
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = copied(model)
    assert_equal_models(model, other)
    new = frame.drop(index=["row 3", "row 5"])
    np.testing.assert_array_equal(other.design.encode(new).X, model.design.encode(new).X)


@pytest.mark.parametrize(
    ("formula", "error"),
    [
        ("y ~ x + (1 | g", FormulaError),
        ("y ~ xx", FormulaError),
        ("x ~ y", DesignError),
    ],
)
def test_errors_survive_pickle(formula: str, error: type[HierlogitError]) -> None:
    with pytest.raises(error) as caught:
        hl.Model(formula, table())
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value)
    assert str(again) == str(caught.value)


# ---- warnings and errors -----------------------------------------------------------------------------------------


def test_the_warning_points_to_the_users_line() -> None:
    frame = table()
    frame.loc[0, "x"] = None
    with pytest.warns(DataWarning) as caught:
        hl.Model("y ~ x + (1 | g)", frame)  # this line
    assert caught[0].filename == __file__
    assert linecache.getline(__file__, caught[0].lineno).endswith("# this line\n")


def test_missing_rows_are_shown_or_refused() -> None:
    frame = table()
    frame.loc[:1, "x"] = None
    frame.loc[7, "t"] = None
    with pytest.warns(DataWarning):
        model = hl.Model("y ~ x + t", frame)
    assert "rows      37 (3 more dropped for missing values: x 2, t 1)" in repr(model)
    with pytest.raises(DesignError, match="3 of 40 rows have missing values in x"):
        hl.Model("y ~ x + t", frame, missing="error")


def test_problems_are_told_at_once() -> None:
    with pytest.raises(PriorError, match="no parameter 'z'"):
        hl.Model("y ~ x", table(), priors={"z": Normal(0, 1)})
    with pytest.raises(EngineError, match="'nutts'"):
        hl.Model("y ~ x", table()).fit("nutts")


# ---- what it shows -----------------------------------------------------------------------------------------------


def test_the_text_shows_formula_event_rows_clusters_and_every_prior() -> None:
    women = hl.datasets.load("contraception")
    shown = repr(hl.Model("use ~ age + urban + (1 + urban | district)", women))
    lines = [line.strip() for line in shown.splitlines()]
    assert lines[:6] == [
        "Mixed-effects logistic regression",
        "formula   use ~ age + urban + (1 + urban | district)",
        "event     use = 1: 759 of 1,934 rows",
        "rows      1,934",
        "clusters  district: 60, of 2 to 118 rows (median 26); varying {Intercept, urban[Y]} correlated",
        "priors",
    ]
    assert [re.split(r"\s{2,}", line)[0] for line in lines[6:]] == [
        "Intercept (at the predictors' means)",
        "age",
        "urban[Y]",
        "sd_district[Intercept]",
        "sd_district[urban[Y]]",
        "cor_district",
    ]
    assert lines[6].endswith("Normal(mu=0, sigma=2.5)")


def test_counts_and_independent_effects() -> None:
    shown = repr(hl.Model("p(s, 4) ~ 0 + x + (1 + x || g)", table()))
    assert f"event     s of 4: {table()['s'].sum()} of 160 trials" in shown
    assert "varying Intercept, x" in shown
    assert "at the predictors' means" not in shown
    assert repr(hl.Model("y ~ x", table())).startswith("Logistic regression\n")


class _Texts(HTMLParser):
    """The texts of a page and its tags, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_html_shows_the_same_and_is_escaped() -> None:
    frame = table().rename(columns={"g": "<b>&g"}).assign(t=np.where(table()["t"] == "a", "<script>", "x & y"))
    model = hl.Model("y ~ x + t + (1 + x | `<b>&g`)", frame)
    html = model._repr_html_()
    page = _Texts()
    page.feed(html)
    assert page.open == []
    assert "<script>" not in html
    assert "<b>" not in html
    text = " ".join(page.texts)
    for word in (
        "y ~ x + t + (1 + x | `<b>&g`)",
        "t[x & y]",
        "sd_<b>&g[Intercept]",
        "cor_<b>&g",
        "LKJ(eta=2)",
        "y = 1",
    ):
        assert word in text
    for label, prior in model.priors.table(model.design):
        assert prior in text
        assert label in text


# ---- names in results --------------------------------------------------------------------------------------------


def test_coords_have_a_label_for_everything() -> None:
    frame = table()
    frame.index = list(range(100, 100 + N))
    coords = hl.Model("y ~ x + t + (1 + x | g) + (1 | g:h)", frame).coords
    assert list(coords["fixed_effect"]) == ["Intercept", "x", "t[b]"]
    assert list(coords["obs"]) == list(range(100, 100 + N))
    assert list(coords["g"]) == list(range(7))
    assert list(coords["g_effect"]) == list(coords["g_effect_bis"]) == ["Intercept", "x"]
    assert list(coords["g:h_effect"]) == ["Intercept"]
    assert "g:h_effect_bis" not in coords


@pytest.mark.parametrize("name", ["obs", "chain", "draw", "sample", "beta", "fixed_effect", "h_effect", "b_h", "a/b"])
def test_clusters_named_like_something_else_get_a_dimension_of_their_own(name: str) -> None:
    frame = table().rename(columns={"g": name})
    model = hl.Model(f"y ~ x + (1 + x | `{name}`) + (1 + x | h)", frame)
    coords = model.coords
    dims = [model.dim(group) for group in model.design.groups]
    assert len(set(dims)) == 2
    assert [len(coords[dim]) for dim in dims] == [7, 3]
    assert len(coords["obs"]) == N
    assert len(coords["fixed_effect"]) == 2
    assert len(coords["h_effect"]) == 2
    assert not any("/" in dim for dim in coords)
    assert set(dims).isdisjoint({"chain", "draw", "sample", "beta"})


def test_an_outcome_named_like_a_dimension() -> None:
    model = hl.Model("obs ~ x + (1 | g)", table().rename(columns={"y": "obs"}))
    assert model.outcome_name == "outcome"
    assert hl.Model("`a/b` ~ x", table().rename(columns={"y": "a/b"})).outcome_name == "a|b"


def test_a_factor_named_like_a_dimension_of_some_effects() -> None:
    frame = table().rename(columns={"h": "g_effect_1_bis"})
    model = hl.Model("y ~ x + (1 | g_effect_1_bis) + (1 | g) + (0 + x + w | g)", frame.assign(w=frame["x"] ** 2))
    coords = model.to_pymc().coords
    assert list(coords["g_effect_1_bis"]) == ["x", "w"]
    assert len(coords[model.dim(model.design.groups[0])]) == len(model.design.groups[0].levels)


def test_an_outcome_and_a_factor_have_different_names() -> None:
    model = hl.Model("y ~ x + (1 | g)", table())
    assert model.outcome_name == "y"
    same = hl.Model("p(`s/t`, 9) ~ x + (1 | `s|t`)", table().rename(columns={"s": "s/t", "g": "s|t"}))
    assert same.dim(same.design.groups[0]) != same.outcome_name


@pytest.mark.parametrize("name", ["sd_g", "slopes_scaled", "b_g", "trials", "g_effect", "tau_g_0", "sd_g[Intercept]"])
def test_an_outcome_of_a_taken_name_is_called_outcome(name: str) -> None:
    rows = {name: [0, 1, 1, 0], "x": [1.0, 2.0, 4.0, 3.0], "g": [1, 1, 2, 2]}
    model = hl.Model(f"`{name}` ~ x + (1 | g)", rows, priors={"sd_g": hl.priors.Decov()})
    assert model.outcome_name == "outcome"
    assert "outcome" in model.to_pymc().named_vars


@pytest.mark.parametrize("text", [None, 3, b"y ~ x"])
def test_a_formula_is_text(text: object) -> None:
    with pytest.raises(hl.errors.FormulaError, match="a formula is text"):
        hl.Model(text, {"y": [0, 1]})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"link": "logit"},
            "has no option 'link'. Every model has a logit link",
        ),
        ({"nAGQ": 9}, r"has no option 'nAGQ'. The engine integrates .* model.fit\(hl.AGQ\(nodes=9\)\)"),
        ({"method": "REML"}, "has no option 'method'. A model is fitted by an engine: model.fit"),
        ({"draws": 500}, r"has no option 'draws'. .* model.fit\(hl.NUTS\(draws=500\)\)"),
        ({"prior": {}}, "has no option 'prior'. Priors are given by parameter: priors={'age': hl.priors.Normal"),
        ({"mising": "drop"}, "has no option 'mising'; choose one of .*'missing'.* Did you mean 'missing'"),
    ],
)
def test_options_of_other_packages_are_refused_with_what_to_write(options: dict[str, object], said: str) -> None:
    with pytest.raises(hl.errors.ModelError, match=f"hl.Model {said}"):
        hl.Model("y ~ x + (1 | g)", table(), **options)


def test_options_of_an_engine_belong_to_the_engine() -> None:
    model = hl.Model("y ~ x + (1 | g)", table())
    with pytest.raises(hl.errors.ModelError, match=r"model.fit has no option 'chains'. .*hl.NUTS\(chains=2\)"):
        model.fit("nuts", chains=2)
    with pytest.raises(hl.errors.ModelError, match="model.fit has no option 'colour'; the only choice is 'engine'"):
        model.fit(colour=1)


@pytest.mark.parametrize("name", INSTEAD)
def test_every_option_of_another_package_has_a_sentence(name: str) -> None:
    with pytest.raises(hl.errors.ModelError, match=f"'{name}'. .*[.]$"):
        refuse_options("hl.Model", {name: 3}, [])
    assert name not in inspect.signature(hl.Model).parameters
