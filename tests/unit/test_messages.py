"""Messages: their words agree in number, lists in them may be empty or long, and none has a hole in it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import FitError, HierlogitError, ModelError, StudyError
from hierlogit.fits.arguments import model_of, require_fit, require_model
from hierlogit.fits.fit import Fit
from hierlogit.validation import (
    agree,
    instance,
    mapping,
    names,
    nearest,
    number_of,
    one_of,
    quoted_list,
    refuse_beyond_memory,
    shortened,
    unknown_names,
    whole_number,
)

# The rows are too few to estimate the models from.
pytestmark = pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")


@pytest.fixture(name="tool", scope="module")
def _tool(messages_tool: ModuleType) -> ModuleType:
    return messages_tool


@pytest.fixture(scope="module")
def messages(tool: ModuleType) -> list[Any]:
    """All texts of the package."""
    texts: list[Any] = tool.messages()
    return texts


def raised(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(HierlogitError) as caught:
        function(*arguments, **options)
    return str(caught.value)


# ---- words ----------------------------------------------------------------------------------------------------------


def test_lists_of_no_one_and_several_items() -> None:
    assert [quoted_list(items) for items in ([], ["a"], ["a", "b"])] == ["none", "'a'", "'a', 'b'"]
    assert quoted_list(range(1010)).endswith("7 and 1,002 more")
    assert one_of([]) == "there is none to choose from"
    assert one_of(["a"]) == "the only choice is 'a'"
    assert one_of(["a", "b"]) == "choose one of 'a', 'b'"
    assert [number_of(count, "row") for count in (0, 1, 2, 1000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]
    assert number_of(2, "child", "children") == "2 children"
    assert [agree(items, "is", "are") for items in ([], ["a"], ["a", "b"], 1, 2)] == ["are", "is", "are", "is", "are"]


def test_a_near_name_is_suggested() -> None:
    assert nearest("AGE", ["age", "urban"]) == " Did you mean 'age'?"
    assert nearest("x", ["age", "urban"]) == nearest(3, ["age"]) == nearest("age", []) == ""


@pytest.mark.parametrize(
    ("unknown", "known", "message"),
    [
        (["a"], ["b", "c"], "x: there is no predictor 'a' in the model; choose one of 'b', 'c'."),
        (["a", "d"], ["b", "c"], "x: there are no predictors 'a', 'd' in the model; choose one of 'b', 'c'."),
        (["a"], ["b"], "x: there is no predictor 'a' in the model; the only choice is 'b'."),
        (["a"], [], "x: there is no predictor 'a' in the model; there is none to choose from."),
    ],
)
def test_unknown_names(unknown: list[str], known: list[str], message: str, tool: ModuleType) -> None:
    assert unknown_names("x", unknown, known, "predictor") == message
    assert tool.faults(message) == []


def test_values_that_cannot_be_printed_are_named_by_their_type() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shortened(Hostile()) == "<Hostile>"
    assert shortened(10**5000) == "<int>"
    assert len(shortened("x" * 1000)) == 80
    assert raised(whole_number, "draws", Hostile(), FitError, least=1).startswith("draws=<Hostile> must be")
    assert "2**40" not in raised(whole_number, "draws", 2**40, FitError, least=1)


def test_what_does_not_fit_into_memory_is_refused_with_its_size() -> None:
    message = raised(refuse_beyond_memory, "draws", 10**9, 10**9, FitError)
    assert message.startswith(
        "draws=1,000,000,000: each of them holds 1,000,000,000 numbers, 8,000,000,000 GB in all. This is"
    )
    refuse_beyond_memory("draws", 1000, 1000, FitError)


# ---- fits, models and results in the wrong place --------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> hl.Model:
    rng = np.random.default_rng(2)
    g = np.repeat(["a", "b", "c", "d"], 12)
    rows = pd.DataFrame({"y": np.tile([0, 1, 1], 16), "age": rng.normal(size=48), "f": np.tile(["m", "w"], 24), "g": g})
    return hl.Model("y ~ age + f + (1 | g)", rows)


@pytest.fixture(scope="module")
def fit(model: hl.Model) -> Fit:
    return model.fit(hl.Laplace(draws=100, seed=1))


def test_fits_and_models_are_told_apart_with_the_same_words(model: hl.Model, fit: Fit) -> None:
    assert raised(require_fit, "text") == (
        "fit is not a Fit (got str). Fit a model first: fit = hl.Model(formula, data).fit()."
    )
    assert (
        raised(require_fit, model, "fit0") == "fit0 is not a Fit (got Model). Fit the model first: fit0 = model.fit()."
    )
    assert raised(require_fit, None).startswith("fit is not a Fit (got None). ")
    assert raised(require_fit, Fit).startswith("fit is not a Fit (got the class Fit). ")
    assert raised(require_model, fit) == "model is not a Model (got Fit). Pass fit.model."
    assert (
        raised(require_model, 3) == "model is not a Model (got int). Make one first: model = hl.Model(formula, data)."
    )
    assert raised(model_of, []).startswith("model is neither a Model nor a Fit (got list). ")
    for verb in (hl.summary, hl.predictions, hl.icc, hl.bootstrap, hl.plots.forest, hl.check):
        with pytest.raises(
            FitError, match=r"fit is not a Fit \(got Model\). Fit the model first: fit = model.fit\(\)."
        ):
            verb(model)
    for verb in (hl.check_data, hl.check_density, hl.prior_predictive, hl.compare_engines, hl.Laplace().run):
        with pytest.raises(ModelError, match=r"model is not a Model \(got Fit\). Pass fit.model."):
            verb(fit)


def test_results_in_the_wrong_place(fit: Fit, tool: ModuleType) -> None:
    message = raised(instance, "result", fit, list, FitError, "a list", "Make one.")
    assert message == "result is not a list (got Fit). Make one."
    assert (
        raised(hl.plots.power, fit)
        == "result is not a Power (got Fit). Compute it first: hl.power(formula, layout, ...)."
    )
    assert tool.faults(message) == []


# ---- messages with lists of names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda fit: hl.comparisons(fit, []),
            "variables is an empty list: name a predictor, or leave variables out; choose one of 'age', 'f'.",
        ),
        (
            lambda fit: hl.comparisons(fit, ["agee"]),
            "variables: there is no predictor 'agee' in the model; choose one of 'age', 'f'. Did you mean 'age'?",
        ),
        (
            lambda fit: hl.comparisons(fit, ["agee", "g"]),
            "variables: there are no predictors 'agee', 'g' in the model; choose one of 'age', 'f'.",
        ),
        (
            lambda fit: hl.comparisons(fit, {}),
            "variables is an empty list: name a predictor, or leave variables out; choose one of 'age', 'f'.",
        ),
        (
            lambda fit: hl.datagrid(fit, agee=1),
            "datagrid: there is no predictor 'agee' in the model; choose one of 'age', 'f', 'g'. Did you mean 'age'?",
        ),
        (
            lambda fit: hl.datagrid(fit, agee=1, gg=2),
            "datagrid: there are no predictors 'agee', 'gg' in the model; choose one of 'age', 'f', 'g'.",
        ),
        (
            lambda fit: hl.ior(fit, []),
            "variables is an empty list: name a fixed effect, or leave variables out; choose one of 'age', 'f[w]', "
            "'f'.",
        ),
        (
            lambda fit: hl.ior(fit, ["age", "f"]),
            "variables: 'age', 'f[w]' vary within the clusters of every grouping factor. Odds ratios within a cluster "
            "are in odds_ratios(fit); to compare rows of different clusters, pass group='g'.",
        ),
        (
            lambda fit: hl.slopes(fit, "f"),
            "variables: 'f' has no slope, because the values are labels. Call comparisons for differences between "
            "levels.",
        ),
        (
            lambda fit: hl.predictions(fit, clusters={"h": "new"}),
            "clusters: there is no grouping factor 'h' in the model; the only choice is 'g'.",
        ),
        (
            lambda fit: hl.predictions(fit, by=["x", "h"]),
            "by: there are no columns 'x', 'h' in the rows; choose one of 'y', 'age', 'f', 'g'. Pass columns that the "
            "formula does not use with newdata=, or by=True to average over all rows.",
        ),
        (
            lambda fit: hl.predictions(fit, {"age": [1.0]}),
            "the new data lack the columns 'f', 'g'. The model needs: 'age', 'f', 'g'; the data have: 'age'.",
        ),
        (
            lambda fit: hl.predictions(fit, {"age": [np.nan], "f": ["m"], "g": ["a"]}),
            "every row of the new data has a missing value, in age (1). Fill them, or leave these rows out.",
        ),
        (
            lambda fit: hl.predictions(fit, {"age": [1.0], "f": ["m"]}),
            "the new data lack the column 'g', by which the effects of known clusters are found (clusters='observed'). "
            "Add it, or pass clusters='average' for the average over all clusters, clusters='typical' for a cluster "
            "with effects of zero, or clusters='new' for a cluster that is not in the training data: these need no "
            "labels, and for new clusters any label will do.",
        ),
        (
            lambda fit: hl.predictions(fit, {"age": [1.0], "f": ["m"], "g": ["z"]}),
            "the new data have 1 cluster of 'g' that the training data do not have: 'z'. Pass allow_new_levels=True to "
            "draw effects of new clusters from the distribution between clusters, clusters='average' to average over "
            "it, or clusters='typical' to set cluster effects to zero.",
        ),
        (
            lambda fit: hl.plots.caterpillar(fit, effect="age"),
            "effect: there is no random effect 'age' in 'g'; the only choice is 'Intercept'.",
        ),
        (
            lambda fit: hl.ranef(fit, "h"),
            "group: there is no grouping factor 'h' in the model; the only choice is 'g'.",
        ),
        (
            lambda fit: hl.check_data(fit.model, sd={"h": 1.0, "i": 2.0}),
            "sd: 'h', 'i' have no random intercept in the model; the only choice is 'g'.",
        ),
        (
            lambda _: hl.simulate("y ~ 1 + (1 | g)", hl.Layout({"g": 4}), beta={}, sd={"g": 1}),
            "beta lacks 'Intercept'. The labels of the model are: 'Intercept'.",
        ),
        (
            lambda _: hl.simulate(
                "y ~ 1 + (1 | g)", hl.Layout({"g": 4}), beta={"Intercept": 1}, cor={"g": 0.2}, sd={"g": 1}
            ),
            "cor['g']: the model has no correlated effects of 'g'. Leave it out.",
        ),
        (
            lambda fit: hl.bootstrap(fit, lambda _: {"a": 1.0}, replicates=0),
            "replicates=0 must be a whole number from 1 to 10,000,000.",
        ),
        (
            lambda _: hl.AGQ(nodes=200),
            "AGQ: nodes=200 must be a whole number from 1 to 100.",
        ),
        (
            lambda fit: hl.Model("y ~ age + (1 | g) + (1 | f)", fit.model.design.table.frame).fit(hl.AGQ(nodes=3)),
            "quadrature needs one grouping factor with up to 3 effects, or two nested factors with one effect each, "
            "(1 | a/b); this model has 'g' with 1 effect, 'f' with 1 effect. hl.Laplace() and hl.NUTS() take any "
            "random effects.",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
def test_messages_with_lists_and_numbers(fit: Fit, call: Callable[[Fit], Any], message: str, tool: ModuleType) -> None:
    assert raised(call, fit) == message
    assert tool.faults(message) == []


def test_a_model_without_predictors(model: hl.Model) -> None:
    plain = hl.Model("y ~ 1 + (1 | g)", model.design.table.frame).fit(hl.Laplace(draws=100, seed=1))
    assert raised(hl.comparisons, plain) == "the model has no predictors to vary: its fixed part is an intercept only."
    assert raised(hl.datagrid, plain, age=1) == (
        "datagrid: there is no predictor 'age' in the model; the only choice is 'g'."
    )
    alone = hl.Model("y ~ 1", model.design.table.frame).fit(hl.Laplace(draws=100, seed=1))
    assert raised(hl.datagrid, alone, age=1) == (
        "datagrid: there is no predictor 'age' in the model; there is none to choose from."
    )


def test_names_and_mappings_of_the_wrong_kind() -> None:
    assert raised(names, "by", 3, ["a", "b"], FitError, "column") == (
        "by=3 must be the name of a column, or a list of names; choose one of 'a', 'b'."
    )
    assert raised(mapping, "sd", {1: 2, 3: 4}, StudyError, "numbers by name") == (
        "sd must be numbers by name; 1, 3 are not names."
    )
    assert raised(mapping, "sd", [1], StudyError, "numbers by name") == "sd must be numbers by name; got list."


def test_work_that_cannot_be_sent_to_another_process(fit: Fit) -> None:
    class Broken(Executor):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(AttributeError("Can't pickle local object 'f'."))
            return future

    assert raised(hl.bootstrap, fit, replicates=2, executor=Broken()) == (
        "executor: the tasks cannot be run by its workers: AttributeError: Can't pickle local object 'f'. Functions "
        "for other processes must be defined at the top level of a module."
    )


# ---- all messages ---------------------------------------------------------------------------------------------------


def test_no_message_of_the_package_has_a_fault(tool: ModuleType, messages: list[Any]) -> None:
    """The texts as they stand in the files, parts of sentences among them."""
    # Those of formulas are followed by the formula, and end without a full stop.
    texts = [message for message in messages if "/formula/" not in message.path]
    found = []
    for message in texts:
        if message.kind in ("error", "warning") and message.text.endswith((".", "?")):
            faults = [fault for fault in tool.faults(message.text.replace("{...}", "x")) if "beginning" not in fault]
            found += [f"{message.path}:{message.line}: {faults}: {message.text}"] if faults else []
    found += [
        f"{message.path}:{message.line}: {message.text}"
        for message in texts
        if message.kind != "docstring" and tool.AWKWARD.search(message.text)
    ]
    assert found == []


def test_the_tool_finds_texts_of_every_kind(tool: ModuleType, messages: list[Any]) -> None:
    assert {message.kind for message in messages} == set(tool.KINDS)
    texts = {(message.kind, message.text) for message in messages}
    assert ("error", "the table has no rows.") in texts
    assert ("label", "Average residual") in texts
    assert ("docstring", "A finite number, strictly within bounds where they are given; booleans are refused.") in texts
    assert any(kind == "error" and text.startswith("{...}={...} must be a whole number") for kind, text in texts)


def test_faults_are_seen(tool: ModuleType) -> None:
    broken = [
        "nothing cannot be varied; choose one of 'a'.",
        "nothing is no fixed effect.",
        "quadrature with 1 nodes is not possible.",
        "there is no predictor '' here.",
        "there are no predictors 'agee' in the model.",
        "there is no predictor 'a', 'b' in the model.",
        "choose one of .",
        "the mapping is no table: All arrays must be of the same length..",
        "it has no end",
        "A capital begins it.",
    ]
    assert all(tool.faults(message) for message in broken)
    assert tool.faults("draws=3 must be a whole number from 4 to 10,000,000.") == []
