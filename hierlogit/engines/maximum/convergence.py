"""The end of a search -> findings: no convergence, singular fits, flat likelihoods, inaccurate integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import EngineError
from ...estimate import LARGEST_RELATIVE_ERROR, Estimate
from ...fits.findings import Finding
from ...fits.identification import findings_of_design
from ...validation import agree, quoted_list
from .flat_directions import LEAST_COST, LONG_STEP, Bounded
from .integrator import MOST_NODES, integrator
from .objective import Objective, Point
from .probe_errors import probe_errors
from .singularity import nearly_singular, singular_fit

if TYPE_CHECKING:
    from .optimizer import Optimum
    from .search_result import Approach, SearchResult

FloatArray = npt.NDArray[np.float64]

#: Findings about a design that explain why the likelihood is flat.
EXPLANATIONS = ("not_identified", "slope_not_identified", "intercept_not_identified", "identical_factors")
#: With a larger sd of the clusters' linear predictors, hardly any probability lies between 0 and 1.
LARGE_SD = 10.0
#: How far finer quadrature may move an estimate, in standard errors, before that is a finding.
INTEGRATION_ERROR = 0.5
#: Nodes that Laplace's method is compared with, by the number of effects of the first factor.
CHECK_NODES = {1: 9, 2: 4, 3: 3}


def search_findings(result: SearchResult, approach: Approach, estimate: Estimate) -> tuple[Finding, ...]:
    """The findings about the end of a search, with advice."""
    objective, optimum = result.objective, result.optimum
    unidentified = result.unidentified
    if len(unidentified):
        about_design = findings_of_design(objective.model.design)
        unidentified = unidentified[:0] if any(one.code in EXPLANATIONS for one in about_design) else unidentified
    findings = optimum_findings(objective, Bounded(optimum, result.infinite, unidentified), estimate)
    findings += _integration_error(result, approach)
    findings += probe_errors(result)
    objective.evaluate(optimum.point.psi)  # so that the work arrays hold the optimum again
    return tuple(findings)


def optimum_findings(objective: Objective, found: Bounded, estimate: Estimate) -> list[Finding]:
    """The findings for which the objective alone is needed, and not the rows.

    Parameters
    ----------
    objective : Objective
    found : Bounded
        The end of the search, without unidentified parameters that have an explanation.
    estimate : Estimate
    """
    optimum = found.optimum
    findings = _not_converged(optimum)
    findings += _not_identified(objective, found.unidentified)
    findings += _separation(objective, found.infinite)
    findings += _large_sds(objective, optimum)
    findings += _unbounded_intervals(objective, estimate)
    findings += singular_fit(objective, optimum, penalised=objective.penalised)
    findings += nearly_singular(objective, optimum)
    findings += _not_overdispersed(objective, optimum)
    findings += _at_prior_peak(objective, optimum)
    return findings


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


def _not_overdispersed(objective: Objective, optimum: Optimum) -> list[Finding]:
    """A finding about beta-binomial outcomes that are estimated to be binomial."""
    if not objective.overdispersed or optimum.point.psi[-1] != 0.0:
        return []
    return [
        Finding(
            "not_overdispersed",
            "note",
            "The estimate of phi is infinite: given the rest of the model, the counts vary no more than binomial ones. "
            "The other estimates are those of the model with binomial outcomes, and phi has no standard error.",
            "Leave family='betabinomial' out; hl.summary(fit, interval='profile') shows how much over-dispersion the "
            "data leave possible.",
        )
    ]


def _at_prior_peak(objective: Objective, optimum: Optimum) -> list[Finding]:
    """A finding about coefficients that are estimated at the peak of a Laplace prior."""
    effects = objective.model.design.fixed_effects
    peaks = [f"{effects[k]} = {peak:.6g}" for k, peak, _ in objective.kinks() if not optimum.free[k]]
    if not peaks:
        return []
    return [
        Finding(
            "at_prior_peak",
            "note",
            f"The posterior mode is at the peak of Laplace priors: {', '.join(peaks)}. The density has a kink there, "
            "so that its curvature gives no standard error, and the draws of the fit have this value.",
            f"{objective.sampler} samples the posterior, whose intervals do not need a curvature."
            if objective.sampler
            else "Priors without a kink, such as Normal, give standard errors.",
        )
    ]


def _separation(objective: Objective, infinite: tuple[str, ...]) -> list[Finding]:
    if not infinite:
        return []
    return [
        Finding(
            "separation",
            "warning",
            f"The {agree(infinite, 'estimate', 'estimates')} of {quoted_list(infinite)} "
            f"{agree(infinite, 'is', 'are')} infinite: moving the linear predictor by {LONG_STEP:g} "
            f"logits in that direction changes the log-likelihood by less than {LEAST_COST:g}, because some "
            f"combination of predictors separates the two outcomes. {agree(infinite, 'It has', 'They have')} no "
            "standard error.",
            f"Use {objective.with_priors}, whose priors keep the coefficients finite, or merge levels with a single "
            "outcome.",
        )
    ]


def _not_identified(objective: Objective, places: npt.NDArray[np.intp]) -> list[Finding]:
    """A finding about a likelihood that is flat in the parameters at these positions of the vector."""
    if not len(places):
        return []
    labels = [label for label in _labels(objective, places) if label]
    return [
        Finding(
            "not_identified",
            "error",
            f"The likelihood is flat in {quoted_list(labels)}: other values of "
            f"{agree(labels, 'this parameter', 'these parameters together')} fit as well, and "
            f"{agree(labels, 'it has', 'they have')} no standard error.",
            f"Leave random effects out until the rows tell the others apart; with {objective.with_priors}, the "
            "priors decide.",
        )
    ]


def _labels(objective: Objective, places: npt.NDArray[np.intp]) -> list[str]:
    """Labels of the fixed effects, sds and correlations at positions of the vector."""
    design, labels = objective.model.design, []
    for k in places:
        if k < objective.p:
            labels.append(design.fixed_effects[k])
            continue
        if k == objective.p + len(objective.entries):
            labels.append("phi")
            continue
        g, a, b = objective.entries[k - objective.p]
        group = design.groups[g]
        effects = group.effects[a] if a == b else f"{group.effects[b]}, {group.effects[a]}"
        labels.append(f"{'sd' if a == b else 'cor'}_{group.result_name}[{effects}]")
    return labels


def _unbounded_intervals(objective: Objective, estimate: Estimate) -> list[Finding]:
    vague = estimate.vague_scales()
    if not vague:
        return []
    return [
        Finding(
            "unbounded_interval",
            "note",
            f"The standard {agree(vague, 'error', 'errors')} of {quoted_list(vague)} "
            f"{agree(vague, 'is', 'are')} more than {LARGEST_RELATIVE_ERROR:g} times the "
            f"{agree(vague, 'estimate', 'estimates')}: the Wald {agree(vague, 'interval has', 'intervals have')} no "
            "upper end.",
            f"Read {objective.profile}, which asks the likelihood itself"
            f"{f', or use {objective.sampler}' if objective.sampler else ''}.",
        )
    ]


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
            "Count the clusters that have both outcomes: if they are few, the data hardly limit the sd, and a prior "
            f"for it is the safer choice: use {objective.with_priors}.",
        )
    ]


def _integration_error(result: SearchResult, approach: Approach) -> list[Finding]:
    """Compare with finer quadrature at the same parameters, if quadrature can integrate out these random effects."""
    arrangement, design = result.laplace.arrangement, result.objective.model.design
    nodes = finer_nodes(approach.nodes, int(arrangement.row_index.q[0]))
    try:
        finer = integrator(design, nodes)(arrangement)
    except EngineError:
        return []
    finer.work.u[:] = result.laplace.work.u
    psi, fitted = result.optimum.point.psi, result.objective.evaluate(result.optimum.point.psi)
    refined = Objective(result.objective.model, finer, penalised=approach.penalised).evaluate(psi)
    return inaccurate_integration(approach, nodes, result.optimum.covariance, fitted, refined, result.objective.sampler)


def finer_nodes(nodes: int, effects: int) -> int:
    """Nodes of a finer quadrature; 0 if there is none for so many effects of the first factor."""
    return CHECK_NODES.get(effects, 0) if nodes == 1 else min(nodes + nodes // 2 + 1, MOST_NODES)


def inaccurate_integration(
    approach: Approach, nodes: int, covariance: FloatArray, fitted: Point, refined: Point, sampler: str
) -> list[Finding]:
    """A finding about estimates that finer quadrature would move.

    Parameters
    ----------
    approach : Approach
    nodes : int
        Of the finer quadrature.
    covariance : ndarray, shape (m, m)
        Of the estimates.
    fitted, refined : Point
        The objective at the estimates, by the approach and by finer quadrature.
    sampler : str
        What samples the posterior, as in `Objective`.
    """
    move = largest_move(covariance, refined.gradient - fitted.gradient)
    if move < INTEGRATION_ERROR:
        return []
    change = refined.log_likelihood - fitted.log_likelihood
    evidence = (
        f"quadrature with {nodes} nodes moves an estimate by about {move:.1f} standard errors, and the "
        f"log-likelihood at these parameters by {change:+.1f}. Clusters with few rows and large effects cause this."
    )
    engine = "hl.MAP" if approach.penalised else "hl.AGQ"
    if approach.nodes == 1:
        evidence = f"Laplace's approximation is poor here: {evidence}"
        return [Finding("laplace_inaccurate", "warning", evidence, f"Use {engine}(nodes=25) or {sampler}.")]
    evidence = f"{approach.nodes} quadrature nodes are too few here: {evidence}"
    return [Finding("too_few_nodes", "warning", evidence, f"Use more, {engine}(nodes={nodes}), or {sampler}.")]


def largest_move(covariance: FloatArray, gradient: FloatArray) -> float:
    """Largest move of a parameter in one Newton step, in standard errors.

    Parameters
    ----------
    covariance : ndarray, shape (m, m)
        Covariance of the estimates; zero or not a number for parameters that are held.
    gradient : ndarray, shape (m,)
        By how much the gradient at the estimates changes with more quadrature nodes.
    """
    covariance = np.nan_to_num(covariance)
    step, errors = covariance @ gradient, np.sqrt(np.maximum(np.diag(covariance), 0.0))
    moves: FloatArray = np.divide(np.abs(step), errors, out=np.zeros_like(step), where=errors > 0)
    return float(moves.max(initial=0.0))
