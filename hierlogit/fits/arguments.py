"""Checks of arguments that must be a fit or a model, shared by all public functions."""

from __future__ import annotations

from typing import Any

from ..design.weights import SamplingWeights
from ..errors import FitError, HierlogitError, ModelError
from ..model_spec import ModelSpec
from ..validation import instance, kind_of, text
from .fit import Fit
from .pooled_fit import PooledFit

#: Reasons against sampling weights.
NO_LIKELIHOOD = (
    "what a fit with them maximises is a pseudo-likelihood, which estimates that of the whole population. Test "
    "coefficients by hl.summary(fit) or hl.hypotheses(fit), whose standard errors are those of the sample."
)
NOT_THE_POPULATION = (
    "it compares the model with the outcomes in the sample, which differ from the population that the model "
    "describes, as some rows were more likely to be selected than others. hl.avg_predictions(fit) and "
    "hl.avg_comparisons(fit) are averages over the population."
)
NO_POSTERIOR = (
    "the weighted log-likelihood estimates that of the whole population, with which a posterior would be far too "
    "narrow. Fit the model by hl.Laplace() or hl.AGQ(). Or leave the weights out, put the variables that decided on "
    "selection into the formula, and average over the population: hl.avg_predictions(fit, cells, weights='count'), as "
    "the case study of opinions does (poststratification)."
)
MAKE_A_MODEL = "Make one first: model = hl.Model(formula, data)."
#: What to use in place of likelihoods for fits that are pooled over imputations.
USE_WALD = "hl.test_terms and hl.hypotheses test terms by Wald's method."
MAKE_A_FIT = "Fit a model first: fit = hl.Model(formula, data).fit()."
#: Classes of fits that have methods in place of these functions, by name, and which methods.
METHODS_INSTEAD = {
    "ShardedFit": "A fit of shards has methods instead: .summary(), .robust(), .ranef() and .predictions().",
    "ShardedPosterior": "A posterior of shards has methods instead: .summary(), .ranef() and .predictions().",
}


def require_fit(value: object, name: str = "fit") -> None:
    """Check that a value is a fit.

    Raises
    ------
    FitError
        If it is not. If it is a model, the message says that it has to be fitted first.
    """
    remedy = METHODS_INSTEAD.get(kind_of(value), MAKE_A_FIT)
    if isinstance(value, ModelSpec):
        remedy = f"Fit the model first: {name} = model.fit()."
    instance(name, value, Fit, FitError, "a Fit", remedy)


def refuse_sampling_weights(
    model: ModelSpec, function: str, reason: str, error: type[HierlogitError] = FitError
) -> None:
    """Refuse a model with sampling weights.

    Parameters
    ----------
    model : Model
    function : str
        What was called, ``hl.loo``.
    reason : str
        Why it cannot take sampling weights, and what to do instead; `NO_LIKELIHOOD`, for example.
    error : type
        Class of the error.

    Raises
    ------
    HierlogitError
    """
    if isinstance(model.weights, SamplingWeights):
        raise error(f"{function} takes no sampling weights: {reason}")


def require_unweighted(fit: Any, function: str, reason: str, name: str = "fit") -> None:
    """Check that a value is a fit of a model without sampling weights.

    Raises
    ------
    FitError
        If it is not.
    """
    require_fit(fit, name)
    refuse_sampling_weights(fit.model, function, reason)


def refuse_pooled(value: object, name: str, what: str, remedy: str = "") -> None:
    """Refuse a fit that is pooled over imputations, by functions of a single table.

    Parameters
    ----------
    value : object
        A fit or a model, or anything else, which is not refused here.
    name : str
        Name of the argument.
    what : str
        What has no meaning across imputations, as the start of a sentence.
    remedy : str
        What to use instead, besides the fits of the imputations.

    Raises
    ------
    FitError
    """
    if isinstance(value, PooledFit):
        raise FitError(
            f"{name} is pooled over {len(value.fits)} imputations. {what} of one table, and those of different "
            f"imputations cannot be combined.{f' {remedy}' if remedy else ''} For a single imputation pass its fit, "
            f"{name}.fits[0]."
        )


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
