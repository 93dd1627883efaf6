"""Model -> pm.Model: the readable form of the log density, non-centred, with LKJ correlations.

Fixed effects are sampled for centred predictors in units of their standard deviations, so that raw columns such as
``year`` or ``age + I(age**2)`` do not stall the sampler; ``beta`` is reported for the columns as the user wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from ..design.grouping import GroupBlock
from ..priors.families import Decov, Prior, ScalePrior

if TYPE_CHECKING:
    from ..model_spec import ModelSpec


def build_graph(model: ModelSpec) -> pm.Model:
    """Write a model in PyMC.

    Parameters
    ----------
    model : hierlogit.Model

    Returns
    -------
    pymc.Model
        Deterministics ``beta``, ``sd_<group>``, ``cor_<group>`` and ``b_<group>`` are in the user's parameters; free
        are ``intercept_at_means``, ``slopes_scaled``, the sds, the correlation's Cholesky factor and ``u_<group>``.

    Examples
    --------
    >>> import hierlogit as hl
    >>> graph = build_graph(hl.Model("y ~ 1 + (1 | ID)", hl.datasets.load("bacteria")))
    >>> sorted(variable.name for variable in graph.free_RVs)
    ['intercept_at_means', 'sd_ID', 'u_ID']
    """
    with pm.Model(coords=model.coords) as graph:
        eta = _fixed_part(model, graph)
        for group in model.design.groups:
            effects = _random_effects(model, group)
            eta = eta + _contribution(group, effects)
        outcome = model.design.outcome
        if outcome.binomial:
            pm.Binomial(
                model.outcome_name,
                n=outcome.trials.astype(int),
                logit_p=eta,
                observed=outcome.y.astype(int),
                dims="obs",
            )
        else:
            pm.Bernoulli(model.outcome_name, logit_p=eta, observed=outcome.y.astype(int), dims="obs")
    return graph


def _fixed_part(model: ModelSpec, graph: pm.Model) -> Any:
    design = model.design
    labels, X = design.fixed_effects, design.X
    if not labels:
        return pt.as_tensor_variable(design.offset)
    slopes = [j for j, label in enumerate(labels) if label != "Intercept"]
    scales = design.column_sds[slopes]
    means = X[:, slopes].mean(axis=0) if design.has_intercept else np.zeros(len(slopes))
    eta, parts = design.offset, {}
    if slopes:
        graph.add_coord("slope", [labels[j] for j in slopes])
        priors = [model.priors.fixed[labels[j]].rescaled(scale) for j, scale in zip(slopes, scales, strict=True)]
        scaled = _vector("slopes_scaled", priors, "slope", graph)
        eta = eta + pt.dot((X[:, slopes] - means) / scales, scaled)
        beta = scaled / scales
        parts = {j: beta[k] for k, j in enumerate(slopes)}
    if design.has_intercept:
        at_means = _variable("intercept_at_means", model.priors.fixed["Intercept"])
        eta = eta + at_means
        parts[labels.index("Intercept")] = at_means - (pt.dot(means, beta) if slopes else 0.0)
    pm.Deterministic("beta", pt.stack([parts[j] for j in range(len(labels))]), dims="fixed_effect")
    return eta


def _random_effects(model: ModelSpec, group: GroupBlock) -> Any:
    """Deviations on the logit scale, shape (levels, effects), from standardised ones."""
    name, dim, effect_dim = group.result_name, model.dim(group), model.effect_dim(group)
    sd = _sds(model, group)
    u = pm.Normal(f"u_{name}", 0.0, 1.0, dims=(dim, effect_dim))
    columns, blocks = [], []
    for k, members in enumerate(group.sets):
        one = slice(members[0], members[-1] + 1)  # the effects of a set are neighbours
        if len(members) == 1:
            columns.append(u[:, one] * sd[one])
            blocks.append(pt.ones((1, 1)))
            continue
        set_dim, suffix = effect_dim, ""
        if len(group.sets) > 1:  # the correlations are of some of the effects, which get a dimension of their own
            set_dim, suffix = f"{effect_dim}_{k}", f"_{k}"
            labels = [group.effects[i] for i in members]
            pm.modelcontext(None).add_coords({set_dim: labels, f"{set_dim}_bis": labels})
        eta, dims = model.priors.cor[group.name].eta, (set_dim, f"{set_dim}_bis")
        cholesky = pm.LKJCorr(f"chol_cor_{name}{suffix}", n=len(members), eta=eta, dims=dims)
        columns.append(pt.dot(u[:, one], (sd[one, None] * cholesky).T))
        blocks.append(pt.dot(cholesky, cholesky.T))
    if group.correlated:
        cor = blocks[0] if len(blocks) == 1 else pt.linalg.block_diag(*blocks)
        pm.Deterministic(f"cor_{name}", cor, dims=(effect_dim, f"{effect_dim}_bis"))
    effects = columns[0] if len(columns) == 1 else pt.concatenate(columns, axis=1)
    return pm.Deterministic(f"b_{name}", effects, dims=(dim, effect_dim))


def _sds(model: ModelSpec, group: GroupBlock) -> Any:
    name, effect_dim = f"sd_{group.result_name}", model.effect_dim(group)
    priors = model.priors.sd[group.name]
    if not any(isinstance(prior, Decov) for prior in priors):
        return _vector(name, priors, effect_dim, pm.modelcontext(None))
    parts: list[Any] = [None] * len(priors)
    for k, members in enumerate(group.sets):
        prior = priors[members[0]]
        if isinstance(prior, Decov):
            values = _decov(prior, len(members), f"{group.result_name}_{k}")
        else:
            values = [_variable(f"{name}[{group.effects[i]}]", priors[i]) for i in members]
        for position, i in enumerate(members):
            parts[i] = values[position]
    return pm.Deterministic(name, pt.stack(parts), dims=effect_dim)


def _decov(prior: Decov, k: int, name: str) -> Any:
    tau = pm.Gamma(f"tau_{name}", alpha=prior.shape, beta=1 / prior.scale)
    if k == 1:
        return [tau]
    shares = pm.Dirichlet(f"shares_{name}", a=np.full(k, prior.concentration))
    return tau * pt.sqrt(k * shares)


def _contribution(group: GroupBlock, effects: Any) -> Any:
    total = 0.0
    for k in range(len(group.effects)):
        own = effects[group.index, k]
        total = total + (own if np.all(group.Z[:, k] == 1) else group.Z[:, k] * own)
    return total


def _variable(name: str, prior: Prior) -> Any:
    return _family(prior)(name, **prior.arguments())


def _vector(name: str, priors: Sequence[Prior] | Sequence[ScalePrior], dim: str, graph: pm.Model) -> Any:
    """One variable for parameters of one family; of several families, one for each, put together in order."""
    if len({type(prior) for prior in priors}) == 1:
        arguments = {key: np.array([prior.arguments()[key] for prior in priors]) for key in priors[0].arguments()}
        return _family(priors[0])(name, **arguments, dims=dim)
    labels = graph.coords[dim]
    parts = [_variable(f"{name}[{label}]", prior) for label, prior in zip(labels, priors, strict=True)]
    return pm.Deterministic(name, pt.stack(parts), dims=dim)


def _family(prior: Prior) -> Any:
    # The families carry PyMC's own names.
    return getattr(pm, type(prior).__name__)
