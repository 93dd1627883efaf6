"""Singular and nearly singular covariance matrices at the end of a search, as findings in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...estimate import NEARLY_ONE
from ...fits.findings import Finding
from ...fits.principal_components import PrincipalComponents
from ...formatting import number
from ...validation import quoted_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .objective import Objective
    from .optimizer import Optimum

FloatArray = npt.NDArray[np.float64]

#: A covariance matrix is nearly singular if the log-likelihood without its emptiest directions is hardly lower.
LITTLE_LOST = 0.5


def boundary_names(objective: Objective, optimum: Optimum) -> tuple[str, ...]:
    """Names of sds that are zero, of correlations that are 1 or -1, and of phi if it is infinite."""
    binomial = ["phi = infinity"] if objective.overdispersed and optimum.point.psi[-1] == 0.0 else []
    return (*(name for _, names in _boundary(objective, optimum) for name in names), *binomial)


def _boundary(objective: Objective, optimum: Optimum) -> list[tuple[str, list[str]]]:
    """For each grouping factor, the names of sds that are zero, and those of correlations that are 1 or -1."""
    found = []
    for group, L in zip(objective.model.design.groups, objective.cholesky(optimum.point.psi), strict=True):
        sd = np.sqrt((L**2).sum(axis=1))
        name = group.result_name
        zeros = [f"sd_{name}[{effect}] = 0" for effect, value in zip(group.effects, sd, strict=True) if value == 0]
        ends = []
        for members in group.sets:
            varying = [i for i in members if sd[i] > 0]
            pairs = [(i, j) for i in varying for j in varying if i < j]
            ones = [(i, j, L[i] @ L[j] / (sd[i] * sd[j])) for i, j in pairs]
            ones = [(i, j, r) for i, j, r in ones if abs(r) > NEARLY_ONE]
            ends += [f"cor_{name}[{group.effects[i]}, {group.effects[j]}] = {np.sign(r):.0f}" for i, j, r in ones]
            if not ones and any(L[i, i] == 0 for i in varying):
                ends.append(f"the covariance matrix of {quoted_list([group.effects[i] for i in varying])} by {name}")
        found += [("zero", zeros), ("end", ends)]
    return found


def singular_fit(objective: Objective, optimum: Optimum, *, penalised: bool) -> list[Finding]:
    """A finding about sds that are zero and correlations that are 1 or -1."""
    # An sd that is not identified has a finding of its own.
    held = {f"sd_{group.result_name}[" for group in objective.single_trials}
    names: dict[str, list[str]] = {"zero": [], "end": []}
    for kind, of_factor in _boundary(objective, optimum):
        names[kind] += [name for name in of_factor if not name.startswith(tuple(held))]
    if not any(names.values()):
        return []
    meaning = ["The data show no more variation there than expected by chance."] if names["zero"] else []
    if names["end"]:
        meaning += _empty_directions(objective, optimum)
        if any(name.startswith("cor_") for name in names["end"]):
            meaning.append("A correlation of 1 or -1 is the end of its range.")
        meaning.append(
            "In these data, the effects of a cluster are as if all of them followed from one or a few others, which "
            "small or few clusters often bring about by chance."
        )
    return [
        Finding(
            "singular_fit",
            "note",
            f"The fit is singular: {'; '.join(names['zero'] + names['end'])}. {' '.join(meaning)} Only the other "
            "parameters have standard errors.",
            _not_singular(objective, zero=bool(names["zero"]), penalised=penalised),
        )
    ]


def _components(objective: Objective, optimum: Optimum) -> Iterator[tuple[int, slice, PrincipalComponents]]:
    """Of each set of correlated effects, with the position of its factor: if all vary, for one sd of their columns."""
    for g, (group, L) in enumerate(
        zip(objective.model.design.groups, objective.cholesky(optimum.point.psi), strict=True)
    ):
        for part in group.set_slices:
            root = group.column_sds[part, None] * L[part, part]
            if len(root) > 1 and root.any(axis=1).all():
                yield g, part, PrincipalComponents.of(group.effects[part], root)


def _empty_directions(objective: Objective, optimum: Optimum) -> list[str]:
    """Sentences about covariance matrices with directions without variance, whose sds are not zero."""
    groups = objective.model.design.groups
    sentences = (one.described(groups[g].name) for g, _, one in _components(objective, optimum))
    return [sentence for sentence in sentences if sentence]


def nearly_singular(objective: Objective, optimum: Optimum) -> list[Finding]:
    """Findings about covariance matrices that are not singular, but fit hardly better than singular ones."""
    findings = []
    for g, part, one in _components(objective, optimum):
        group, L = objective.model.design.groups[g], objective.cholesky(optimum.point.psi)
        text = one.described(group.name)
        if not text or np.any(np.diag(L[g])[part] == 0):
            continue
        L[g][part, part] = one.without_empty() / group.column_sds[part, None]
        without = objective.evaluate(objective.with_cholesky(optimum.point.psi, L))
        lost = objective.evaluate(optimum.point.psi).log_likelihood - without.log_likelihood
        if lost > LITTLE_LOST:
            continue
        findings.append(
            Finding(
                "nearly_singular",
                "note",
                f"The covariance matrix of the effects of '{group.name}' is nearly singular. {text} Without the rest, "
                f"and all other estimates as they are, the log-likelihood is lower by {number(max(lost, 0.0))}.",
                "Nothing is wrong with the other estimates. A simpler random term, with two bars, (... || group), or "
                "without the effect, may do as well: hl.likelihood_ratio tells.",
            )
        )
    return findings


def _not_singular(objective: Objective, *, zero: bool, penalised: bool) -> str:
    """What to do about an sd of zero, or about a correlation of 1 or -1."""
    if zero and penalised:
        return "Leave the term out, or give its sd a prior that vanishes at zero, such as Gamma(2, 1)."
    if zero:
        sampler = f"{objective.sampler}, or " if objective.sampler else ""
        return f"Leave the term out, or use {sampler}MAP with an sd prior that vanishes at zero, such as Gamma(2, 1)."
    bars = "Write the random term with two bars, (... || group), which has no correlations"
    if penalised:
        return f"{bars}, or give its correlations a prior that vanishes at 1 and -1, such as LKJ(2)."
    return f"{bars}, or use {objective.with_priors}, whose default prior of correlations vanishes at 1 and -1."
