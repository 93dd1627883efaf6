"""The prior of each parameter of a model: defaults scaled to the data, or the user's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..design.design import Design
from ..design.grouping import GroupBlock
from ..display import Facts, Shown, View
from ..errors import PriorError
from ..validation import mapping, nearest, one_of, quoted_list, shortened
from .elicitation import implied_correlation, implied_odds_ratios
from .families import (
    COEFFICIENT_FAMILIES,
    LKJ,
    PHI_FAMILIES,
    SD_FAMILIES,
    CoefficientPrior,
    Decov,
    Exponential,
    LogNormal,
    Normal,
    Prior,
    ScalePrior,
)

#: Scale of the default priors of coefficients, on the logit scale, for one standard deviation of a predictor.
COEFFICIENT_SCALE = 2.5
DEFAULT_ETA = 2.0
#: Median of the default prior of phi, an intra-trial correlation of 0.05, and the sd of its logarithm: correlations are
#: between 0.002 and 0.57 with a probability of 90 %. Its tail leaves counts free to be nearly binomial, whereas phi
#: keeps a finite mean, which it would not have with a half-Cauchy prior: the likelihood does not vanish as phi grows.
DEFAULT_PHI, DEFAULT_LOG_PHI_SD = 20.0, 2.0


@dataclass(frozen=True, repr=False)
class Priors(Shown):
    """The priors of all parameters of a model.

    Attributes
    ----------
    fixed : mapping of str to CoefficientPrior
        By label of the fixed effect. The prior of ``Intercept`` is for the intercept at the predictors' means.
    sd : mapping of str to tuple of ScalePrior
        By grouping factor, one prior for each of its effects. A `Decov` is repeated for each effect it covers.
    cor : mapping of str to LKJ
        By grouping factor, for factors with correlated effects.
    phi : ScalePrior or None
        Of the precision of beta-binomial outcomes; None for binomial ones.
    """

    fixed: Mapping[str, CoefficientPrior]
    sd: Mapping[str, tuple[ScalePrior, ...]]
    cor: Mapping[str, LKJ]
    phi: ScalePrior | None = None

    def _view(self) -> View:
        sds = [(f"sd_{name}", ", ".join(map(str, priors))) for name, priors in self.sd.items()]
        cors = [(f"cor_{name}", str(prior)) for name, prior in self.cor.items()]
        phi = [] if self.phi is None else [("phi", str(self.phi))]
        fixed = [(name, str(prior)) for name, prior in self.fixed.items()]
        return View("Priors", (Facts((*fixed, *sds, *cors, *phi)),))

    def table(self, design: Design) -> list[tuple[str, str]]:
        """Label and text of each prior; those of random intercepts with the median odds ratios that they imply."""
        rows = [(label, str(prior)) for label, prior in self.fixed.items()]
        for group in design.groups:
            for effect, prior in zip(group.effects, self.sd[group.name], strict=True):
                rows.append((f"sd_{group.result_name}[{effect}]", _with_meaning(prior, group, effect)))
            if group.name in self.cor:
                rows.append((f"cor_{group.result_name}", str(self.cor[group.name])))
        if self.phi is not None:
            rows.append(("phi", f"{self.phi}: {implied_correlation(self.phi)}"))
        return rows


def _with_meaning(prior: ScalePrior, group: GroupBlock, effect: str) -> str:
    """Text of the prior and, if it is the prior of random intercepts alone, the median odds ratio that it implies."""
    position = group.effects.index(effect)
    joint = isinstance(prior, Decov) and any(len(members) > 1 and position in members for members in group.sets)
    return str(prior) if effect != "Intercept" or joint else f"{prior}: {implied_odds_ratios(prior)}"


def default_priors(design: Design) -> Priors:
    """Weakly informative priors, scaled to the data.

    The prior of the intercept at the predictors' means is Normal(0, 2.5), that of a coefficient Normal(0, 2.5 / sd(x)).
    The sd of a random effect is exponential with mean 1 / sd(z), or 1 for an intercept. Correlations have an LKJ(2)
    prior. None of these depends on the mean of a predictor. The prior of phi is log-normal, with the median 20 and an
    sd of log phi of 2.
    """
    fixed = {
        label: Normal(0.0, COEFFICIENT_SCALE / sd)
        for label, sd in zip(design.fixed_effects, design.column_sds, strict=True)
    }
    sd = {group.name: tuple(Exponential(s) for s in group.column_sds) for group in design.groups}
    cor = {group.name: LKJ(DEFAULT_ETA) for group in design.groups if group.correlated}
    phi = LogNormal(math.log(DEFAULT_PHI), DEFAULT_LOG_PHI_SD) if design.outcome.family == "betabinomial" else None
    return Priors(fixed, sd, cor, phi)


def resolve_priors(design: Design, given: Mapping[str, Any] | None = None, instead_of: Priors | None = None) -> Priors:
    """The priors of a model, with the user's own in place of the defaults or of other priors.

    Parameters
    ----------
    design : Design
    given : mapping of str to Prior or bambi.Prior, optional
        By class, ``"Intercept"``, ``"beta"`` (all other fixed effects), ``"sd"``, ``"cor"``, ``"phi"``; or by
        parameter: the label or the term of a fixed effect (``"urban[Y]"``, ``"livch"``, or ``"beta[urban[Y]]"``),
        ``"sd_district"``, ``"sd_district[urban[Y]]"``, ``"cor_district"``, and Bambi's ``"1|district"``. The most
        specific key wins. If a column has the same name as a class or another parameter, only ``"beta[...]"`` refers to
        its coefficient.

    instead_of : Priors, optional
        Priors of the parameters that are not named; the defaults if not given.

    Returns
    -------
    Priors

    Raises
    ------
    PriorError
        If the model has no parameter of that name, or a prior is not of a family allowed for it; the message lists
        what is allowed.

    Examples
    --------
    >>> from hierlogit.formula.parser import parse
    >>> from hierlogit.design.design import build_design
    >>> rows = {"y": [0, 1, 1, 0], "x": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "b", "b"]}
    >>> from hierlogit.priors import HalfNormal
    >>> design = build_design(parse("y ~ x + (1 | g)"), rows)
    >>> str(resolve_priors(design, {"sd": HalfNormal(2)}).sd["g"][0])
    'HalfNormal(sigma=2)'
    """
    if given is not None:
        given = mapping("priors", given, PriorError, "a mapping of names to priors, {'sd': HalfNormal(1)}")
    priors = default_priors(design) if instead_of is None else instead_of
    fixed, sd, cor, phi = dict(priors.fixed), dict(priors.sd), dict(priors.cor), priors.phi
    keys = _keys(design)
    chosen = [(key, _target(key, keys, design), prior) for key, prior in (given or {}).items()]
    for key, (rank, kind, places), prior in sorted(chosen, key=lambda item: -item[1][0]):
        if kind == "fixed":
            fixed.update(dict.fromkeys(places, _of_family(key, prior, COEFFICIENT_FAMILIES)))
        elif kind == "cor":
            cor.update(dict.fromkeys(places, _of_family(key, prior, (LKJ,))))
        elif kind == "phi":
            phi = _of_family(key, prior, PHI_FAMILIES)
        else:
            family = _of_family(key, prior, SD_FAMILIES)
            if isinstance(family, Decov) and rank == _ONE_PARAMETER:
                raise PriorError(
                    f"prior of '{key}': Decov is a joint prior of all effects of a term; give it to 'sd_<group>'."
                )
            for group, effect in places:
                of_group = list(sd[group])
                of_group[effect] = family
                sd[group] = tuple(of_group)
    _refuse_split_decov(design, sd)
    return Priors(fixed, sd, cor, phi)


_CLASS, _SEVERAL, _ONE_PARAMETER = 2, 1, 0
_Target = tuple[int, str, tuple[Any, ...]]


def _keys(design: Design) -> dict[str, _Target]:
    """All keys under which a user can give a prior, with how specific each is and which parameters it covers."""
    labels = design.fixed_effects
    slopes = tuple(label for label in labels if label != "Intercept")
    keys: dict[str, _Target] = {}
    for term in dict.fromkeys(design.fixed_terms):
        members = tuple(label for label, owner in zip(labels, design.fixed_terms, strict=True) if owner == term)
        keys[term] = (_SEVERAL, "fixed", members)
        keys[f"beta[{term}]"] = keys[term]
    for label in labels:
        keys[label] = keys[f"beta[{label}]"] = (_ONE_PARAMETER, "fixed", (label,))
    for group in design.groups:
        keys.update(_group_keys(group))
    everywhere = tuple((group.name, i) for group in design.groups for i in range(len(group.effects)))
    classes: dict[str, tuple[str, tuple[Any, ...]]] = {
        "beta": ("fixed", slopes),
        "sd": ("sd", everywhere),
        "cor": ("cor", tuple(group.name for group in design.groups if group.correlated)),
        "phi": ("phi", ("phi",) if design.outcome.family == "betabinomial" else ()),
    }
    keys.update({name: (_CLASS, kind, places) for name, (kind, places) in classes.items() if places})
    return keys


def _group_keys(group: GroupBlock) -> dict[str, _Target]:
    every = tuple((group.name, i) for i in range(len(group.effects)))
    keys: dict[str, _Target] = {f"sd_{group.result_name}": (_SEVERAL, "sd", every)}
    for term in dict.fromkeys(group.terms):  # as Bambi writes it
        members = tuple((group.name, i) for i, owner in enumerate(group.terms) if owner == term)
        keys[f"{'1' if term == 'Intercept' else term}|{group.name}"] = (_SEVERAL, "sd", members)
    for i, effect in enumerate(group.effects):
        target: _Target = (_ONE_PARAMETER, "sd", ((group.name, i),))
        keys[f"sd_{group.result_name}[{effect}]"] = target
        keys[f"{'1' if effect == 'Intercept' else effect}|{group.name}"] = target
    if group.correlated:
        keys[f"cor_{group.result_name}"] = (_ONE_PARAMETER, "cor", (group.name,))
    return keys


def _target(key: str, keys: Mapping[str, _Target], design: Design) -> _Target:
    if key in keys:
        return keys[key]
    for column in (*design.dropped, *(column for group in design.groups for column in group.dropped)):
        if column.label in key:
            raise PriorError(
                f"priors: '{key}' has no effect to be a prior of, because '{column.label}' was dropped: it is "
                f"{column.reason}. Leave this prior out."
            )
    shown = [name for name in keys if not name.startswith("beta[") and "|" not in name]
    raise PriorError(
        f"priors: the model has no parameter {shortened(key)}. Its parameters are: {', '.join(shown)}."
        f"{nearest(key, keys)}"
    )


def _of_family(key: str, prior: Any, allowed: tuple[type[Prior], ...]) -> Any:
    if type(prior).__module__.split(".")[0] == "bambi":
        prior = _from_bambi(key, prior, allowed)
    if not isinstance(prior, allowed):
        shown = str(prior) if isinstance(prior, Prior) else shortened(prior)
        raise PriorError(
            f"prior of '{key}': {shown} is not allowed for this parameter; "
            f"{one_of([family.__name__ for family in allowed])} from hierlogit.priors."
        )
    return prior


def _from_bambi(key: str, prior: Any, allowed: tuple[type[Prior], ...]) -> Prior:
    """The prior equal to a bambi.Prior; for a random effect, the bambi.Prior has the prior of the sd as its sigma."""
    arguments = dict(prior.args)
    nested = {name: value for name, value in arguments.items() if hasattr(value, "args")}
    if nested and issubclass(allowed[0], ScalePrior) and set(nested) == {"sigma"} and prior.name == "Normal":
        if np.any(np.asarray(arguments.get("mu", 0)) != 0):
            raise PriorError(f"prior of '{key}': {prior} has a mean, but random effects are deviations around 0.")
        return _from_bambi(key, nested["sigma"], allowed)
    if nested:
        raise PriorError(
            f"prior of '{key}': {prior} depends on other priors ({quoted_list(list(nested))}); give numbers."
        )
    aliases = {"Lognormal": "LogNormal"}
    name = aliases.get(prior.name, prior.name)
    families = {family.__name__: family for family in allowed}
    if name not in families:
        raise PriorError(
            f"prior of '{key}': Bambi's {prior} is not allowed for this parameter; {one_of(list(families))}."
        )
    try:
        return families[name](**{argument: _scalar(value) for argument, value in arguments.items()})
    except TypeError as error:
        known = [item.name for item in fields(families[name])]
        raise PriorError(
            f"prior of '{key}': Bambi's {prior} has other arguments than {name} has here: {quoted_list(known)}."
        ) from error


def _scalar(value: Any) -> Any:
    array = np.asarray(value)
    return array.item() if array.size == 1 else value


def _refuse_split_decov(design: Design, sd: Mapping[str, tuple[ScalePrior, ...]]) -> None:
    for group in design.groups:
        for members in group.sets:
            different = {sd[group.name][i] for i in members}
            if len(different) > 1 and any(isinstance(prior, Decov) for prior in different):
                raise PriorError(
                    f"'sd_{group.result_name}' has a Decov prior, which is joint over the correlated effects: give no "
                    "other prior to one of them."
                )
