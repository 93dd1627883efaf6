"""Options of other packages' model functions, with what is written here in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .errors import ModelError
from .validation import nearest, one_of, quoted_list, shortened

_SAMPLER = "Options of the sampler belong to the engine: model.fit(hl.NUTS({}={}))."
_OPTIMISER = "The likelihood engines need no settings of an optimiser: model.fit('laplace')."
_FORMULA = "It is part of the formula: {}."
_ENGINE = (
    "A model is fitted by an engine: model.fit('laplace'), or hl.AGQ(nodes=25), hl.MAP() and hl.NUTS() in its place."
)
#: What to do instead, by option; ``{value}`` is the value that was given.
INSTEAD = MappingProxyType(
    {
        "link": "Every model has a logit link: leave it out.",
        "trials": _FORMULA.format("p(successes, trials) ~ ..."),
        "size": _FORMULA.format("p(successes, trials) ~ ..."),
        "offset": _FORMULA.format("... + offset(x)"),
        "random": _FORMULA.format("... + (1 + x | group)"),
        "groups": _FORMULA.format("... + (1 | group)"),
        "group": _FORMULA.format("... + (1 | group)"),
        "cluster": _FORMULA.format("... + (1 | cluster)"),
        "re_formula": _FORMULA.format("... + (1 + x | group)"),
        "vc_formula": _FORMULA.format("... + (1 | a) + (1 | b)"),
        "contrasts": _FORMULA.format("C(x, Sum)"),
        "subset": "Select the rows before: hl.Model(formula, data[data['x'] > 0]).",
        "na_action": "Rows with missing values are dropped with a warning; missing='error' refuses them.",
        "dropna": "Rows with missing values are dropped with a warning; missing='error' refuses them.",
        "prior": "Priors are given by parameter: priors={{'age': hl.priors.Normal(0, 1)}}.",
        "nAGQ": "The engine integrates the random effects out: model.fit(hl.AGQ(nodes={value})) or "
        "model.fit('laplace').",
        "engine": "The engine is chosen when the model is fitted: model.fit({value}).",
        "method": _ENGINE,
        "algorithm": _ENGINE,
        "REML": "Restricted likelihood is for linear models: leave it out.",
        "control": _OPTIMISER,
        "optimizer": _OPTIMISER,
        "start": _OPTIMISER,
        "maxiter": _OPTIMISER,
        "chains": _SAMPLER.format("chains", "{value}"),
        "draws": _SAMPLER.format("draws", "{value}"),
        "iter": _SAMPLER.format("draws", "{value}"),
        "tune": _SAMPLER.format("tune", "{value}"),
        "warmup": _SAMPLER.format("tune", "{value}"),
        "cores": _SAMPLER.format("cores", "{value}"),
        "seed": _SAMPLER.format("seed", "{value}"),
        "random_seed": _SAMPLER.format("seed", "{value}"),
        "target_accept": _SAMPLER.format("target_accept", "{value}"),
        "adapt_delta": _SAMPLER.format("target_accept", "{value}"),
    }
)


def refuse_options(function: str, given: Mapping[str, object], allowed: Sequence[str]) -> None:
    """Refuse options that a function does not have, with what to write instead of those known from other packages.

    Examples
    --------
    >>> refuse_options("hl.Model", {"nAGQ": 7}, ["priors"])
    Traceback (most recent call last):
        ...
    hierlogit.errors.ModelError: hl.Model has no option 'nAGQ'. The engine integrates the random effects out: \
model.fit(hl.AGQ(nodes=7)) or model.fit('laplace').

    Raises
    ------
    ModelError
    """
    if not given:
        return
    name, value = next(iter(given.items()))
    if name in INSTEAD:
        instead = INSTEAD[name].format(value=shortened(value))
        raise ModelError(f"{function} has no option {quoted_list([name])}. {instead}")
    raise ModelError(f"{function} has no option {quoted_list([name])}; {one_of(allowed)}.{nearest(name, allowed)}")
