"""What holds for every model: its list of variables, its PyMC graph, its program and its texts have the same ones."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierlogit import priors as pr
from hierlogit.density.joint.model_arrays import unknown_families
from hierlogit.density.variables import Variable, model_variables
from hierlogit.diagnostics.density import _Positions
from hierlogit.fits.posterior import posterior_layout
from hierlogit.model import Model
from hierlogit.translations.pymc_program import DATA_FILE, pymc_program
from hierlogit.translations.words import words

#: Column x is far from zero, as years are: models with random slopes of x warn that it should be centred.
pytestmark = pytest.mark.filterwarnings("ignore:'x' lies between:hierlogit.errors.DataWarning")

N = 40
#: Examples that are built as graphs of PyMC.
GRAPHS = 12 if settings.default.max_examples <= 100 else 200
OUTCOMES = ["y", "p(y, m)", "p(y, 6)", "cbind(y, m)"]
FIXED = ["1", "x", "x + z + f", "x * f", "z + offset(o)", "0 + x", "0 + f + z", "x + w_", "0", "0 + offset(o)"]
RANDOM = [
    "",
    "(1 | g)",
    "(0 + x | g)",
    "(1 + x | g)",
    "(1 + x || g)",
    "(1 + f || g)",
    "(0 + f | g)",
    "(1 + x + z | g)",
    "(1 + x | g) + (0 + f | g)",
    "(1 | g) + (0 + x + z | g)",
    "(1 | g/h)",
    "(1 + x | g/h)",
    "(1 | g) + (1 | h)",
    "(1 + x | g) + (0 + x + z | h) + (1 | h)",
    "(1 + z || g) + (1 + x + z | h)",
]
COEFFICIENTS = [pr.Normal(0.2, 2), pr.StudentT(4, 0, 1.5), pr.Cauchy(0, 1), pr.Laplace(0, 0.5)]
SDS = [pr.HalfNormal(1), pr.HalfStudentT(4, 2), pr.HalfCauchy(1), pr.Exponential(2), pr.Gamma(2, 3), pr.LogNormal(0, 1)]


def rows(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": np.r_[0, 1, rng.integers(0, 2, N - 2)],
            "m": rng.integers(2, 6, N),
            "x": rng.normal(2000, 10, N),
            "z": rng.normal(size=N),
            "w_": rng.normal(size=N).round(),
            "o": rng.normal(size=N),
            "f": rng.permutation(np.arange(N) % 3).astype(str),
            "g": rng.permutation(np.arange(N) % 5),
            "h": rng.permutation(np.arange(N) % 4).astype(str),
        }
    )


@dataclass(frozen=True)
class Case:
    """A model, and how to make it again."""

    how: str
    model: Model = field(repr=False)
    priors: dict[str, pr.Prior] = field(repr=False)

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(self.how)  # what Hypothesis shows of a case that fails


@st.composite
def cases(draw: st.DrawFn) -> Case:
    fixed, random = draw(st.sampled_from(FIXED)), draw(st.sampled_from(RANDOM))
    if not random and fixed.startswith("0") and "x" not in fixed and "f" not in fixed.replace("offset", ""):
        random = "(1 | g)"  # a model has something to estimate
    formula = f"{draw(st.sampled_from(OUTCOMES))} ~ {fixed}" + (f" + {random}" if random else "")
    model = Model(formula, rows(draw(st.integers(0, 30))))
    found: dict[str, pr.Prior] = {}
    for label in model.design.fixed_effects:
        if draw(st.booleans()):
            found[f"beta[{label}]"] = draw(st.sampled_from(COEFFICIENTS))
    for group in model.design.groups:
        joint = draw(st.integers(0, 2)) == 0
        if joint:
            found[f"sd_{group.name}"] = pr.Decov(1.5, 2.0, 0.7)
        for members in group.sets:
            for i in members:
                if draw(st.booleans()) and not (joint and len(members) > 1):
                    found[f"sd_{group.name}[{group.effects[i]}]"] = draw(st.sampled_from(SDS))
        if group.correlated and draw(st.booleans()):
            found[f"cor_{group.name}"] = pr.LKJ(3)
    return Case(f"Model({formula!r}, ..., priors={found})", model.with_priors(found), found)


def assert_same_variables(graph: pm.Model, model: Model) -> None:
    """The variables of a graph are those of the model's list: names, families, dimensions, shapes, labels."""
    variables = list(model_variables(model))
    kinds = {
        "free": ([one.name for one in graph.free_RVs], [one for one in variables if one.free]),
        "observed": ([one.name for one in graph.observed_RVs], [one for one in variables if one.observed]),
        "computed": (
            [one.name for one in graph.deterministics],
            [one for one in variables if not one.free and not one.observed],
        ),
    }
    for names, expected in kinds.values():
        assert sorted(names) == sorted(one.name for one in expected)
    for one in variables:
        assert graph.named_vars_to_dims.get(one.name, ()) == one.dims, one.name
        if not one.free and not one.observed:
            assert one.shape == tuple(len(graph.coords[dim]) for dim in one.dims), one.name
    shapes = graph.eval_rv_shapes()
    for one in variables:
        if one.free:
            assert shapes[one.name] == one.shape, one.name
            assert type(graph[one.name].owner.op).__name__.lower().lstrip("_") == f"{one.family.lower()}rv"
    # A dimension without labels, as that of no fixed effects, need not be there.
    labels = {dim: list(map(str, values)) for dim, values in model_variables(model).coords.items() if len(values)}
    found = {dim: list(map(str, values)) for dim, values in graph.coords.items() if len(values)}
    assert {**found, "obs": None} == {**labels, "obs": None}
    assert len(found["obs"]) == len(labels["obs"])


@settings(max_examples=GRAPHS)
@given(case=cases())
def test_the_graph_has_the_variables_of_the_list(case: Case) -> None:
    graph = case.model.to_pymc()
    assert_same_variables(graph, case.model)
    # In the order in which the sampler of PyMC draws random numbers for them.
    assert [one.name for one in graph.free_RVs] == [one.name for one in model_variables(case.model) if one.free]


@settings(max_examples=GRAPHS)
@given(case=cases())
def test_the_program_has_the_variables_of_the_list(case: Case) -> None:
    program, names = pymc_program(case.model), {"__name__": "program"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        program.data.to_csv(Path(folder) / DATA_FILE, index=False)
        exec(compile(program.code, "program.py", "exec"), names)
    assert_same_variables(names["model"], case.model)


@settings(max_examples=25)
@given(case=cases())
def test_a_position_of_the_compiled_density_gives_every_free_variable_a_value(case: Case) -> None:
    if unknown_families(case.model):
        return
    positions = _Positions(case.model)
    x = positions.random(np.random.default_rng(1))
    values = positions.free_variables(x) | positions.effects(x)
    free = [one for one in model_variables(case.model) if one.free]
    assert {name: np.shape(value) for name, value in values.items()} == {one.name: one.shape for one in free}
    known = {*posterior_layout(case.model), *(one.name for one in free)}
    assert {name for name in positions.names if name} <= known


@settings(max_examples=50)
@given(case=cases())
def test_every_symbol_of_the_mathematics_has_a_distribution(case: Case) -> None:
    model, variables = case.model, model_variables(case.model)
    lines = case.model.to_latex().splitlines()[1:-1]
    given_of = dict(line.removesuffix(r" \\").split(r" &\sim ") for line in lines if r"\sim" in line)
    predictor = next(line for line in lines if "logit" in line)
    coefficients = set(re.findall(r"\\beta_\{(\d+)\}", predictor))
    if model.design.has_intercept and len(model.design.fixed_effects) > 1:
        at_means = r"\beta_0 + \textstyle\sum_k \beta_k \bar{x}_k"
        assert at_means in given_of
        coefficients.remove("0")
    else:
        at_means = None
    priors = [key for key in given_of if key.startswith(r"\beta") and key != at_means]
    assert sorted(priors) == sorted(rf"\beta_{{{k}}}" for k in coefficients)
    for t, of_group in enumerate(variables.groups, start=1):
        sds = [rf"\sigma^{{({t})}}_{{{k}}}" for k in range(of_group.sd.shape[0])]
        left = [symbol for key in given_of if key.startswith(rf"\sigma^{{({t})}}") for symbol in key.split(", ")]
        assert sorted(left) == sorted(sds)
        effects = [key for key in given_of if re.match(rf"\(?b\^\{{\({t}\)\}}", key)]
        matrices = [key for key in given_of if key.startswith(rf"R^{{({t})}}")]
        assert sum(key.count("b^") for key in effects) == of_group.b.shape[1]
        assert len(matrices) == sum(one is not None for one in of_group.cholesky)
        for key in matrices:
            assert any(key in given_of[effect] for effect in effects)
    # Its distributions are the model's priors, each as often as the model has it.
    stated = [one.prior for one in variables.fixed.priors] if variables.fixed else []
    for of_group in variables.groups:
        vectors: list[Variable | None] = [of_group.sd, *of_group.cholesky]
        stated += [one.prior for vector in vectors if vector for one in vector.priors]
    families = Counter(re.findall(r"operatorname\{(\w+)\}", " ".join(given_of.values())))
    expected = Counter(type(prior).__name__ for prior in stated)
    assert {name: families[name] for name in expected.keys() - {"Normal"}} == {
        name: count for name, count in expected.items() if name != "Normal"
    }
    assert variables.outcome.family in families


@settings(max_examples=30)
@given(case=cases())
def test_words_name_variables_of_the_list(case: Case) -> None:
    variables = {one.name for one in model_variables(case.model)}
    paragraphs = words(case.model)
    points = [f"`{name}`: {said}" for paragraph in paragraphs for name, said in paragraph.points]
    said = " ".join([*(paragraph.sentences for paragraph in paragraphs), *points])
    named = re.findall(r"`((?:sd|cor)_[^`\[]+)", said)
    assert set(named) <= variables
    assert {of_group.sd.name for of_group in model_variables(case.model).groups} <= set(named)


@settings(max_examples=GRAPHS)
@given(case=cases(), data=st.data())
def test_an_outcome_may_have_the_name_of_any_variable(case: Case, data: st.DataObject) -> None:
    names = [one.name for one in model_variables(case.model)] + list(model_variables(case.model).coords)
    table = rows(1)
    name = data.draw(st.sampled_from([one for one in names if one not in table]))
    formula = re.sub(r"\by\b", lambda _: f"`{name}`", case.model.formula.text, count=1)
    renamed = Model(formula, table.rename(columns={"y": name}), priors=case.priors)
    variables = [one.name for one in model_variables(renamed)]
    assert len(set(variables)) == len(variables)
    assert {one.name for one in renamed.to_pymc().basic_RVs} <= set(variables)
