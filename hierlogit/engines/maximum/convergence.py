"""The end of a search -> findings: what stands at a boundary, what the data do not determine, poor integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import EngineError
from ...fits.findings import Finding
from ...validation import quoted_list
from .integrator import MOST_NODES, integrator
from .objective import Objective

if TYPE_CHECKING:
    from .optimizer import Optimum
    from .search_result import Approach, SearchResult

FloatArray = npt.NDArray[np.float64]

#: A correlation counts as 1 or -1 from here on.
NEARLY_ONE = 1 - 1e-6
#: A standard error above this, on the logit scale for one sd of the column, is looked into.
WIDE = 8.0
#: Logits to move the linear predictor by, root mean square over the rows: a step that should cost log-likelihood.
FAR = 5.0
#: What that step costs at least if the data determine the direction.
COST = 0.1
#: An sd of the clusters' linear predictors that leaves hardly any probability between 0 and 1.
LARGE_SD = 10.0
#: How far finer quadrature may move an estimate, in standard errors, before that is a finding.
INTEGRATION_ERROR = 0.5
#: Nodes that Laplace's method is compared with, by the number of effects of the first factor.
CHECK_NODES = {1: 9, 2: 4, 3: 3}


def search_findings(found: SearchResult, approach: Approach) -> tuple[Finding, ...]:
    """What is to be said of the end of a search, with advice."""
    problem, peak = found.problem, found.peak
    findings = _not_a_maximum(peak)
    findings += _flat_directions(problem, peak, approach)
    findings += _large_sds(problem, peak)
    findings += _boundary(problem, peak, approach)
    findings += _integration_error(found, approach)
    # So that the work arrays hold the peak again.
    problem.evaluate(peak.point.psi)
    return tuple(findings)


def boundary_names(problem: Objective, peak: Optimum) -> tuple[str, ...]:
    """Names of sds that are zero and of correlations that are 1 or -1."""
    names = []
    for group, L in zip(problem.model.design.groups, problem.cholesky(peak.point.psi), strict=True):
        sd = np.sqrt((L**2).sum(axis=1))
        name = group.result_name
        names += [f"sd_{name}[{effect}] = 0" for effect, value in zip(group.effects, sd, strict=True) if value == 0]
        for members in group.sets:
            moving = [i for i in members if sd[i] > 0]
            pairs = [(i, j) for i in moving for j in moving if i < j]
            ones = [(i, j, L[i] @ L[j] / (sd[i] * sd[j])) for i, j in pairs]
            ones = [(i, j, r) for i, j, r in ones if abs(r) > NEARLY_ONE]
            names += [f"cor_{name}[{group.effects[i]}, {group.effects[j]}] = {np.sign(r):.0f}" for i, j, r in ones]
            if not ones and any(L[i, i] == 0 for i in moving):
                names.append(f"the covariance matrix of {quoted_list([group.effects[i] for i in moving])} by {name}")
    return tuple(names)


def _boundary(problem: Objective, peak: Optimum, approach: Approach) -> list[Finding]:
    names = boundary_names(problem, peak)
    if not names:
        return []
    if approach.penalised:
        remedy = "Leave the term out, or give its sd a prior that vanishes at zero, such as Gamma(2, 1)."
    else:
        remedy = "Leave the term out, or use NUTS, or MAP with an sd prior that vanishes at zero, such as Gamma(2, 1)."
    return [
        Finding(
            "singular_fit",
            "note",
            f"The maximum is at a boundary: {'; '.join(names)}. The data show no more variation there than chance "
            "gives; standard errors are of the other parameters.",
            remedy,
        )
    ]


def _not_a_maximum(peak: Optimum) -> list[Finding]:
    if peak.converged:
        return []
    if not peak.point.converged:
        evidence = "The modes of the random effects were not found."
    elif not peak.positive:
        evidence = "The log-likelihood does not fall in every direction from where the search ended."
    else:
        evidence = f"The log-likelihood could still rise by about {peak.possible_gain:.2g} from where the search ended."
    far = not peak.positive or peak.possible_gain > 1e-2
    return [
        Finding(
            "not_converged",
            "error" if far else "warning",
            evidence,
            "Look for predictors on extreme scales, separated outcomes, or random terms with hardly any information; "
            "MAP, whose priors bound the estimates, is the next thing to try.",
        )
    ]


def unbounded_effects(problem: Objective, peak: Optimum, approach: Approach) -> tuple[str, ...]:
    """Fixed effects that can move far at no cost: the outcome is separated, wholly or nearly, by their columns.

    The work arrays then hold another point than the peak.
    """
    if approach.penalised or not problem.p:
        return ()
    design = problem.model.design
    suspects = np.arange(problem.p)
    if peak.positive:
        suspects = np.flatnonzero(np.sqrt(np.diag(peak.covariance)[: problem.p]) * design.column_sds > WIDE)
    flat = []
    for k in suspects:
        direction = _ridge(problem, peak, int(k))
        moved = design.X @ direction[: problem.p]
        step = FAR / np.sqrt(np.mean(moved**2)) * direction
        costs = [peak.point.value - problem.evaluate(peak.point.psi + sign * step).value for sign in (1.0, -1.0)]
        if min(np.abs(costs)) < COST:
            flat.append(design.fixed_effects[k])
    return tuple(flat)


def _flat_directions(problem: Objective, peak: Optimum, approach: Approach) -> list[Finding]:
    flat = unbounded_effects(problem, peak, approach)
    if not flat:
        return []
    return [
        Finding(
            "separation",
            "warning",
            f"The data do not bound {quoted_list(flat)}: moving the linear predictor by {FAR:g} logits that way "
            f"changes the log-likelihood by less than {COST:g}. Some combination of predictors separates the two "
            "outcomes, so the maximum lies at infinity.",
            "Use hl.MAP(), whose priors bound the coefficients, or NUTS; or merge levels that have one outcome only.",
        )
    ]


def _ridge(problem: Objective, peak: Optimum, k: int) -> FloatArray:
    """How all parameters move along the ridge when the coefficient k moves by 1."""
    direction = np.zeros(len(problem))
    if peak.positive and peak.covariance[k, k] > 0:
        direction[:] = peak.covariance[:, k] / peak.covariance[k, k]
    direction[k] = 1.0
    return direction


def _large_sds(problem: Objective, peak: Optimum) -> list[Finding]:
    """Standard deviations with which the clusters' probabilities are all but 0 or 1."""
    named = []
    for group, L in zip(problem.model.design.groups, problem.cholesky(peak.point.psi), strict=True):
        # Of the effects together: with a predictor far from zero, that of an intercept alone says nothing.
        sd = float(np.sqrt(np.mean(((group.Z @ L) ** 2).sum(axis=1))))
        if sd > LARGE_SD:
            named.append(f"'{group.name}' {sd:.3g}")
    if not named:
        return []
    return [
        Finding(
            "large_sd",
            "warning",
            f"The clusters' linear predictors vary with an sd of {', '.join(named)} logits, so that nearly all of "
            "their probabilities are almost 0 or 1. It comes from clusters with one outcome only, or in which a "
            "predictor separates the outcomes.",
            "Count the clusters that have both outcomes: with few of them the data hardly bound the sd, and NUTS or "
            "hl.MAP(), with a prior for it, are the safer choice.",
        )
    ]


def _integration_error(found: SearchResult, approach: Approach) -> list[Finding]:
    """Compare with finer quadrature at the same parameters, where the random effects are of a kind that it can do."""
    arrangement, design = found.laplace.arrangement, found.problem.model.design
    if approach.nodes == 1:
        nodes = CHECK_NODES.get(int(arrangement.row_index.q[0]), 0)
    else:
        nodes = min(approach.nodes + approach.nodes // 2 + 1, MOST_NODES)
    try:
        finer = integrator(design, nodes)(arrangement)
    except EngineError:
        return []
    finer.work.u[:] = found.laplace.work.u
    there = Objective(found.problem.model, finer, penalised=approach.penalised).evaluate(found.peak.point.psi)
    move = largest_move(found.peak.covariance, there.gradient)
    if move < INTEGRATION_ERROR:
        return []
    off = there.log_likelihood - found.peak.point.log_likelihood
    evidence = (
        f"quadrature with {nodes} nodes moves an estimate by about {move:.1f} standard errors, and the "
        f"log-likelihood at these parameters by {off:+.1f}. Clusters with few rows and large effects cause this."
    )
    engine = "hl.MAP" if approach.penalised else "hl.AGQ"
    if approach.nodes == 1:
        poor = f"Laplace's approximation is poor here: {evidence}"
        return [Finding("laplace_inaccurate", "warning", poor, f"Use {engine}(nodes=25) or NUTS.")]
    poor = f"{approach.nodes} quadrature nodes are too few here: {evidence}"
    return [Finding("too_few_nodes", "warning", poor, f"Use more, {engine}(nodes={nodes}), or NUTS.")]


def largest_move(covariance: FloatArray, gradient: FloatArray) -> float:
    """Largest move of a parameter in one Newton step, in standard errors.

    Parameters
    ----------
    covariance : ndarray, shape (m, m)
        Of the estimates, from the curvature at the maximum; zero or not a number where a parameter does not move.
    gradient : ndarray, shape (m,)
        Of the finer log-likelihood at that maximum.
    """
    covariance = np.nan_to_num(covariance)
    step, errors = covariance @ gradient, np.sqrt(np.maximum(np.diag(covariance), 0.0))
    moves: FloatArray = np.divide(np.abs(step), errors, out=np.zeros_like(step), where=errors > 0)
    return float(moves.max(initial=0.0))
