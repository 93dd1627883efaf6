"""The marginal likelihood of a model under its priors, its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..display import Facts, Shown, View
from ..engines.importance.nodes import compared_with, finer, integration_changes, nodes_needed
from ..engines.maximum.integrator import MOST_EFFECTS, MOST_NODES, integrator
from ..errors import ConvergenceWarning, DataWarning, EngineError, FitError, warn
from ..fits.arguments import NO_LIKELIHOOD, model_of, refuse_pooled, refuse_sampling_weights
from ..fits.posterior import parameter_labels
from ..fits.psis import khat_threshold
from ..formatting import fixed
from ..priors.defaults import default_priors
from ..validation import agree, number_of, quoted_list, seed_or_new, whole_number
from .parameter_integral import Integral, integral_over_parameters

if TYPE_CHECKING:
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec

LEAST_DRAWS = 256
#: Without a seed of the user's, so that a model has the same evidence each time.
DEFAULT_SEED = 0
#: Change of the log-likelihood by finer quadrature up to which the nodes are not raised further.
SMALL_CHANGE = 0.002
#: Change that is said in a warning: a Bayes factor would be wrong by five per cent.
LARGE_CHANGE = 0.05
#: Points at which quadrature is compared with finer quadrature.
COMPARED = 96
#: Monte Carlo error that is said in a warning: a Bayes factor could be wrong by a fifth.
LARGE_ERROR = 0.1


@dataclass(frozen=True, repr=False)
class Evidence(Shown):
    """The log marginal likelihood of a model under its priors.

    Attributes
    ----------
    log_evidence : float
        Natural logarithm of the marginal likelihood, binomial coefficients included.
    mcse : float
        Its Monte Carlo standard error.
    pareto_k : float
        Pareto k-hat of the importance weights: up to 0.7, value and error are reliable.
    method : {"quadrature", "Laplace", "exact"}
        How the random effects are integrated out; ``"exact"`` if there are none.
    nodes : int
        Quadrature nodes in each dimension; 1 for Laplace's method.
    integration_change : float
        By how much finer quadrature changes the log-likelihood, or a coarser one with the most nodes there are; not a
        number for Laplace's method, whose error is not known, and 0 without random effects.
    draws : int
        Points at which the density was computed.
    default_priors : tuple of str
        Parameters whose priors are the defaults.
    seed : int
    model : Model
    integral : Integral
        The points and their importance ratios.
    """

    log_evidence: float
    mcse: float
    pareto_k: float
    method: str
    nodes: int
    integration_change: float
    draws: int
    default_priors: tuple[str, ...]
    seed: int
    model: ModelSpec = field(compare=False)
    integral: Integral = field(compare=False)

    @property
    def is_reliable(self) -> bool:
        """Whether the Pareto k-hat is small enough for the value and its error."""
        return self.pareto_k <= khat_threshold(self.draws)

    def _view(self) -> View:
        k_hat = f"Pareto k-hat {self.pareto_k:.2f}, {self.draws:,} points"
        facts = [
            ("formula", self.model.formula.line),
            ("parameters", f"importance sampling; {k_hat}{'' if self.is_reliable else ': not reliable'}"),
            ("random effects", self._integration()),
        ]
        if self.default_priors:
            facts.append(("priors", f"the defaults, for {number_of(len(self.default_priors), 'parameter')}"))
        title = f"Log marginal likelihood {fixed(self.log_evidence, 3)}, Monte Carlo error {self.mcse:.2g}"
        return View(title, (Facts(tuple(facts)),))

    def _integration(self) -> str:
        if self.method == "exact":
            return "none"
        if self.method == "Laplace":
            return "Laplace's method, with an error that is not known"
        change = f"{compared_with(self.nodes)} nodes change it by {self.integration_change:.2g}"
        return f"quadrature with {self.nodes} nodes; {change}"


def evidence(fit: Fit | ModelSpec, *, draws: int = 4096, nodes: int | None = None, seed: int | None = None) -> Evidence:
    """Log marginal likelihood of a model under its priors, also called its evidence.

    It is the logarithm of the probability of the outcomes, averaged over the prior distribution of fixed effects, sds
    and correlations, with the random effects integrated out. Differences between models are log Bayes factors; see
    `bayes_factor`.

    Parameters
    ----------
    fit : Fit or Model
        The model, or a fit of it by any engine: draws of a fit are not used, only its model.
    draws : int
        Points at which the posterior density is computed, rounded up to sixteen times a power of two.
    nodes : int, optional
        Quadrature nodes in each dimension for the random effects; 1 for Laplace's method. If not given, as many as are
        needed for the log-likelihood to be right to 0.002, or Laplace's method for random effects that quadrature
        cannot integrate out.
    seed : int, optional
        Another seed gives other points; 0 if not given.

    Returns
    -------
    Evidence
        ``log_evidence``, ``mcse``, ``pareto_k``, and how the random effects were integrated out.

    Raises
    ------
    ModelError
        If `fit` is neither a fit nor a model.
    FitError
        If an option is out of range.
    EngineError
        If quadrature with the given nodes cannot integrate out the random effects.

    Warns
    -----
    DataWarning
        If priors are the defaults: the evidence depends on them, however many rows there are.
    ConvergenceWarning
        If the Pareto k-hat or the Monte Carlo error is too large, or the integration over the random effects is not
        accurate.

    Notes
    -----
    The posterior density of the parameters, with the random effects integrated out by quadrature, is a function of a
    few variables. Its integral is the mean of its ratios, at quasi-random points, to a t distribution with its mode and
    curvature, or to a mixture with one that has its moments. Where that misses much of it, as with few clusters and
    priors with heavy tails, a third of the points have a distribution as wide as the priors. For crossed random
    effects, or more effects than quadrature takes, Laplace's method is used: ``method`` is then ``"Laplace"``, and the
    error of that approximation is not part of ``mcse``.

    References
    ----------
    Kass and Raftery (1995), Journal of the American Statistical Association 90: 773-795.
    Geweke (1989), Econometrica 57: 1317-1339, for importance sampling.
    Hesterberg (1995), Technometrics 37: 185-194, for mixtures with a wide distribution.

    Examples
    --------
    >>> import hierlogit as hl
    >>> priors = {"Intercept": hl.priors.Normal(0, 1.5), "beta": hl.priors.Normal(0, 1), "sd": hl.priors.HalfNormal(1)}
    >>> model = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"), priors=priors)
    >>> round(hl.evidence(model).log_evidence, 1)
    -101.7
    """
    refuse_pooled(fit, "fit", "The evidence is that")
    model = model_of(fit, "fit")
    refuse_sampling_weights(model, "hl.evidence", NO_LIKELIHOOD)
    draws = whole_number("draws", draws, FitError, least=LEAST_DRAWS)
    chosen = None if nodes is None else whole_number("nodes", nodes, FitError, least=1, most=MOST_NODES)
    seed = DEFAULT_SEED if seed is None else seed_or_new(seed, FitError)
    result = computed_evidence(model, draws, chosen, seed)
    warn_of_defaults(result.default_priors)
    warn_if_inaccurate({"": result})
    return result


def computed_evidence(model: ModelSpec, draws: int, nodes: int | None, seed: int) -> Evidence:
    """The evidence of a model, without warnings; the arguments are those of `evidence`, checked."""
    if nodes is None:
        count = _nodes_for(model)
    else:
        _refuse_quadrature(model, nodes)
        count = nodes
    integral = integral_over_parameters(model, count, draws, seed)
    change = _integration_change(model, count, integral)
    return Evidence(
        log_evidence=integral.log_value,
        mcse=integral.error,
        pareto_k=integral.pareto_k,
        method=_method(model, count),
        nodes=count,
        integration_change=change,
        draws=len(integral.points),
        default_priors=_with_default_priors(model),
        seed=seed,
        model=model,
        integral=integral,
    )


def _method(model: ModelSpec, nodes: int) -> str:
    if not model.design.groups:
        return "exact"
    return "Laplace" if nodes == 1 else "quadrature"


def warn_if_inaccurate(results: dict[str, Evidence]) -> None:
    """Warn of values that are not reliable; the names of the models are part of the text unless empty."""
    for name, one in results.items():
        of = f"of '{name}' " if name else ""
        if not one.is_reliable:
            warn(
                f"The evidence {of}is not reliable: the Pareto k-hat of the importance weights is {one.pareto_k:.2f}, "
                f"above {khat_threshold(one.draws):.2f}, so that value and error may be wrong. Priors with heavy "
                "tails and parameters that the data hardly tell are the usual reasons: look at hl.summary of a fit by "
                "hl.NUTS(), and use priors with lighter tails, or raise draws.",
                ConvergenceWarning,
            )
        if one.is_reliable and one.mcse > LARGE_ERROR:
            warn(
                f"The evidence {of}is not precise: the Monte Carlo error of its logarithm is {one.mcse:.2g}, which "
                f"should be at most {LARGE_ERROR}. Raise draws.",
                ConvergenceWarning,
            )
        if one.integration_change > LARGE_CHANGE:
            remedy = (
                "Raise nodes."
                if one.nodes < MOST_NODES
                else "More nodes are not possible: use priors under which sds of hundreds are not plausible."
            )
            warn(
                f"The evidence {of}is not accurate: quadrature with {compared_with(one.nodes)} nodes in place of "
                f"{one.nodes} changes the log-likelihood by {one.integration_change:.2g}. {remedy}",
                ConvergenceWarning,
            )


def warn_of_defaults(labels: Sequence[str]) -> None:
    """Warn that the priors of these parameters, which matter for the evidence, are the defaults; not if there are none.

    Parameters
    ----------
    labels : sequence of str
    """
    if labels:
        warn(
            f"The evidence depends on the priors, and {agree(labels, 'that', 'those')} of {quoted_list(labels)} "
            f"{agree(labels, 'is the default, which is', 'are the defaults, which are')} wide: a model with one more "
            "parameter loses more evidence the wider its prior. State priors that say what you expect, "
            "Model(..., priors={...}); hl.bayes_factor shows how Bayes factors change with their scales.",
            DataWarning,
        )


def _with_default_priors(model: ModelSpec) -> tuple[str, ...]:
    design, priors, usual = model.design, model.priors, default_priors(model.design)
    labels = [label for label in design.fixed_effects if priors.fixed[label] == usual.fixed[label]]
    for group in design.groups:
        pairs = zip(group.effects, priors.sd[group.name], usual.sd[group.name], strict=True)
        labels += [f"sd_{group.result_name}[{effect}]" for effect, prior, default in pairs if prior == default]
    known = parameter_labels(design)
    return tuple(label for label in known if label in labels)


def _refuse_quadrature(model: ModelSpec, nodes: int) -> None:
    if not model.design.groups:
        return
    try:
        integrator(model.design, nodes)
    except EngineError as error:
        groups = quoted_list([group.name for group in model.design.groups])
        raise EngineError(
            f"nodes={nodes}: quadrature cannot integrate out the effects of {groups}, but only those of one factor "
            f"with up to {MOST_EFFECTS} effects, or of two nested factors with one effect each. Leave nodes out: "
            "Laplace's method is then used."
        ) from error


def _nodes_for(model: ModelSpec) -> int:
    """Nodes with which finer quadrature hardly changes the log-likelihood; 1 where there is no quadrature."""
    if not model.design.groups:
        return 1
    try:
        integrator(model.design, 2)
    except EngineError:
        return 1
    nodes = nodes_needed(model)
    while nodes < MOST_NODES:
        integral = integral_over_parameters(model, nodes, LEAST_DRAWS, DEFAULT_SEED)
        if _integration_change(model, nodes, integral) <= SMALL_CHANGE:
            break
        nodes = finer(nodes)
    return nodes


def _integration_change(model: ModelSpec, nodes: int, integral: Integral) -> float:
    """Change of the log evidence by finer quadrature, from some of the points; NaN for Laplace's method.

    The points are chosen in proportion to their weights, as draws of the posterior: those with the largest weights lie
    in its tails, such as at sds near zero, where any quadrature is accurate.
    """
    if not model.design.groups:
        return 0.0
    if nodes == 1:
        return float("nan")
    shares = np.cumsum(np.exp(integral.log_ratio - integral.log_ratio.max()))
    some = np.searchsorted(shares, shares[-1] * (np.arange(COMPARED) + 0.5) / COMPARED)
    return float(abs(np.mean(integration_changes(model, nodes, integral.points[some]))))
