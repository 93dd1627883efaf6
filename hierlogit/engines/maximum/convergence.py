"""The end of a search -> findings: no convergence, singular fits, infinite estimates, inaccurate integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import EngineError
from ...fits.findings import Finding
from ...validation import agree, quoted_list
from .integrator import MOST_NODES, integrator
from .objective import Objective

if TYPE_CHECKING:
    from .optimizer import Optimum
    from .search_result import Approach, SearchResult

FloatArray = npt.NDArray[np.float64]

#: A correlation further from zero than this counts as 1 or -1.
NEARLY_ONE = 1 - 1e-6
#: An estimate may be infinite if its standard error, on the logit scale for one sd of the column, is above this.
LARGE_ERROR = 8.0
#: How far the linear predictor is then moved: root mean square over the rows, in logits.
LONG_STEP = 5.0
#: If the estimate is finite, that step lowers the log-likelihood by at least this much.
LEAST_COST = 0.1
#: With a larger sd of the clusters' linear predictors, hardly any probability lies between 0 and 1.
LARGE_SD = 10.0
#: How far finer quadrature may move an estimate, in standard errors, before that is a finding.
INTEGRATION_ERROR = 0.5
#: Nodes that Laplace's method is compared with, by the number of effects of the first factor.
CHECK_NODES = {1: 9, 2: 4, 3: 3}


def search_findings(result: SearchResult, approach: Approach) -> tuple[Finding, ...]:
    """The findings about the end of a search, with advice."""
    objective, optimum = result.objective, result.optimum
    findings = _not_converged(optimum)
    findings += _separation(objective, optimum, approach)
    findings += _large_sds(objective, optimum)
    findings += _singular_fit(objective, optimum, approach)
    findings += _integration_error(result, approach)
    objective.evaluate(optimum.point.psi)  # so that the work arrays hold the optimum again
    return tuple(findings)


def boundary_names(objective: Objective, optimum: Optimum) -> tuple[str, ...]:
    """Names of sds that are zero and of correlations that are 1 or -1."""
    names = []
    for group, L in zip(objective.model.design.groups, objective.cholesky(optimum.point.psi), strict=True):
        sd = np.sqrt((L**2).sum(axis=1))
        name = group.result_name
        names += [f"sd_{name}[{effect}] = 0" for effect, value in zip(group.effects, sd, strict=True) if value == 0]
        for members in group.sets:
            varying = [i for i in members if sd[i] > 0]
            pairs = [(i, j) for i in varying for j in varying if i < j]
            ones = [(i, j, L[i] @ L[j] / (sd[i] * sd[j])) for i, j in pairs]
            ones = [(i, j, r) for i, j, r in ones if abs(r) > NEARLY_ONE]
            names += [f"cor_{name}[{group.effects[i]}, {group.effects[j]}] = {np.sign(r):.0f}" for i, j, r in ones]
            if not ones and any(L[i, i] == 0 for i in varying):
                names.append(f"the covariance matrix of {quoted_list([group.effects[i] for i in varying])} by {name}")
    return tuple(names)


def _singular_fit(objective: Objective, optimum: Optimum, approach: Approach) -> list[Finding]:
    names = boundary_names(objective, optimum)
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
            f"The fit is singular: {'; '.join(names)}. The data show no more variation there than expected by chance; "
            "only the other parameters have standard errors.",
            remedy,
        )
    ]


def _not_converged(optimum: Optimum) -> list[Finding]:
    if optimum.converged:
        return []
    if not optimum.point.converged:
        evidence = "The conditional modes of the random effects were not found."
    elif not optimum.positive_definite:
        evidence = "The log-likelihood does not fall in every direction from where the search ended."
    else:
        gain = f"{optimum.possible_gain:.2g}"
        evidence = f"The log-likelihood could still rise by about {gain} from where the search ended."
    far = not optimum.positive_definite or optimum.possible_gain > 1e-2
    return [
        Finding(
            "not_converged",
            "error" if far else "warning",
            evidence,
            "Look for predictors on extreme scales, separation, or random terms about which the data hold hardly any "
            "information. Then try hl.MAP(), whose priors keep the estimates finite.",
        )
    ]


def unbounded_effects(objective: Objective, optimum: Optimum, approach: Approach) -> tuple[str, ...]:
    """Fixed effects with infinite estimates: moving them far does not lower the log-likelihood, because of separation.

    The work arrays hold another point than the optimum afterwards.
    """
    if approach.penalised or not objective.p:
        return ()
    design = objective.model.design
    candidates = np.arange(objective.p)
    if optimum.positive_definite:
        errors = np.sqrt(np.diag(optimum.covariance)[: objective.p])
        candidates = np.flatnonzero(errors * design.column_sds > LARGE_ERROR)
    unbounded = []
    for k in candidates:
        direction = _along_ridge(objective, optimum, int(k))
        change = design.X @ direction[: objective.p]
        step = LONG_STEP / np.sqrt(np.mean(change**2)) * direction
        values = [objective.evaluate(optimum.point.psi + sign * step).value for sign in (1.0, -1.0)]
        if min(abs(optimum.point.value - value) for value in values) < LEAST_COST:
            unbounded.append(design.fixed_effects[k])
    return tuple(unbounded)


def _separation(objective: Objective, optimum: Optimum, approach: Approach) -> list[Finding]:
    unbounded = unbounded_effects(objective, optimum, approach)
    if not unbounded:
        return []
    return [
        Finding(
            "separation",
            "warning",
            f"The {agree(unbounded, 'estimate', 'estimates')} of {quoted_list(unbounded)} "
            f"{agree(unbounded, 'is', 'are')} infinite: moving the linear predictor by {LONG_STEP:g} "
            f"logits in that direction changes the log-likelihood by less than {LEAST_COST:g}, because some "
            "combination of predictors separates the two outcomes.",
            "Use hl.MAP() or NUTS, whose priors keep the coefficients finite, or merge levels with a single outcome.",
        )
    ]


def _along_ridge(objective: Objective, optimum: Optimum, k: int) -> FloatArray:
    """The direction in which the other parameters follow when coefficient k moves by 1."""
    direction = np.zeros(len(objective))
    if optimum.positive_definite and optimum.covariance[k, k] > 0:
        direction[:] = optimum.covariance[:, k] / optimum.covariance[k, k]
    direction[k] = 1.0
    return direction


def _large_sds(objective: Objective, optimum: Optimum) -> list[Finding]:
    """Standard deviations so large that the clusters' probabilities are almost 0 or 1."""
    large = []
    for group, L in zip(objective.model.design.groups, objective.cholesky(optimum.point.psi), strict=True):
        # Of all effects together: where a predictor is far from zero, the sd of the intercepts alone means nothing.
        sd = float(np.sqrt(np.mean(((group.Z @ L) ** 2).sum(axis=1))))
        if sd > LARGE_SD:
            large.append(f"'{group.name}' {sd:.3g}")
    if not large:
        return []
    return [
        Finding(
            "large_sd",
            "warning",
            f"The clusters' linear predictors vary with an sd of {', '.join(large)} logits, so that nearly all of "
            "their probabilities are almost 0 or 1. The cause is clusters with a single outcome, or in which a "
            "predictor separates the outcomes.",
            "Count the clusters that have both outcomes: if they are few, the data hardly limit the sd, and NUTS or "
            "hl.MAP(), which have a prior for it, are the safer choice.",
        )
    ]


def _integration_error(result: SearchResult, approach: Approach) -> list[Finding]:
    """Compare with finer quadrature at the same parameters, if quadrature can integrate out these random effects."""
    arrangement, design = result.laplace.arrangement, result.objective.model.design
    if approach.nodes == 1:
        nodes = CHECK_NODES.get(int(arrangement.row_index.q[0]), 0)
    else:
        nodes = min(approach.nodes + approach.nodes // 2 + 1, MOST_NODES)
    try:
        finer = integrator(design, nodes)(arrangement)
    except EngineError:
        return []
    finer.work.u[:] = result.laplace.work.u
    refined = Objective(result.objective.model, finer, penalised=approach.penalised).evaluate(result.optimum.point.psi)
    move = largest_move(result.optimum.covariance, refined.gradient)
    if move < INTEGRATION_ERROR:
        return []
    change = refined.log_likelihood - result.optimum.point.log_likelihood
    evidence = (
        f"quadrature with {nodes} nodes moves an estimate by about {move:.1f} standard errors, and the "
        f"log-likelihood at these parameters by {change:+.1f}. Clusters with few rows and large effects cause this."
    )
    engine = "hl.MAP" if approach.penalised else "hl.AGQ"
    if approach.nodes == 1:
        evidence = f"Laplace's approximation is poor here: {evidence}"
        return [Finding("laplace_inaccurate", "warning", evidence, f"Use {engine}(nodes=25) or NUTS.")]
    evidence = f"{approach.nodes} quadrature nodes are too few here: {evidence}"
    return [Finding("too_few_nodes", "warning", evidence, f"Use more, {engine}(nodes={nodes}), or NUTS.")]


def largest_move(covariance: FloatArray, gradient: FloatArray) -> float:
    """Largest move of a parameter in one Newton step, in standard errors.

    Parameters
    ----------
    covariance : ndarray, shape (m, m)
        Covariance of the estimates; zero or not a number for parameters that are held.
    gradient : ndarray, shape (m,)
        Gradient, at the estimates, of a log-likelihood with more quadrature nodes.
    """
    covariance = np.nan_to_num(covariance)
    step, errors = covariance @ gradient, np.sqrt(np.maximum(np.diag(covariance), 0.0))
    moves: FloatArray = np.divide(np.abs(step), errors, out=np.zeros_like(step), where=errors > 0)
    return float(moves.max(initial=0.0))
