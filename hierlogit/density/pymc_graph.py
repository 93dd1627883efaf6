"""The PyMC graph of a model: the readable form of its log density, non-centred, with LKJ correlations.

Fixed effects are sampled for centred and scaled predictors, so that raw columns such as ``year`` or
``age + I(age**2)`` do not slow down the sampler; ``beta`` is reported for the user's columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from .variables import FixedVariables, GroupVariables, StatedPrior, Variable, model_variables

if TYPE_CHECKING:
    from ..design.design import Design
    from ..design.grouping import GroupBlock
    from ..model_spec import ModelSpec


def build_graph(model: ModelSpec) -> pm.Model:
    """The PyMC graph of a model.

    Parameters
    ----------
    model : hierlogit.Model

    Returns
    -------
    pymc.Model
        ``beta``, ``sd_<group>``, ``cor_<group>``, ``b_<group>`` and ``phi`` are the user's parameters. The free
        variables are ``intercept_at_means``, ``slopes_scaled``, the sds, the Cholesky factors of the correlations,
        ``u_<group>`` and ``phi``.

    Examples
    --------
    >>> import hierlogit as hl
    >>> graph = build_graph(hl.Model("y ~ 1 + (1 | ID)", hl.datasets.load("bacteria")))
    >>> sorted(variable.name for variable in graph.free_RVs)
    ['intercept_at_means', 'sd_ID', 'u_ID']
    """
    variables, outcome = model_variables(model), model.design.outcome
    with pm.Model(coords=variables.coords) as graph:
        eta = _fixed_part(model.design, variables.fixed)
        for of_group in variables.groups:
            eta = eta + _contribution(of_group.group, _random_effects(of_group))
        arguments = {"logit_p": eta} if variables.phi is None else _beta(eta, _random_variable(variables.phi))
        _random_variable(variables.outcome, **arguments, observed=outcome.y.astype(int))
    return graph


def _beta(eta: Any, phi: Any) -> dict[str, Any]:
    """Parameters of the beta distribution of the rows' probabilities, with precision phi."""
    return {"alpha": phi * pt.sigmoid(eta), "beta": phi * pt.sigmoid(-eta)}


def _fixed_part(design: Design, fixed: FixedVariables | None) -> Any:
    if fixed is None:
        return pt.as_tensor_variable(design.offset)
    labels, X = design.fixed_effects, design.X
    slopes = [j for j, label in enumerate(labels) if label != "Intercept"]
    scales = design.column_sds[slopes]
    means = design.column_means[slopes] if design.has_intercept else np.zeros(len(slopes))
    eta, parts = design.offset, {}
    if fixed.slopes is not None:
        scaled = _vector(fixed.slopes)
        eta = eta + pt.dot((X[:, slopes] - means) / scales, scaled)
        beta = scaled / scales
        parts = {j: beta[k] for k, j in enumerate(slopes)}
    if fixed.intercept is not None:
        at_means = _random_variable(fixed.intercept)
        eta = eta + at_means
        parts[labels.index("Intercept")] = at_means - (pt.dot(means, beta) if slopes else 0.0)
    _deterministic(fixed.beta, pt.stack([parts[j] for j in range(len(labels))]))
    return eta


def _random_effects(of_group: GroupVariables) -> Any:
    """Deviations on the logit scale, shape (levels, effects), from standardised effects."""
    sd, u = _vector(of_group.sd), _random_variable(of_group.u)
    columns, blocks = [], []
    for part, correlated in zip(of_group.group.set_slices, of_group.cholesky, strict=True):
        if correlated is None:
            columns.append(u[:, part] * sd[part])
            blocks.append(pt.ones((1, 1)))
            continue
        cholesky = _random_variable(correlated)
        columns.append(pt.dot(u[:, part], (sd[part, None] * cholesky).T))
        blocks.append(pt.dot(cholesky, cholesky.T))
    if of_group.cor is not None:
        _deterministic(of_group.cor, blocks[0] if len(blocks) == 1 else pt.linalg.block_diag(*blocks))
    return _deterministic(of_group.b, columns[0] if len(columns) == 1 else pt.concatenate(columns, axis=1))


def _contribution(group: GroupBlock, effects: Any) -> Any:
    total = 0.0
    for k in range(len(group.effects)):
        values = effects[group.index, k]
        total = total + (values if np.all(group.Z[:, k] == 1) else group.Z[:, k] * values)
    return total


def _vector(variable: Variable) -> Any:
    """A random variable, or a deterministic one that stacks the random variables of its entries."""
    if variable.free:
        return _random_variable(variable)
    # The parts are in the order of the entries, since the effects of a set are adjacent.
    return _deterministic(variable, pt.stack([entry for stated in variable.priors for entry in _entries(stated)]))


def _entries(stated: StatedPrior) -> list[Any]:
    first, *shares = [_random_variable(part) for part in stated.parts]
    if not shares:
        return [first]
    entries = first * pt.sqrt(len(stated.members) * shares[0])
    return [entries[k] for k in range(len(stated.members))]


def _random_variable(variable: Variable, **arguments: Any) -> Any:
    dims = {"dims": variable.dims} if variable.dims else {}
    return getattr(pm, variable.family)(variable.name, **variable.arguments, **arguments, **dims)


def _deterministic(variable: Variable, value: Any) -> Any:
    return pm.Deterministic(variable.name, value, dims=variable.dims)
