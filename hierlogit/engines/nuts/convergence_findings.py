"""Findings about the convergence of a sampler's chains."""

from __future__ import annotations

from collections.abc import Iterator

from ...fits.findings import Finding
from ...validation import agree, number_of
from .advice import Advice
from .convergence import (
    MAX_RHAT,
    MIN_BFMI,
    MIN_ESS_PER_CHAIN,
    MIN_ESS_PER_CHAIN_OF_EFFECTS,
    largest_rhat_by_chance,
)
from .options import INTEGRATION_ERROR
from .quantities import Quantity

#: Largest sd of the quadrature's error in the log density. No posterior mean is off by more than about this share of
#: its sd: the covariance of a parameter with the density's relative error is at most the product of their sds.
MAX_INTEGRATION_ERROR = 0.1
#: Fraction of the transitions that may reach the maximum tree depth: in long chains some do by chance.
MAX_DEPTH_SHARE = 0.01


def convergence_findings(advice: Advice) -> tuple[Finding, ...]:
    """The findings about a run, with evidence and remedies."""
    return (
        *_completeness(advice),
        *_divergences(advice),
        *_mixing(advice),
        *_trajectories(advice),
        *_integration(advice),
    )


def _completeness(advice: Advice) -> Iterator[Finding]:
    sizes, options = advice.posterior.sizes, advice.options
    chains, draws = sizes["chain"], sizes["draw"]
    if (chains, draws) != (options.chains, options.draws):
        yield Finding(
            "interrupted",
            "warning",
            f"Sampling was interrupted: {chains} of {options.chains} chains have {draws:,} of {options.draws:,} draws.",
            "These draws are kept; to get all of them, fit again with the same seed.",
        )
    constant = int(advice.convergence.measures["constant_parameters"])
    if constant:
        yield Finding(
            "constant_draws",
            "error",
            f"{number_of(constant, 'parameter')} {agree(constant, 'is', 'are')} constant or not finite in all draws.",
            "Do not use these draws: look for extreme values in the data, and at the priors.",
        )


def _divergences(advice: Advice) -> Iterator[Finding]:
    count = advice.convergence.measures["divergences"]
    if not count:
        return
    sd = advice.divergent()
    where = "" if sd is None else f", where {sd.words} is small"
    yield Finding(
        "divergences",
        "warning",
        f"{count:.0f} of {_transitions(advice):,} transitions diverged{where}.",
        f"Raise target_accept (0.95, 0.99), or give {'the sds' if sd is None else sd.words} a tighter prior.",
    )


def _mixing(advice: Advice) -> Iterator[Finding]:
    """Findings about R-hat and effective sizes: of the parameters, or else of the cluster effects."""
    measures, chains = advice.convergence.measures, advice.posterior.sizes["chain"]
    lowest = min(measures["min_ess_bulk"], measures["min_ess_tail"])
    rhat, enough = measures.get("max_rhat", 1.0), MIN_ESS_PER_CHAIN * chains
    effects = advice.convergence.effects
    explained: Quantity | None = None
    if rhat > MAX_RHAT:
        explained = worst = advice.parameter(advice.convergence.rhat_of)
        evidence = (
            f"The largest R-hat is {_shown(rhat, MAX_RHAT)}, that of {worst.words}; it should be at most {MAX_RHAT}."
        )
        yield Finding("high_rhat", "warning", *_with_cause(advice, evidence, worst, lowest, rhat))
    elif effects is not None and effects.rhat is not None:
        limit = largest_rhat_by_chance(chains, effects.count)
        if effects.rhat > limit:
            explained = worst = effects.rhat_of[0]
            evidence = (
                f"The largest R-hat of {number_of(effects.count, 'cluster effect')} is "
                f"{_shown(effects.rhat, limit)}, that of {worst.words}; up to {limit:.3f} may be chance."
            )
            yield Finding("high_rhat", "warning", *_with_cause(advice, evidence, worst, effects.ess, effects.rhat))
    if lowest < enough:
        worst = advice.parameter(advice.convergence.ess_of)
        evidence = (
            f"The smallest effective sample size is {lowest:.0f}, that of {worst.words}; it should be at least "
            f"{enough}."
        )
        yield Finding("low_ess", "warning", *_with_cause(advice, evidence, worst, lowest, rhat, explained))
    elif effects is not None and effects.ess < MIN_ESS_PER_CHAIN_OF_EFFECTS * chains:
        worst = effects.ess_of[0]
        evidence = (
            f"The smallest effective sample size of {number_of(effects.count, 'cluster effect')} is {effects.ess:.0f}, "
            f"that of {worst.words}; it should be at least {enough}."
        )
        yield Finding("low_ess", "warning", *_with_cause(advice, evidence, worst, effects.ess, rhat, explained))


def _with_cause(
    advice: Advice, evidence: str, worst: Quantity, ess: float, rhat: float, explained: Quantity | None = None
) -> tuple[str, str]:
    """Evidence and remedy, with what the worst quantity moves with unless another finding has told it."""
    if worst == explained:
        return evidence, advice.more_draws(ess, rhat)
    coupling = advice.movements.coupling(worst, ess)
    sentences = (advice.cause(worst, coupling), advice.more_draws(ess, rhat), advice.sampler(worst, *coupling.others))
    return f"{evidence} {coupling.sentence(worst)}".rstrip(), " ".join(filter(None, sentences))


def _shown(rhat: float, limit: float) -> str:
    """An R-hat beyond a limit, rounded as among the measures but with so many digits that it does not read as met."""
    texts = (f"{rhat:.{decimals}f}" for decimals in range(3, 9))
    return next((text for text in texts if float(text) > round(limit, 3)), repr(rhat))


def _trajectories(advice: Advice) -> Iterator[Finding]:
    measures, transitions = advice.convergence.measures, _transitions(advice)
    if measures.get("at_max_treedepth", 0.0) > MAX_DEPTH_SHARE * transitions:
        yield Finding(
            "max_treedepth",
            "warning",
            f"{measures['at_max_treedepth']:.0f} of {transitions:,} transitions reached the maximum depth.",
            "Raise tune, or scale the columns of random slopes: each draw needs a long trajectory.",
        )
    if measures.get("min_bfmi", 1.0) < MIN_BFMI:
        sd = advice.funnel()
        evidence = f"The lowest E-BFMI is {measures['min_bfmi']:.2f}; it should be above {MIN_BFMI}."
        yield Finding(
            "low_bfmi",
            "warning",
            evidence
            if sd is None
            else f"{evidence} The energy moves with {sd.words}: it forms a funnel with the effects of '{sd.factor}'.",
            "The sampler explores the tails slowly: raise tune and draws, or give "
            f"{'the sds' if sd is None else sd.words} a tighter prior. {advice.sampler(sd) if sd else ''}".rstrip(),
        )


def _integration(advice: Advice) -> Iterator[Finding]:
    error = advice.convergence.measures.get(INTEGRATION_ERROR, 0.0)
    if error > MAX_INTEGRATION_ERROR:
        yield Finding(
            "inaccurate_integration",
            "warning",
            f"The log density by quadrature has an error with an sd of {error:.2g} over the posterior; it should be at "
            f"most {MAX_INTEGRATION_ERROR}.",
            "Use effects='sampled', which needs no quadrature.",
        )


def _transitions(advice: Advice) -> int:
    return int(advice.posterior.sizes["chain"] * advice.posterior.sizes["draw"])
