"""What each finding means, for a reader who has not met its name before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from types import MappingProxyType

from ..fits.findings import Finding
from .html import element, paragraph, prose

#: By the code of a finding.
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        # of samplers
        "backend": "Another sampler did the work than the one asked for; the posterior is the same.",
        "interrupted": "There are fewer draws than were asked for, so averages and intervals are less exact.",
        "not_moving": "The sampler got stuck: its draws say nothing about the parameters.",
        "divergences": "The sampler met a part of the posterior that it could not follow; estimates may leave it out.",
        "rhat": "The chains do not agree with each other yet, so the draws may not stand for the posterior.",
        "ess": "The draws resemble each other, so that they are worth fewer independent ones than are needed.",
        "max_depth": "Each draw took the longest way allowed: slow, and a sign of a posterior of awkward shape.",
        "bfmi": "The sampler moves slowly between the middle and the tails: extremes may be missed.",
        # of likelihood engines
        "not_converged": "The search did not end at the best-fitting values: these are not the estimates.",
        "singular": "The data show no variation between clusters in this respect beyond chance, or a perfect "
        "correlation: the model is richer than the data.",
        "separation": "Some predictors foretell the outcome without error in these data, so the best-fitting effect is "
        "infinitely large.",
        "large_sd": "Clusters are found to be so different that nearly every one always or never has the event.",
        "laplace": "The quick approximation used is not exact enough here; a finer one gives other numbers.",
        "quadrature": "The integrals over the clusters' effects are not exact enough; more nodes give other numbers.",
        # of the fitted model
        "calibration": "Events happen more or less often than the model's probabilities say.",
        "link": "At very high or very low probabilities the model is systematically off.",
        "curved_predictor": "The effect of this predictor is no straight line on the model's scale.",
        "residual_trend": "Along this predictor the model is too high in some places and too low in others.",
        "cluster_spread": "Clusters differ more, or less, than clusters simulated from the model do.",
        "lowest_cluster": "The cluster with the lowest share of events is not like any the model would give.",
        "highest_cluster": "The cluster with the highest share of events is not like any the model would give.",
        "outlying_cluster": "One cluster is so different from the others that the model hardly allows for it.",
        "turned_cluster": "In one cluster the predictors go with the outcome in another way than elsewhere: its coding "
        "may be turned round.",
        "uneven_relations": "The predictors' effects differ between clusters, which the model does not allow for, or "
        "not enough.",
        "skewed_effects": "The clusters' effects are not spread evenly on both sides of the mean, as was assumed.",
        "tails_of_effects": "The clusters' effects have more extremes, or fewer, than the normal distribution that the "
        "model assumes.",
        "integration": "More exact arithmetic would change the estimates.",
        "prior_conflict": "What was assumed before the data and what the data say do not go together.",
        "prior_sensitivity": "Part of the result comes from the priors: other reasonable priors would change it.",
        # of the data
        "same_clusters": "Two names for the same clusters: the model cannot tell which of them differs.",
        "hardly_nested": "Two levels of clusters are almost the same, so their variation can hardly be told apart.",
        "almost_nested": "A few clusters lie in several larger ones, which may be a slip in their labels.",
        "effect_without_mean": "An effect may differ between clusters but is taken to be zero on average.",
        "slope_not_identified": "The effect cannot be seen within any cluster, so its variation cannot be estimated.",
        "slope_in_few_clusters": "How much the effect varies between clusters is known from a few clusters only.",
        "correlation_not_identified": "No cluster shows both effects, so the data say nothing about their correlation.",
        "collinear": "Some predictors say nearly the same, so their separate effects are hard to tell apart.",
        "clusters_in_fixed_part": "The predictors already tell all clusters apart; nothing is left for their effects.",
        "few_clusters_for_predictors": "Predictors of whole clusters are judged by how many clusters there are.",
        "within_and_between": "The effect of a predictor within clusters and its relation between clusters may differ; "
        "one coefficient mixes both.",
        "one_trial_each": "With one observation in each cluster, differences between clusters cannot be seen.",
        "single_trials": "Clusters with one observation say nothing about differences between clusters.",
        "few_clusters": "How much clusters differ is known roughly only, since there are few of them.",
        "one_outcome": "In some clusters the event always or never happens: how extreme they are is left open.",
        "strong_shrinkage": "Most clusters have too few observations to be judged one by one; estimates of single "
        "clusters lie close to the overall mean.",
        "few_events": "There are few events for the number of effects to be estimated.",
        "rare_outcome": "The event, or its absence, is rare: what counts is the number of these, not of all rows.",
        "missing_rows": "Rows with missing values were left out, which can bias results if they are not like the rest.",
    }
)
#: How severe a finding is, in words.
SEVERITIES: Mapping[str, str] = MappingProxyType(
    {
        "error": "Error: do not use the results before this is mended",
        "warning": "Warning: needs a look",
        "note": "Note: good to know",
    }
)


def finding_list(found: Iterable[Finding], nothing: str) -> str:
    """Findings with their meaning, evidence and remedy; or the words that say there are none."""
    items = "".join(_item(one) for one in found)
    return element("ul", items, class_="findings") if items else paragraph(nothing, "good")


def _item(one: Finding) -> str:
    severity = element("strong", escape(SEVERITIES[one.severity]), class_=one.severity)
    meaning = MEANINGS.get(one.code)
    said = paragraph(meaning) if meaning else ""
    seen = element("p", f"{element('b', 'What was seen:')} {prose(one.evidence)}")
    remedy = element("p", f"{element('b', 'What to do:')} {prose(one.remedy)}") if one.remedy else ""
    return element("li", severity + element("code", escape(one.code)) + said + seen + remedy)
