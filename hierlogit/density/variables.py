"""Variables of a model with distribution, arguments and dimensions, from which graph, program and texts are made.

Results have the parameters ``beta``, ``sd_<group>``, ``cor_<group>``, ``b_<group>`` and, for beta-binomial outcomes,
``phi``. A sampler uses other variables:
the log-odds at the predictors' means and the coefficients of scaled columns in place of ``beta``, the Cholesky factor
of each correlation matrix, standardised effects, and with `Decov` a common scale and shares of the variance in place of
sds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ..priors.families import CoefficientPrior, Decov, Prior, ScalePrior

if TYPE_CHECKING:
    from ..design.grouping import GroupBlock
    from ..model_spec import ModelSpec

#: Family of variables that are computed from others.
DETERMINISTIC = "Deterministic"


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable of a model.

    Attributes
    ----------
    name : str
    family : str
        PyMC's name of the distribution; ``"Deterministic"`` if it is computed from other variables.
    arguments : mapping of str to number or ndarray
        Arguments of the distribution, without those that depend on other variables.
    dims : tuple of str
        Empty for a single number and for a vector whose entries have no labels.
    shape : tuple of int
    priors : tuple of StatedPrior
        The priors of the parameters that it represents.
    observed : bool
    """

    name: str
    family: str
    arguments: Mapping[str, Any]
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    priors: tuple[StatedPrior, ...] = ()
    observed: bool = False

    @property
    def free(self) -> bool:
        """Whether it is sampled."""
        return self.family != DETERMINISTIC and not self.observed

    @property
    def parts(self) -> tuple[Variable, ...]:
        """The variables of its entries, if it has no distribution of its own."""
        return tuple(chain.from_iterable(stated.parts for stated in self.priors))


@dataclass(frozen=True, eq=False)
class StatedPrior:
    """A prior of the model, on the scale of the model's parameters.

    Attributes
    ----------
    members : tuple of int
        Columns of the fixed effects, or effects of a grouping factor, to which it applies: one, except for priors of
        correlation matrices and joint priors of several sds.
    prior : Prior
    parts : tuple of Variable
        The variables of these members, if the vector has no distribution of its own: a scalar, or the common scale and
        the shares of sds with `Decov`.
    """

    members: tuple[int, ...]
    prior: Prior
    parts: tuple[Variable, ...] = ()


@dataclass(frozen=True)
class FixedVariables:
    """The variables of the fixed effects.

    Attributes
    ----------
    slopes : Variable or None
        Coefficients other than the intercept, for one standard deviation of each column.
    intercept : Variable or None
        Log-odds where all columns are at their means.
    beta : Variable
        Coefficients of the unscaled columns.
    """

    slopes: Variable | None
    intercept: Variable | None
    beta: Variable

    def __iter__(self) -> Iterator[Variable]:
        for variable in (self.slopes, self.intercept, self.beta):
            if variable is not None:
                yield from (*variable.parts, variable)

    @property
    def priors(self) -> list[StatedPrior]:
        """The priors of the coefficients, in the order of the columns."""
        stated_priors = [stated for variable in (self.intercept, self.slopes) if variable for stated in variable.priors]
        return sorted(stated_priors, key=lambda stated: stated.members)


@dataclass(frozen=True)
class GroupVariables:
    """The variables of one grouping factor.

    Attributes
    ----------
    group : GroupBlock
    sd : Variable
    u : Variable
        Standardised effects.
    cholesky : tuple of (Variable or None)
        Cholesky factor of the correlation matrix of each set of effects, None for a set with one effect.
    cor : Variable or None
        Correlation matrix of all effects, if any are correlated.
    b : Variable
        Effects on the logit scale.
    """

    group: GroupBlock
    sd: Variable
    u: Variable
    cholesky: tuple[Variable | None, ...]
    cor: Variable | None
    b: Variable

    def __iter__(self) -> Iterator[Variable]:
        for variable in (*self.sd.parts, self.sd, self.u, *self.cholesky, self.cor, self.b):
            if variable is not None:
                yield variable


@dataclass(frozen=True)
class ModelVariables:
    """The variables of a model. Iteration gives all of them, each after those from which it is computed.

    Attributes
    ----------
    fixed : FixedVariables or None
        None if the model has no fixed effects.
    groups : tuple of GroupVariables
        One for each grouping factor.
    phi : Variable or None
        Precision of beta-binomial outcomes.
    outcome : Variable
    coords : mapping of str to labels
        Labels of all dimensions, those of results and those of free variables.
    """

    fixed: FixedVariables | None
    groups: tuple[GroupVariables, ...]
    phi: Variable | None
    outcome: Variable
    coords: Mapping[str, Any]

    def __iter__(self) -> Iterator[Variable]:
        yield from chain(self.fixed or (), *self.groups, (self.phi,) if self.phi else (), (self.outcome,))


def model_variables(model: ModelSpec) -> ModelVariables:
    """The variables of a model.

    Parameters
    ----------
    model : hierlogit.Model

    Returns
    -------
    ModelVariables

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> for variable in model_variables(model):
    ...     print(variable.name, variable.family, variable.dims)
    slopes_scaled Normal ('slope',)
    intercept_at_means Normal ()
    beta Deterministic ('fixed_effect',)
    sd_ID Exponential ('ID_effect',)
    u_ID Normal ('ID', 'ID_effect')
    b_ID Deterministic ('ID', 'ID_effect')
    y Bernoulli ('obs',)
    """
    design, coords = model.design, dict(model.coords)
    slopes = [label for label in design.fixed_effects if label != "Intercept"]
    if slopes:
        coords["slope"] = slopes
    groups = tuple(_group(model, group) for group in design.groups)
    for of_group in groups:
        for part, cholesky in zip(of_group.group.set_slices, of_group.cholesky, strict=True):
            coords |= {dim: list(of_group.group.effects[part]) for dim in (cholesky.dims if cholesky else ())}
    fixed = _fixed(model) if design.fixed_effects else None
    return ModelVariables(fixed, groups, _phi(model), _outcome(model), coords)


def _fixed(model: ModelSpec) -> FixedVariables:
    labels, priors = model.design.fixed_effects, model.priors.fixed
    intercept, slopes = None, [j for j, label in enumerate(labels) if label != "Intercept"]
    if model.design.has_intercept:
        stated = StatedPrior((labels.index("Intercept"),), priors["Intercept"])
        intercept = replace(_number("intercept_at_means", priors["Intercept"]), priors=(stated,))
    return FixedVariables(
        _scaled_slopes(model, slopes) if slopes else None,
        intercept,
        _computed("beta", ("fixed_effect",), (len(labels),)),
    )


def _scaled_slopes(model: ModelSpec, columns: Sequence[int]) -> Variable:
    labels = [model.design.fixed_effects[j] for j in columns]
    stated = [StatedPrior((j,), model.priors.fixed[label]) for j, label in zip(columns, labels, strict=True)]
    scaled = [
        model.priors.fixed[label].rescaled(model.design.column_sds[j]) for j, label in zip(columns, labels, strict=True)
    ]
    return _vector("slopes_scaled", "slope", labels, scaled, stated)


def _group(model: ModelSpec, group: GroupBlock) -> GroupVariables:
    name, effect_dim, q = group.result_name, model.effect_dim(group), len(group.effects)
    dims, shape = (model.dim(group), effect_dim), (len(group.levels), q)
    return GroupVariables(
        group,
        sd=_sds(model, group),
        u=Variable(f"u_{name}", "Normal", {"mu": 0.0, "sigma": 1.0}, dims, shape),
        cholesky=tuple(_cholesky(model, group, k) for k in range(len(group.sets))),
        cor=_computed(f"cor_{name}", (effect_dim, f"{effect_dim}_bis"), (q, q)) if group.correlated else None,
        b=_computed(f"b_{name}", dims, shape),
    )


def _sds(model: ModelSpec, group: GroupBlock) -> Variable:
    name, dim, priors = f"sd_{group.result_name}", model.effect_dim(group), model.priors.sd[group.name]
    if not any(isinstance(prior, Decov) for prior in priors):
        return _vector(name, dim, group.effects, priors, [StatedPrior((i,), prior) for i, prior in enumerate(priors)])
    stated = []
    for k, members in enumerate(group.sets):
        prior = priors[members[0]]
        if isinstance(prior, Decov):
            parts = _scale_and_shares(prior, len(members), f"{group.result_name}{model.set_suffix(group, k)}")
            stated.append(StatedPrior(members, prior, parts))
        else:
            numbers = [(i, _number(f"{name}[{group.effects[i]}]", priors[i])) for i in members]
            stated += [StatedPrior((i,), priors[i], (number,)) for i, number in numbers]
    return _computed(name, (dim,), (len(priors),), tuple(stated))


def _scale_and_shares(prior: Decov, k: int, name: str) -> tuple[Variable, ...]:
    """The common scale of k sds and their shares of the variance, where ``sd_i = scale * sqrt(k * share_i)``."""
    scale = Variable(f"tau_{name}", "Gamma", {"alpha": prior.shape, "beta": 1 / prior.scale}, (), ())
    if k == 1:
        return (scale,)
    return scale, Variable(f"shares_{name}", "Dirichlet", {"a": np.full(k, prior.concentration)}, (), (k,))


def _cholesky(model: ModelSpec, group: GroupBlock, k: int) -> Variable | None:
    members, suffix = group.sets[k], ""
    if len(members) == 1:
        return None
    if len(group.sets) > 1:  # only some of the factor's effects are correlated: they need their own dimension
        suffix = model.set_suffix(group, k)
    prior, dim, q = model.priors.cor[group.name], f"{model.effect_dim(group)}{suffix}", len(members)
    return Variable(
        f"chol_cor_{group.result_name}{suffix}",
        "LKJCorr",
        {"n": q, "eta": prior.eta},
        (dim, f"{dim}_bis"),
        (q, q),
        (StatedPrior(members, prior),),
    )


def _phi(model: ModelSpec) -> Variable | None:
    prior = model.priors.phi
    return None if prior is None else replace(_number("phi", prior), priors=(StatedPrior((0,), prior),))


def _outcome(model: ModelSpec) -> Variable:
    name, outcome = model.outcome_name, model.design.outcome
    if not outcome.grouped:
        return Variable(name, "Bernoulli", {}, ("obs",), (len(outcome.y),), observed=True)
    family = "BetaBinomial" if model.overdispersed else "Binomial"
    return Variable(name, family, {"n": outcome.trials.astype(int)}, ("obs",), (len(outcome.y),), observed=True)


def _number(name: str, prior: Prior) -> Variable:
    # The families have the same names in PyMC.
    return Variable(name, type(prior).__name__, prior.arguments(), (), ())


def _vector(
    name: str,
    dim: str,
    labels: Sequence[str],
    priors: Sequence[CoefficientPrior] | Sequence[ScalePrior],
    stated: Sequence[StatedPrior],
) -> Variable:
    """One variable for parameters with the same prior family; otherwise a scalar variable for each, stacked."""
    if len({type(prior) for prior in priors}) > 1:
        numbers = [_number(f"{name}[{label}]", prior) for label, prior in zip(labels, priors, strict=True)]
        parts = tuple(replace(statement, parts=(number,)) for statement, number in zip(stated, numbers, strict=True))
        return _computed(name, (dim,), (len(priors),), parts)
    arguments = {key: np.array([prior.arguments()[key] for prior in priors]) for key in priors[0].arguments()}
    return Variable(name, type(priors[0]).__name__, arguments, (dim,), (len(priors),), tuple(stated))


def _computed(
    name: str, dims: tuple[str, ...], shape: tuple[int, ...], priors: tuple[StatedPrior, ...] = ()
) -> Variable:
    return Variable(name, DETERMINISTIC, {}, dims, shape, priors)
