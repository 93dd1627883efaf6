"""What the data cannot tell of a model's parameters, in the same words before a fit and in every fit.

`check_data` reports these findings, `Model` warns of them, and each engine adds them to those of its fit. They take no
more than a few passes over the rows, which is little beside the fastest fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ..validation import agree, number_of, quoted_list
from .findings import Finding

if TYPE_CHECKING:
    from ..design.design import Design
    from ..design.grouping import GroupBlock
    from ..model_spec import ModelSpec
    from ..priors.families import ScalePrior

#: Fewer events or non-events for each coefficient (Peduzzi and others 1996), or for each parameter, are few.
FEW_EVENTS = 10
#: Fewer for each parameter, sds and correlations included, get a warning (Vittinghoff and McCulloch 2007) and an error.
VERY_FEW_EVENTS, TOO_FEW_EVENTS = 5, 1
#: An error is for models with at least as many parameters: of a small one, the search shows quickly what it finds.
MANY_PARAMETERS = 8
#: Correlated effects from which a covariance matrix is compared with the number of clusters.
MANY_EFFECTS = 3
#: Fewer clusters for each of its sds and correlations are few.
CLUSTERS_EACH = 2
#: Zero is far from a predictor if it lies outside of its range, and its mean is more sds than this away.
FAR_FROM_ZERO = 4.0
#: From here on, differences between clusters in the rows are below a millionth of those of the intercepts.
BEYOND_ROUNDING = 1e6
#: Quantiles of the priors of two sds, by which they contradict each other if the predictor is far from zero.
LARGE_INTERCEPT, USUAL_SLOPE = 0.95, 0.5
#: Trials in a cluster, on average, below which weighted rows represent the others poorly, and very poorly.
SMALL_WEIGHTED, VERY_SMALL_WEIGHTED = 40, 10
#: Weights of rows in a cluster that differ by less than this fraction are the same.
SAME_WEIGHT = 1e-9
#: A categorical term with this many columns may be meant as a grouping factor inside of another.
MANY_LEVELS = 3


def findings_of_design(design: Design) -> tuple[Finding, ...]:
    """What the rows cannot tell, whatever the priors.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ trt + (1 | ID)", hl.datasets.load("bacteria"))
    >>> findings_of_design(model.design)
    ()
    """
    found = [finding for finding in few_events(design) if finding.severity == "error"]
    for group in design.groups:
        if single_trials(design, group):
            found.append(single_trials_finding(group))
            continue
        found += _constant_slopes(group)
        found += _saturated_intercept(design, group)
        found += _many_covariances(group)
        found += findings_of_columns(group)
    return (*found, *_identical_factors(design), *_weights_in_small_clusters(design))


def findings_of_model(model: ModelSpec) -> tuple[Finding, ...]:
    """What the rows cannot tell, and priors that contradict each other in these rows."""
    several = [group for group in model.design.groups if not single_trials(model.design, group)]
    contradictions = [one for group in several for one in contradicting_priors(group, model.priors.sd[group.name])]
    return (*findings_of_design(model.design), *contradictions)


def findings_before_fits(model: ModelSpec) -> tuple[Finding, ...]:
    """Those findings of a model that are given as warnings when it is made: errors, and predictors far from zero."""
    found = findings_of_model(model)
    return tuple(finding for finding in found if finding.severity == "error" or finding.code == "uncentred_slope")


# ---- events and parameters ------------------------------------------------------------------------------------------


def parameter_counts(design: Design) -> tuple[int, int]:
    """Count the coefficients other than the intercept, and all parameters, with sds and correlations."""
    coefficients = len(design.fixed_effects) - design.has_intercept
    spread = sum(len(group.effects) + len(group.correlated_pairs) for group in design.groups)
    return coefficients, len(design.fixed_effects) + spread


def few_events(design: Design) -> Iterator[Finding]:
    """A finding about few events, or non-events, for the number of parameters."""
    trials, events = int(design.outcome.trials.sum()), int(design.outcome.y.sum())
    rarer, number = min(("events", events), ("non-events", trials - events), key=lambda item: item[1])
    coefficients, parameters = parameter_counts(design)
    each, of_all = number / max(coefficients, 1), number / parameters
    few = (bool(coefficients) and each < FEW_EVENTS) or of_all < VERY_FEW_EVENTS
    if not few and of_all >= FEW_EVENTS:
        return
    hopeless = of_all < TOO_FEW_EVENTS and parameters >= MANY_PARAMETERS
    of_which = f" ({_parts(design)})" if design.groups else ""
    several = number_of(coefficients, "coefficient")
    beside = f"{several} besides the intercept are {each:.1f} each, and {of_all:.1f} for each of all"
    yield Finding(
        "few_events",
        "error" if hopeless else "warning" if few else "note",
        f"{number:,} {rarer} for {beside} {parameters:,} parameters{of_which}. Fewer than {FEW_EVENTS} are few by a "
        "rule of thumb, which ignores how strong effects and how rare events are."
        if coefficients
        else f"{number:,} {rarer} for {parameters:,} parameters{of_which} are {of_all:.1f} each; fewer than "
        f"{FEW_EVENTS} are few by a rule of thumb.",
        "Use hl.MAP() or NUTS with priors that you can defend, which keep estimates from being extreme; leave out "
        "terms that were not planned from the start, and simulate such a study with hl.power."
        + "".join(f" {_simpler(group)}" for group in design.groups if _largest_set(group) >= MANY_EFFECTS),
    )


def _parts(design: Design) -> str:
    """The numbers of coefficients, sds and correlations, as text."""
    parts = [number_of(len(design.fixed_effects), "fixed effect")] if design.fixed_effects else []
    for group in design.groups:
        pairs = len(group.correlated_pairs)
        parts.append(f"{number_of(len(group.effects), 'sd')} of '{group.name}'")
        parts += [f"{number_of(pairs, 'correlation')} of '{group.name}'"] if pairs else []
    return ", ".join(parts)


def _largest_set(group: GroupBlock) -> int:
    return max(map(len, group.sets))


def _many_covariances(group: GroupBlock) -> Iterator[Finding]:
    """A finding about few clusters for the number of sds and correlations."""
    q, clusters = _largest_set(group), len(group.levels)
    parameters = q * (q + 1) // 2
    if q < MANY_EFFECTS or clusters >= CLUSTERS_EACH * parameters:
        return
    pairs = parameters - q
    consequence = (
        f"With fewer than {CLUSTERS_EACH} clusters for each parameter, correlations are hardly known, and often "
        "estimated as 1 or -1 by chance."
    )
    if clusters <= q:
        consequence = (
            f"A covariance matrix of {q} effects cannot be estimated from {clusters:,} clusters, and the search for it "
            "takes long."
        )
    elif clusters < parameters:
        consequence = (
            "With fewer clusters than parameters, most correlations are estimated as 1 or -1, or hardly at all."
        )
    yield Finding(
        "many_covariances",
        "error" if clusters <= q else "warning" if clusters < parameters else "note",
        f"{q} correlated effects of '{group.name}' have {parameters:,} parameters, {q} sds and "
        f"{number_of(pairs, 'correlation')}, and '{group.name}' has {clusters:,} clusters. {consequence}",
        _simpler(group),
    )


def _simpler(group: GroupBlock) -> str:
    """How to write the random terms of a factor with fewer parameters."""
    bars = f"(... || {group.name}), which has no correlations"
    terms = [term for term in dict.fromkeys(group.terms) if group.terms.count(term) >= MANY_LEVELS]
    column = next(filter(None, (_categorical_column(term) for term in terms)), None)
    if column is None:
        return f"Write the random term with two bars, {bars}, or leave effects out."
    nested = f"(1 | {group.name}) + (1 | {group.name}:{column})"
    return f"Write {nested}, in which all levels of {column} have the same sd, or two bars, {bars}."


def _categorical_column(term: str) -> str | None:
    """The column of the table in a term that is a column alone, coded or not."""
    written = re.fullmatch(r"C\(\s*([^\W\d]\w*)\b.*\)|([^\W\d]\w*)", term)
    return (written[1] or written[2]) if written else None


# ---- variances that the rows do not identify ------------------------------------------------------------------------


def single_trials(design: Design, group: GroupBlock) -> bool:
    """Whether every cluster has a single trial, so that the likelihood does not depend on the sds of its effects.

    A mixture of Bernoulli distributions is a Bernoulli distribution: other sds give the same likelihood with other
    fixed effects.
    """
    n = design.n_observations
    if len(group.levels) < n:
        # Each cluster has rows, and each row has a trial: only rows without trials, which do not count, may be more.
        trials = np.bincount(group.index, weights=design.outcome.trials, minlength=len(group.levels))
        return bool(trials.max() <= 1)
    return bool(design.outcome.trials.max() <= 1)


def single_trials_finding(group: GroupBlock) -> Finding:
    """The finding about a factor with a single trial in each cluster."""
    name = group.name
    return Finding(
        "not_identified",
        "error",
        f"Each of the {len(group.levels):,} clusters of '{name}' has a single trial: differences between clusters "
        f"cannot be separated from chance, and the likelihood is flat in the sd of '{name}'. Maximum likelihood leaves "
        "the sd at 0, and its posterior is little else than its prior.",
        f"Remove '{name}' from the random terms. Random effects of rows need rows with several trials, "
        "p(successes, trials).",
    )


def _constant_slopes(group: GroupBlock) -> Iterator[Finding]:
    counts = group.informed.sum(axis=0)
    effects = [effect for effect, count in zip(group.effects, counts, strict=True) if count == 0]
    if not effects:
        return
    its, it = agree(effects, "its slope", "their slopes"), agree(effects, "it", "them")
    yield Finding(
        "slope_not_identified",
        "error",
        f"{quoted_list(effects)} {agree(effects, 'is', 'are')} constant in every one of the {len(group.levels):,} "
        f"clusters of '{group.name}': within a cluster {its} cannot be separated from the intercept.",
        f"Leave {it} out of the random term of '{group.name}'; the fixed effect can be estimated. A random slope by "
        "another grouping factor, within whose clusters it varies, may be what you intended.",
    )


def _saturated_intercept(design: Design, group: GroupBlock) -> Iterator[Finding]:
    clusters = len(group.levels)
    if "Intercept" not in group.effects or design.X.shape[1] < clusters:
        return
    constant = np.flatnonzero(~group.varies_within(design.X).any(axis=0))
    names = [design.fixed_effects[k] for k in constant if design.fixed_effects[k] != "Intercept"]
    if not names or len(constant) < clusters:
        return
    yield Finding(
        "intercept_not_identified",
        "error",
        f"{quoted_list(names)} and the intercept account for all differences between the {clusters:,} clusters of "
        f"'{group.name}': nothing is left for random intercepts to explain.",
        f"Remove (1 | {group.name}) or these terms from the formula.",
    )


def _identical_factors(design: Design) -> Iterator[Finding]:
    for one, other in combinations(design.groups, 2):
        if one.same_clusters(other):
            yield Finding(
                "identical_factors",
                "error",
                f"'{one.name}' and '{other.name}' are the same {len(one.levels):,} clusters under two names: their "
                "variances cannot be separated.",
                "Keep one of the two in the random terms.",
            )


# ---- weights --------------------------------------------------------------------------------------------------------


def _weights_in_small_clusters(design: Design) -> Iterator[Finding]:
    """Rows of small clusters with different sampling weights (Rabe-Hesketh and Skrondal 2006, section 6)."""
    if design.sampling is None or not design.groups:
        return
    weights, group = design.sampling.rows, max(design.groups, key=lambda one: len(one.levels))
    size = design.outcome.trials.sum() / len(group.levels)
    # Scaled weights of rows that have the same weight within each cluster are 1.
    if size >= SMALL_WEIGHTED or np.ptp(weights) <= SAME_WEIGHT * weights.max():
        return
    yield Finding(
        "weights_in_small_clusters",
        "warning" if size < VERY_SMALL_WEIGHTED else "note",
        f"The rows of a cluster of '{group.name}' have different sampling weights, and its clusters have {size:.1f} "
        "trials on average. If selection within clusters depended on the outcome, a few weighted rows represent the "
        "others poorly: the intercept is biased, and its interval contains the true value too seldom.",
        "Report averages over the population, hl.avg_predictions(fit, clusters='average'), which are much less biased "
        "than coefficients, and compare scaling='size' with scaling='effective'. If predictors in the formula decided "
        "on selection within clusters, leave the weights of rows out.",
    )


# ---- predictors far from zero ---------------------------------------------------------------------------------------


def _far_from_zero(group: GroupBlock) -> list[int]:
    """Positions of the effects of a factor with random intercepts whose columns are far from zero."""
    if "Intercept" not in group.effects:
        return []
    low, high, mean = group.column_ranges
    outside = ((low > 0) | (high < 0)) & (high > low)
    return [int(k) for k in np.flatnonzero(outside & (np.abs(mean) > FAR_FROM_ZERO * group.column_sds))]


def findings_of_columns(group: GroupBlock) -> Iterator[Finding]:
    """Columns of effects so far from zero that the intercepts depend on the slopes; moments of the columns suffice."""
    yield from _independent_far_from_zero(group)
    yield from _correlated_beyond_rounding(group)


def _independent_far_from_zero(group: GroupBlock) -> Iterator[Finding]:
    """Slopes that are independent of intercepts at a value of the predictor which is far from all rows."""
    intercept = group.effects.index("Intercept") if "Intercept" in group.effects else -1
    apart = [k for k in _far_from_zero(group) if (min(intercept, k), max(intercept, k)) not in group.correlated_pairs]
    if apart:
        yield _uncentred(
            group,
            apart,
            ", and independent of the slopes there: in the rows, clusters with higher slopes are then far above the "
            "others, or far below.",
        )


def _correlated_beyond_rounding(group: GroupBlock) -> Iterator[Finding]:
    """Slopes whose correlation with the intercepts is 1 or -1 up to rounding, because zero is that far away."""
    mean, correlated = np.abs(group.column_ranges[2]), {k for pair in group.correlated_pairs for k in pair}
    beyond = [k for k in _far_from_zero(group) if k in correlated and mean[k] > BEYOND_ROUNDING * group.column_sds[k]]
    if beyond:
        yield _uncentred(
            group,
            beyond,
            ", so far from the rows that they follow from the slopes: their correlation is 1 or -1, and what "
            "distinguishes clusters in the rows is lost in rounding.",
        )


def contradicting_priors(group: GroupBlock, priors: Sequence[ScalePrior]) -> Iterator[Finding]:
    """Priors of intercepts and slopes that contradict each other, since the intercepts are far from all rows.

    Where a predictor has the mean m, clusters whose slopes have the sd s differ by about ``m s`` where it is zero. The
    prior of the intercepts' sd, which applies there, should allow for that.
    """
    far = _far_from_zero(group)
    far = [k for k in far if abs(group.column_ranges[2][k]) <= BEYOND_ROUNDING * group.column_sds[k]]
    if not far:
        return
    intercept = group.effects.index("Intercept")
    largest, mean = priors[intercept].quantile(LARGE_INTERCEPT), np.abs(group.column_ranges[2])
    pairs = set(group.correlated_pairs)
    too_far = [
        k
        for k in far
        if (min(intercept, k), max(intercept, k)) in pairs and largest < mean[k] * priors[k].quantile(USUAL_SLOPE)
    ]
    if too_far:
        k = too_far[0]
        usual = priors[k].quantile(USUAL_SLOPE)
        yield _uncentred(
            group,
            too_far,
            f", and so is the prior of their sd, {priors[intercept]}, which exceeds {largest:.3g} with a "
            f"probability of {1 - LARGE_INTERCEPT:.0%}. With an sd of the slopes of {usual:.3g}, the median of its "
            f"prior, {priors[k]}, clusters would differ there by about {mean[k] * usual:.3g}: the two priors "
            "together force the slopes' sd towards 0.",
        )


def _uncentred(group: GroupBlock, places: list[int], consequence: str) -> Finding:
    """The finding about columns of effects that are far from zero; the sentence ends with its consequence."""
    zero = " and ".join(f"{group.effects[k]} = 0" for k in places)
    return Finding(
        "uncentred_slope",
        "warning",
        f"{_ranges(group, places)}. The random intercepts of '{group.name}' are deviations where {zero}{consequence}",
        _centring(group, places),
    )


def _ranges(group: GroupBlock, places: list[int]) -> str:
    """The ranges of columns, as text."""
    texts = [
        f"'{group.effects[k]}' lies between {group.column_ranges[0][k]:.10g} and {group.column_ranges[1][k]:.10g}"
        for k in places
    ]
    return ", ".join(texts)


def _centring(group: GroupBlock, places: list[int]) -> str:
    """How to centre the columns, in the user's names."""
    term = group.terms[places[0]]
    # A round number near the mean, so that coefficients are for a value that a reader can name.
    mean, unit = float(group.column_ranges[2][places[0]]), float(group.column_sds[places[0]])
    size = 10.0 ** np.floor(np.log10(unit))
    middle = f"{np.round(mean / size) * size:.10g}".replace("-", "- ")
    shifted = f"I({term} + {middle[2:]})" if mean < 0 else f"I({term} - {middle})"
    return (
        f"Write center({term}), or {shifted}, in place of {term} in the whole formula: random intercepts are then the "
        f"deviations of clusters at the mean of {term}."
    )
