"""Checks of arguments that must be a fit or a model, shared by all public functions."""

from __future__ import annotations

from typing import Any

from ..errors import FitError, ModelError
from ..model_spec import ModelSpec
from ..validation import instance, kind_of, text
from .fit import Fit

MAKE_A_MODEL = "Make one first: model = hl.Model(formula, data)."
MAKE_A_FIT = "Fit a model first: fit = hl.Model(formula, data).fit()."


def require_fit(value: object, name: str = "fit") -> None:
    """Check that a value is a fit.

    Raises
    ------
    FitError
        If it is not. If it is a model, the message says that it has to be fitted first.
    """
    remedy = f"Fit the model first: {name} = model.fit()." if isinstance(value, ModelSpec) else MAKE_A_FIT
    instance(name, value, Fit, FitError, "a Fit", remedy)


def require_group(group: object, found: str, what: str) -> None:
    """Check that a grouping factor, if it is given, is the one that a result is about.

    Raises
    ------
    FitError
        If it is another one.
    """
    if group is not None and text("group", group, FitError) != found:
        raise FitError(f"group='{group}', but the result is the {what} of '{found}'. Leave group= out.")


def require_model(value: object, name: str = "model") -> None:
    """Check that a value is a model.

    Raises
    ------
    ModelError
        If it is not. If it is a fit, the message says where its model is.
    """
    remedy = "Pass fit.model." if isinstance(value, Fit) else MAKE_A_MODEL
    instance(name, value, ModelSpec, ModelError, "a Model", remedy)


def model_of(value: Any, name: str = "model") -> ModelSpec:
    """The model of a fit, or the model itself.

    Raises
    ------
    ModelError
        If it is neither.
    """
    if isinstance(value, Fit):
        model: ModelSpec = value.model
        return model
    if isinstance(value, ModelSpec):
        return value
    raise ModelError(f"{name} is neither a Model nor a Fit (got {kind_of(value)}). {MAKE_A_MODEL}")
