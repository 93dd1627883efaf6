"""Findings with evidence and advice, and the registry of their codes: severities, meaning and where to look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ..display import Facts, Shown, ShownAsCall, View

Severity = Literal["note", "warning", "error"]
Topic = Literal["sampling", "maximum", "model", "data"]
Status = Literal["converged", "check", "failed", "interrupted"]
#: The most severe first.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, repr=False)
class FindingKind(ShownAsCall):
    """What all findings with the same code have in common.

    Attributes
    ----------
    topic : {"sampling", "maximum", "model", "data"}
    severities : tuple of {"note", "warning", "error"}
        Severities that a finding with this code can have.
    meaning : str
        Explanation for readers who have not seen the code before.
    look : str
        Where to look: a sentence that begins with a call.
    """

    topic: Topic
    severities: tuple[Severity, ...]
    meaning: str
    look: str


#: Every finding by its code, in the order of the documentation.
FINDING_KINDS: Mapping[str, FindingKind] = MappingProxyType(
    {
        # ---- sampling ----------------------------------------------------------------------------------------------
        "constant_draws": FindingKind(
            "sampling",
            ("error",),
            "The sampler got stuck: some parameters have the same value in all draws, so the draws carry no "
            "information about them.",
            "hl.summary(fit) shows the sd of every parameter.",
        ),
        "divergences": FindingKind(
            "sampling",
            ("warning",),
            "The sampler could not follow the posterior in some region, so the estimates may miss part of it.",
            "hl.summary(fit) shows which sds are close to zero.",
        ),
        "high_rhat": FindingKind(
            "sampling",
            ("warning",),
            "The chains disagree, so their draws may not represent the posterior yet.",
            "hl.summary(fit) shows the R-hat of every parameter.",
        ),
        "low_ess": FindingKind(
            "sampling",
            ("warning",),
            "The draws are autocorrelated: they are worth fewer independent draws than stable estimates need.",
            "hl.summary(fit) shows the effective sample sizes of every parameter.",
        ),
        "max_treedepth": FindingKind(
            "sampling",
            ("warning",),
            "Many transitions ran to the longest path allowed: sampling is slow, and the shape of the posterior is "
            "difficult.",
            "hl.summary(fit) shows the effective sample sizes of every parameter.",
        ),
        "low_bfmi": FindingKind(
            "sampling",
            ("warning",),
            "The sampler moves slowly between the centre and the tails of the posterior, so the tails may be explored "
            "poorly.",
            "hl.summary(fit) shows which sds are close to zero.",
        ),
        "interrupted": FindingKind(
            "sampling",
            ("warning",),
            "Sampling stopped early: there are fewer draws than requested, so averages and intervals are less precise.",
            "hl.summary(fit) shows the Monte Carlo standard error of every parameter.",
        ),
        "backend_changed": FindingKind(
            "sampling",
            ("note",),
            "Another sampler was used than the one requested, which does not support a prior of this model; the "
            "posterior is the same.",
            "fit.diagnostics shows the settings that were used.",
        ),
        "low_ess_weights": FindingKind(
            "sampling",
            ("warning",),
            "Importance weights differ so much that few of the draws count: they are worth fewer draws of the "
            "posterior than stable estimates need.",
            "fit.diagnostics shows the effective size of the weights and their Pareto k-hat.",
        ),
        "unreliable_weights": FindingKind(
            "sampling",
            ("error",),
            "Importance weights of a few draws are so large that they decide the results, which may miss part of the "
            "posterior.",
            "fit.diagnostics shows the Pareto k-hat of the weights.",
        ),
        "inaccurate_integration": FindingKind(
            "sampling",
            ("warning",),
            "The quadrature over the cluster effects is not accurate enough for these data: with more nodes, the "
            "posterior is another one.",
            "fit.diagnostics shows by how much finer quadrature changes the log densities of draws.",
        ),
        "engine_changed": FindingKind(
            "sampling",
            ("note",),
            "Importance weights of a few draws are so large that they would decide the results; the posterior was "
            "sampled by NUTS, which does not need them.",
            "fit.diagnostics shows the engine and the settings that were used.",
        ),
        "effects_integrated": FindingKind(
            "sampling",
            ("note",),
            "Clusters of few rows make a posterior of effects and sds that chains cross slowly. The effects of one "
            "factor were therefore integrated out while the parameters were sampled, and drawn afterwards.",
            "fit.diagnostics shows the number of quadrature nodes, and the error of the integral.",
        ),
        # ---- maximum likelihood and MAP ----------------------------------------------------------------------------
        "not_converged": FindingKind(
            "maximum",
            ("error", "warning"),
            "The search did not end at the maximum: these are not the best-fitting values.",
            "hl.summary(fit) shows which standard errors are missing or large.",
        ),
        "singular_fit": FindingKind(
            "maximum",
            ("note",),
            "A standard deviation is estimated as zero, or a correlation as 1 or -1: the data do not support all of "
            "the random effects.",
            "hl.variance_components(fit) shows the sds and correlations, hl.re_pca(fit) the empty directions.",
        ),
        "not_overdispersed": FindingKind(
            "maximum",
            ("note",),
            "Beta-binomial outcomes are estimated to be binomial: phi is infinite.",
            "hl.summary(fit, interval='profile') shows the interval of phi.",
        ),
        "at_prior_peak": FindingKind(
            "maximum",
            ("note",),
            "The posterior mode of a coefficient is at the peak of its Laplace prior: it has no standard error.",
            "hl.NUTS() samples the posterior.",
        ),
        "nearly_singular": FindingKind(
            "maximum",
            ("note",),
            "The effects of the clusters vary in fewer directions than there are effects: the likelihood is hardly "
            "lower without the others.",
            "hl.re_pca(fit) shows the variance in each direction.",
        ),
        "separation": FindingKind(
            "maximum",
            ("warning",),
            "Some combination of predictors predicts the outcome perfectly, so its maximum-likelihood estimate is "
            "infinite.",
            "hl.check_data(model).columns shows which coefficients have infinite estimates.",
        ),
        "unbounded_interval": FindingKind(
            "maximum",
            ("note",),
            "The standard error of an sd, or of phi, is so large that its Wald interval has no upper end.",
            "hl.summary(fit, interval='profile') shows the interval by profile likelihood.",
        ),
        "large_sd": FindingKind(
            "maximum",
            ("warning",),
            "The clusters differ so much that the probability is almost 0 or 1 in nearly all of them.",
            "hl.plots.cluster_check(fit) shows the clusters' proportions.",
        ),
        "laplace_inaccurate": FindingKind(
            "maximum",
            ("warning",),
            "Laplace's approximation of the likelihood is not accurate enough for these data: quadrature gives other "
            "estimates.",
            "hl.check_quadrature(fit) shows in which clusters.",
        ),
        "estimated_determinant": FindingKind(
            "maximum",
            ("warning", "note"),
            "The effects of large crossed factors are too many for their matrix to be factorised. The log-likelihood "
            "is therefore estimated with random vectors, which are the same in every fit.",
            "hl.summary(fit) shows the standard errors of the estimates, to compare with.",
        ),
        "too_few_nodes": FindingKind(
            "maximum",
            ("warning",),
            "The quadrature is not accurate enough for these data: more nodes give other estimates.",
            "hl.check_quadrature(fit) shows in which clusters.",
        ),
        # ---- the fitted model --------------------------------------------------------------------------------------
        "few_independent_clusters": FindingKind(
            "maximum",
            ("note", "warning"),
            "Robust standard errors are computed from few clusters: they vary by chance, and are too small on average.",
            "hl.summary(fit) shows the degrees of freedom, which allow for this in part.",
        ),
        "overdispersion": FindingKind(
            "model",
            ("warning",),
            "Counts differ more between rows than binomial counts with the fitted probabilities, so that standard "
            "errors are too small.",
            "hl.residuals(fit, 'pearson') shows the rows that differ most.",
        ),
        "miscalibration": FindingKind(
            "model",
            ("warning",),
            "Events happen more or less often than the fitted probabilities say.",
            "hl.plots.calibration(fit) shows at which probabilities.",
        ),
        "link_misfit": FindingKind(
            "model",
            ("warning",),
            "The model is systematically off at very low and very high probabilities: a curve or an interaction may be "
            "missing, or the link may not be the logit.",
            "hl.plots.residuals(fit) shows the residuals against the fitted probability.",
        ),
        "nonlinear_effect": FindingKind(
            "model",
            ("warning",),
            "The effect of a predictor is not linear on the logit scale, or has another shape than in the formula.",
            "hl.plots.residuals(fit, by='x') shows the residuals against the predictor.",
        ),
        "residual_trend": FindingKind(
            "model",
            ("warning",),
            "Along a predictor, the fitted probabilities are too high in some places and too low in others.",
            "hl.plots.residuals(fit, by='x') shows the residuals against the predictor.",
        ),
        "cluster_spread": FindingKind(
            "model",
            ("warning",),
            "The clusters differ more, or less, than clusters simulated from the model.",
            "hl.plots.cluster_check(fit) compares the clusters with simulated ones.",
        ),
        "lowest_cluster": FindingKind(
            "model",
            ("warning",),
            "The lowest proportion of events in a cluster is unlike the lowest one in simulated data.",
            "hl.plots.cluster_check(fit) compares the clusters with simulated ones.",
        ),
        "highest_cluster": FindingKind(
            "model",
            ("warning",),
            "The highest proportion of events in a cluster is unlike the highest one in simulated data.",
            "hl.plots.cluster_check(fit) compares the clusters with simulated ones.",
        ),
        "outlying_cluster": FindingKind(
            "model",
            ("warning",),
            "One cluster is further from the others than the model makes plausible.",
            "hl.plots.cluster_check(fit) compares the clusters with simulated ones.",
        ),
        "reversed_slopes": FindingKind(
            "model",
            ("warning",),
            "In one cluster the outcome depends on the predictors differently than in the others: its coding may be "
            "reversed.",
            "hl.influence(fit) shows how much the estimates depend on each cluster.",
        ),
        "heterogeneous_slopes": FindingKind(
            "model",
            ("warning",),
            "The slope of a predictor differs between clusters, and the model takes it to be the same in all of them.",
            "hl.test_slopes(fit) tests the slopes one by one.",
        ),
        "skewed_effects": FindingKind(
            "model",
            ("warning",),
            "The cluster effects are skewed, whereas the model assumes a normal distribution.",
            "hl.plots.effects_qq(fit) compares the cluster effects with a normal distribution.",
        ),
        "nonnormal_tails": FindingKind(
            "model",
            ("warning",),
            "The cluster effects have longer or shorter tails than the normal distribution that the model assumes.",
            "hl.plots.effects_qq(fit) compares the cluster effects with a normal distribution.",
        ),
        "integration_error": FindingKind(
            "model",
            ("warning",),
            "The random effects are not integrated out accurately enough: more quadrature nodes would change the "
            "estimates.",
            "hl.check_quadrature(fit) shows in which clusters.",
        ),
        "prior_data_conflict": FindingKind(
            "model",
            ("warning",),
            "The priors and the data point to different values.",
            "hl.summary(fit) shows the posterior to compare with the priors of fit.model.",
        ),
        "prior_sensitivity": FindingKind(
            "model",
            ("note",),
            "Part of the result comes from the priors: other reasonable priors would change it.",
            "hl.summary(fit) shows what changes with other priors.",
        ),
        # ---- the data, before a fit --------------------------------------------------------------------------------
        "not_identified": FindingKind(
            "data",
            ("error",),
            "The likelihood does not depend on some parameter, so the data cannot tell its value.",
            "hl.summary(fit) shows which parameters have no standard error.",
        ),
        "identical_factors": FindingKind(
            "data",
            ("error",),
            "Two grouping factors divide the rows into the same clusters, so their variances cannot be separated.",
            "hl.check_data(model).relations shows how the grouping factors are related.",
        ),
        "weakly_nested": FindingKind(
            "data",
            ("warning", "note"),
            "Nearly all clusters of one grouping factor contain a single cluster of another, so their variances can "
            "hardly be separated.",
            "hl.check_data(model).relations shows how the grouping factors are related.",
        ),
        "almost_nested": FindingKind(
            "data",
            ("note",),
            "A few clusters of one grouping factor lie in several clusters of another, which may be a mistake in their "
            "labels.",
            "hl.check_data(model).relations shows how the grouping factors are related.",
        ),
        "slope_not_identified": FindingKind(
            "data",
            ("error",),
            "A predictor does not vary within any cluster, so the variance of its slope cannot be estimated.",
            "hl.check_data(model).effects shows how many clusters are informative about each random effect.",
        ),
        "slope_in_few_clusters": FindingKind(
            "data",
            ("warning",),
            "A predictor varies within a few clusters only, on which the variance of its slope rests.",
            "hl.check_data(model).effects shows how many clusters are informative about each random effect.",
        ),
        "correlation_not_identified": FindingKind(
            "data",
            ("warning",),
            "No cluster is informative about both of two random effects, so their correlation cannot be estimated.",
            "hl.check_data(model).effects shows how many clusters are informative about each random effect.",
        ),
        "missing_fixed_effect": FindingKind(
            "data",
            ("note",),
            "An effect varies between clusters but has no fixed effect, so that its mean is taken to be zero.",
            "hl.check_data(model).effects shows which random effects have a fixed effect.",
        ),
        "intercept_not_identified": FindingKind(
            "data",
            ("error",),
            "The predictors already account for all differences between clusters, so the variance of the random "
            "intercepts cannot be estimated.",
            "hl.check_data(model).columns shows in how many clusters each column varies.",
        ),
        "few_clusters_for_predictors": FindingKind(
            "data",
            ("note",),
            "How precisely effects of cluster-level predictors are known depends on the number of clusters, which is "
            "small.",
            "hl.check_data(model).columns shows in how many clusters each column varies.",
        ),
        "within_and_between": FindingKind(
            "data",
            ("note",),
            "A predictor varies both within and between clusters: its effects at the two levels may differ, and one "
            "coefficient mixes them.",
            "hl.check_data(model).columns shows the share of each column's variance that is between clusters; "
            "hl.contextual_effects(fit) tests the difference of the two effects, once they are separate.",
        ),
        "collinearity": FindingKind(
            "data",
            ("warning", "note"),
            "Some predictors are nearly linear combinations of others, so their separate effects are hard to tell "
            "apart.",
            "hl.check_data(model).columns shows the variance inflation of each column.",
        ),
        "singleton_clusters": FindingKind(
            "data",
            ("note",),
            "Clusters with a single trial carry no information about the differences between clusters.",
            "hl.plots.check_data(hl.check_data(model)) shows the sizes of the clusters.",
        ),
        "weights_in_small_clusters": FindingKind(
            "data",
            ("warning", "note"),
            "Rows have different sampling weights within small clusters, in which few rows stand for many that are not "
            "in the sample: the weights do not remove the bias of the coefficients.",
            "hl.plots.check_data(hl.check_data(model)) shows the sizes of the clusters.",
        ),
        "few_clusters": FindingKind(
            "data",
            ("warning", "note"),
            "With few clusters, the standard deviation between them is known only roughly.",
            "hl.plots.check_data(hl.check_data(model)) shows the sizes of the clusters.",
        ),
        "one_outcome_clusters": FindingKind(
            "data",
            ("warning", "note"),
            "In some clusters the event always or never happens, so the data do not limit how extreme these clusters "
            "are.",
            "hl.plots.check_data(hl.check_data(model)) shows the clusters without events or without non-events.",
        ),
        "strong_shrinkage": FindingKind(
            "data",
            ("note",),
            "Most clusters have too few observations to be judged one by one: their estimates lie close to the overall "
            "mean.",
            "hl.check_data(model).clusters shows the reliability of each cluster.",
        ),
        "many_covariances": FindingKind(
            "data",
            ("error", "warning", "note"),
            "A random term has more sds and correlations than the number of its clusters can support.",
            "hl.check_data(model).effects shows the effects and clusters of each random term.",
        ),
        "uncentred_slope": FindingKind(
            "data",
            ("warning",),
            "The predictor of a random slope is far from zero in all rows, so that the random intercepts describe "
            "differences between clusters where there are no data.",
            "hl.variance_components(fit) shows the sds of intercepts and slopes.",
        ),
        "few_events": FindingKind(
            "data",
            ("error", "warning", "note"),
            "There are few events for the number of parameters to be estimated.",
            "hl.check_data(model).totals shows the events per parameter.",
        ),
        "rare_outcome": FindingKind(
            "data",
            ("note",),
            "Events, or non-events, are rare: precision depends on their number and not on the number of rows.",
            "hl.check_data(model).totals shows the numbers of events and non-events.",
        ),
        "similar_levels": FindingKind(
            "data",
            ("warning",),
            "Some levels of a column differ only by blanks, by case or by the way a number is written, and may be the "
            "same.",
            "model.design.table shows the levels of each column.",
        ),
        "missing_as_text": FindingKind(
            "data",
            ("warning",),
            "A column has levels such as '.' or 'NA', which usually stand for missing values.",
            "model.design.table shows the levels of each column.",
        ),
        "numbers_as_text": FindingKind(
            "data",
            ("warning",),
            "A predictor that holds numbers is read as text, so that every value has a coefficient of its own.",
            "model.design.table shows the levels of each column.",
        ),
        "many_levels": FindingKind(
            "data",
            ("warning",),
            "A text predictor has a level for nearly every row, and a coefficient for each of them.",
            "model.design.table shows the levels of each column.",
        ),
        "missing_values": FindingKind(
            "data",
            ("warning", "note"),
            "Rows with missing values were left out, which biases the results if these rows differ from the others.",
            "hl.check_data(model).totals shows how many rows were left out.",
        ),
        "few_imputations": FindingKind(
            "data",
            ("warning", "note"),
            "There are few imputations for the information that is missing, so that other imputations would give "
            "other standard errors and p-values.",
            "hl.summary(fit) shows the fraction of missing information of every parameter, fmi.",
        ),
    }
)


@dataclass(frozen=True, repr=False)
class Finding(Shown):
    """A problem with the data, the computation or the model, with its evidence and a remedy.

    Attributes
    ----------
    code : str
        Identifier of the problem, such as ``"divergences"``.
    severity : {"note", "warning", "error"}
        With an error, the results should not be used; with a warning, they should be checked.
    evidence : str
        What was observed, with numbers and names.
    remedy : str
        What to do.

    Raises
    ------
    ValueError
        If the code is not registered, or does not have this severity.

    Examples
    --------
    >>> finding = Finding("divergences", "warning", "3 of 4,000 transitions diverged.", "Raise target_accept.")
    >>> finding.meaning
    'The sampler could not follow the posterior in some region, so the estimates may miss part of it.'
    >>> print(finding.advice)
    Raise target_accept. hl.summary(fit) shows which sds are close to zero.
    """

    code: str
    severity: Severity
    evidence: str
    remedy: str

    def __post_init__(self) -> None:
        if self.code not in FINDING_KINDS:
            raise ValueError(f"there is no finding {self.code!r}; the codes are {', '.join(FINDING_KINDS)}.")
        if self.severity not in self.kind.severities:
            raise ValueError(
                f"a finding {self.code!r} has the severity {' or '.join(self.kind.severities)}, not {self.severity!r}."
            )

    @property
    def kind(self) -> FindingKind:
        """What all findings with this code have in common."""
        return FINDING_KINDS[self.code]

    @property
    def meaning(self) -> str:
        """Explanation of the code, for readers who have not seen it before."""
        return self.kind.meaning

    @property
    def advice(self) -> str:
        """The remedy, followed by where to look unless the remedy already says so."""
        call = self.kind.look.partition("(")[0]
        return self.remedy if call in self.remedy else f"{self.remedy} {self.kind.look}"

    @property
    def brief(self) -> str:
        """The finding without where to look, for results that functions of a `Fit` do not take."""
        return f"{self.severity} ({self.code}): {self.evidence} {self.remedy}"

    def __str__(self) -> str:
        return f"{self.severity} ({self.code}): {self.evidence} {self.advice}"

    def _view(self) -> View:
        facts = Facts((("evidence", self.evidence), ("advice", self.advice)))
        return View(f"{self.severity} ({self.code}): {self.meaning}", (facts,))


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings sorted by severity, the most severe first; the order is otherwise kept."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def count_by_severity(findings: Iterable[Finding]) -> str:
    """The numbers of findings by severity, as text.

    Examples
    --------
    >>> count_by_severity([Finding("singular_fit", "note", "The sd is zero.", "Leave the term out.")])
    '1 note'
    >>> count_by_severity([])
    'nothing found'
    """
    of_each = [finding.severity for finding in findings]
    counts = {severity: of_each.count(severity) for severity in SEVERITIES}
    return ", ".join(f"{n} {name}{'' if n == 1 else 's'}" for name, n in counts.items() if n) or "nothing found"


def status_of(findings: Iterable[Finding]) -> Status:
    """The status of a fit with these findings: ``"failed"`` with an error, ``"check"`` with a warning.

    An error in the data is no failure of the computation: with it, the status is ``"check"``.

    Examples
    --------
    >>> status_of([Finding("singular_fit", "note", "The sd is zero.", "Leave the term out.")])
    'converged'
    """
    grave = [finding for finding in findings if finding.severity != "note"]
    if any(finding.severity == "error" and finding.kind.topic != "data" for finding in grave):
        return "failed"
    if any(finding.code == "interrupted" for finding in grave):
        return "interrupted"
    return "check" if grave else "converged"


def warning_text(findings: Iterable[Finding]) -> str:
    """Evidence and remedies of the findings that are more than notes; empty if there are none."""
    return " ".join(f"{finding.evidence} {finding.remedy}" for finding in findings if finding.severity != "note")
