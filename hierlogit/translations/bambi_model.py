"""Translation of a model to a Bambi model with the same likelihood and priors, if Bambi can express it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import bambi
import numpy as np
import pandas as pd

from ..design.transforms import formula_namespace
from ..errors import ModelError
from ..formula.lists import name_lists
from ..priors.families import Decov, Prior
from ..validation import quoted_list, reason_of

if TYPE_CHECKING:
    from ..design.grouping import GroupBlock
    from ..model_spec import ModelSpec

_INSTEAD = "Use to_pymc(), which has the same posterior, or change the formula."


def bambi_model(model: ModelSpec) -> bambi.Model:
    """The Bambi model with the same likelihood and priors.

    Parameters
    ----------
    model : hierlogit.Model

    Returns
    -------
    bambi.Model
        For the model's cleaned rows; the outcome is coded 0/1, or as successes and trials.

    Raises
    ------
    ModelError
        If Bambi cannot express the model: correlated effects of one grouping factor, a prior that it does not have,
        dropped columns, or other columns for the same terms.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> bambi_model(model).formula.main
    'y ~ week_gt2 + (1|ID)'
    """
    _refuse_what_bambi_lacks(model)
    data, response, family = _outcome(model)
    random = [f"({effects}|{group})" for effects, group in _random_terms(model)]
    terms, lists = name_lists(" + ".join([model.formula.fixed, *random]), [str(name) for name in data])
    formula = f"{response} ~ {terms}"
    names = _namespace({**model.namespace, **lists})
    try:
        built = bambi.Model(
            formula, data, family=family, priors=_priors(model), noncentered=True, extra_namespace=names
        )
    except Exception as error:
        raise ModelError(f"Bambi cannot build '{formula}': {reason_of(error)}. {_INSTEAD}") from error
    _refuse_other_columns(model, built)
    return built


def _refuse_other_columns(model: ModelSpec, built: bambi.Model) -> None:
    """Refuse a translation whose terms have other columns: Bambi codes some interactions otherwise."""
    design, component = model.design, built.parameters["mu" if model.overdispersed else "p"]
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for label, values in zip(design.fixed_terms, design.X.T, strict=True):
        ours.setdefault(label, []).append(values)
    common = component.design.common
    if common is not None:
        offsets = component.offset_terms
        theirs = {name: common.design_matrix[:, at].T for name, at in common.slices.items() if name not in offsets}
    differ = [
        name
        for name in dict.fromkeys([*ours, *theirs])
        if np.shape(ours.get(name, 0.0)) != np.shape(theirs.get(name, 0.0)) or not np.allclose(ours[name], theirs[name])
    ]
    for group in design.groups:
        for term in dict.fromkeys(group.terms):
            name = f"{'1' if term == 'Intercept' else term}|{group.name}"
            found = component.group_specific_terms.get(name)
            columns = 0 if found is None else found.data.shape[1] // len(group.levels)
            differ += [name] if columns != group.terms.count(term) else []
    if differ:
        raise ModelError(f"Bambi has other columns for {quoted_list(differ)} than this model. {_INSTEAD}")


def _namespace(names: Mapping[str, Any]) -> dict[str, Any]:
    """Names for formulas of Bambi, which has fewer codings and takes no matrices of contrasts."""
    from ..design.codings import Diff, Helmert, Matrix, Poly

    tables = {
        name: value for name, value in names.items() if isinstance(value, (list, tuple, np.ndarray, pd.DataFrame))
    }
    matrices = {name: Matrix(value) for name, value in tables.items() if np.asarray(value, dtype=object).ndim == 2}
    return {**formula_namespace(names), "Helmert": Helmert, "Diff": Diff, "Poly": Poly, **matrices}


def _refuse_what_bambi_lacks(model: ModelSpec) -> None:
    if model.design.table.counts is not None:
        raise ModelError(
            "Bambi learns means and knots from single rows, but the rows of this model have been counted. Make the "
            "model from a data frame of the rows, or use to_pymc()."
        )
    if model.design.drops:
        dropped = [f"from {where}, since {why}" for where, why in model.design.drops]
        raise ModelError(
            f"Bambi has a coefficient for each column of a term, but columns were dropped {'; '.join(dropped)}. "
            f"{_INSTEAD}"
        )
    for group in model.design.groups:
        if group.correlated:
            raise ModelError(
                f"Bambi has no correlated random effects, but those of '{group.name}' are correlated: "
                f"{quoted_list(group.effects)}. Write (... || {group.name}) for independent effects, or use to_pymc()."
            )
        if any(isinstance(prior, Decov) for prior in model.priors.sd[group.name]):
            raise ModelError(
                f"Bambi has no Decov prior, but 'sd_{group.name}' has one. Choose a prior of another family."
            )


def _outcome(model: ModelSpec) -> tuple[pd.DataFrame, str, str]:
    outcome = model.design.outcome
    data = _with_factors(model)
    if outcome.grouped:
        successes, trials = (_unused(name, data) for name in ("successes_", "trials_"))
        data[successes], data[trials] = outcome.y.astype(int), outcome.trials.astype(int)
        return data, f"p({successes}, {trials})", "beta_binomial" if model.overdispersed else "binomial"
    data[outcome.name] = outcome.y.astype(int)
    return data, _quoted(outcome.name), "bernoulli"


def _with_factors(model: ModelSpec) -> pd.DataFrame:
    """The rows with True/False as a factor, where the formula has it as such; in arithmetic it must stay."""
    data = model.design.table.frame.copy()
    for use in model.formula.names:
        if use.where != "response" and not use.in_call and not use.is_call and data[use.name].dtype == bool:
            data[use.name] = pd.Categorical(data[use.name], [False, True], ordered=True)
    return data


def _unused(name: str, data: pd.DataFrame) -> str:
    while name in data:
        name += "_"
    return name


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"


def _random_terms(model: ModelSpec) -> list[tuple[str, str]]:
    return [(term.effects, ":".join(_quoted(column) for column in term.group)) for term in model.formula.random]


def _priors(model: ModelSpec) -> dict[str, Any]:
    design = model.design
    owners: dict[str, list[Prior]] = {}
    for label, term in zip(design.fixed_effects, design.fixed_terms, strict=True):
        owners.setdefault(term, []).append(model.priors.fixed[label])
    priors: dict[str, Any] = {term: _bambi_prior(term, of_term) for term, of_term in owners.items()}
    for group in design.groups:
        priors.update(_group_priors(model, group))
    if model.priors.phi is not None:
        priors["kappa"] = _bambi_prior("phi", [model.priors.phi])
    return priors


def _group_priors(model: ModelSpec, group: GroupBlock) -> dict[str, Any]:
    owners: dict[str, list[Prior]] = {}
    for term, prior in zip(group.terms, model.priors.sd[group.name], strict=True):
        owners.setdefault(term, []).append(prior)
    return {
        f"{'1' if term == 'Intercept' else term}|{group.name}": bambi.Prior(
            "Normal", mu=0, sigma=_bambi_prior(f"sd of {term}|{group.name}", of_term)
        )
        for term, of_term in owners.items()
    }


def _bambi_prior(name: str, priors: Sequence[Prior]) -> Any:
    """One Bambi prior for the columns of a term, with an array for each argument if there are several columns."""
    if len({type(prior) for prior in priors}) > 1:
        raise ModelError(f"Bambi needs priors of one family for all columns of '{name}'. Give them the same family.")
    columns = [prior.arguments() for prior in priors]
    arguments = {key: np.array([column[key] for column in columns]) for key in columns[0]}
    scalars = {key: values[0].item() if len(values) == 1 else values for key, values in arguments.items()}
    return bambi.Prior(type(priors[0]).__name__, **scalars)
