"""Docstrings of everything public keep numpydoc's rules, but for those that are named here with the reason."""

from __future__ import annotations

import ast
import dataclasses
import importlib
from pathlib import Path
from typing import Any

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import ERROR_MSGS, validate

PACKAGE = Path(__file__).parents[2] / "hierlogit"

#: Rules that nothing public has to keep.
NOT_KEPT = {
    "GL01",  # ruff decides on which line the text begins
    "ES01",  # a first line may be all there is to say
    "SA01",  # not everything has something beside it to see
    "SA03",  # names in lower case begin a description as well
    "SS05",  # the first line says what comes back, as in "Slopes of predictions", which is taken for a verb
    "PR04",  # types are in the annotations, and parameters that are documented elsewhere are listed together
    "PR07",  # "fit : Fit" needs no more
    "RT03",  # "Fit" and "matplotlib.axes.Axes" neither
    "YD01",  # there are no public generators
}
#: Methods and properties: their class has the example, and one line can say what a method takes and returns.
OF_MEMBERS = {"EX01", "PR01", "RT01"}
#: But these, which are what people do with a model and with a fit.
VERBS = {
    *(f"hierlogit.Model.{name}" for name in ("fit", "to_bambi", "to_latex", "to_pymc")),
    "hierlogit.results.Fit.save",
}
#: Values that functions return, and errors: nobody makes them by hand, so that they document attributes, and the
#: function that returns them has the example.
OF_RETURNED = {"EX01", "PR01"}
#: Families of priors: their one sentence names the arguments.
OF_PRIORS = {"EX01", "PR01"}


def listed(stub: str, module: str) -> set[str]:
    """Full names of what a stub takes from modules."""
    body = ast.parse((PACKAGE / stub).read_text(encoding="utf-8")).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.module]
    return {f"{module}.{alias.asname or alias.name}" for node in imports for alias in node.names}


def exported(module: str) -> set[str]:
    """Full names of the classes and functions in a module's `__all__`."""
    found = importlib.import_module(module)
    return {f"{module}.{name}" for name in found.__all__ if callable(getattr(found, name))}


def public_members(name: str) -> set[str]:
    """Full names of methods and properties that a public class defines, or a base that is not public itself."""
    value = resolve(name)
    if not isinstance(value, type):
        return set()
    bases = [base for base in value.__mro__ if base.__module__.startswith("hierlogit.")]
    defined = {key: held for base in reversed(bases) for key, held in vars(base).items() if not key.startswith("_")}
    fields = {field.name for field in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
    described = (property, classmethod, staticmethod)
    return {
        f"{name}.{key}"
        for key, held in defined.items()
        if key not in fields and (callable(held) or isinstance(held, described)) and not isinstance(held, type)
    }


def resolve(name: str) -> Any:
    """The object of a full name."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


FUNCTIONS = listed("__init__.pyi", "hierlogit") | listed("plots/__init__.pyi", "hierlogit.plots")
DATASETS = exported("hierlogit.datasets")
PRIORS = exported("hierlogit.priors")
RESULTS = listed("results.pyi", "hierlogit.results")
RETURNED = (
    RESULTS
    | FUNCTIONS & {f"hierlogit.{name.rpartition('.')[2]}" for name in RESULTS}
    | {name for name in DATASETS if isinstance(resolve(name), type)}
)
OBJECTS = sorted(FUNCTIONS | RESULTS | PRIORS | DATASETS)
MEMBERS = sorted(set().union(*(public_members(name) for name in OBJECTS)))


def broken(name: str, excused: set[str]) -> list[str]:
    """Rules that a docstring breaks, as numpydoc words them."""
    return [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in excused]


@pytest.mark.parametrize("name", OBJECTS)
def test_docstring_keeps_the_rules(name: str) -> None:
    excused = OF_RETURNED if name in RETURNED else OF_PRIORS if name in PRIORS else set()
    assert broken(name, NOT_KEPT | excused) == []


@pytest.mark.parametrize("name", MEMBERS)
def test_docstring_of_a_member_keeps_the_rules(name: str) -> None:
    assert broken(name, NOT_KEPT if name in VERBS else NOT_KEPT | OF_MEMBERS) == []


@pytest.mark.parametrize("name", sorted(name for name in RETURNED if dataclasses.is_dataclass(resolve(name))))
def test_every_field_of_a_result_is_documented(name: str) -> None:
    value = resolve(name)
    document = get_doc_object(value)
    entries = [entry.name for kind in ("Attributes", "Parameters") for entry in document[kind]]
    documented = {part.strip() for entry in entries for part in entry.split(",")}
    assert {field.name for field in dataclasses.fields(value) if not field.name.startswith("_")} - documented == set()


def test_every_rule_and_verb_named_exists() -> None:
    assert set(ERROR_MSGS) >= NOT_KEPT | OF_MEMBERS | OF_RETURNED | OF_PRIORS
    assert set(MEMBERS) >= VERBS
