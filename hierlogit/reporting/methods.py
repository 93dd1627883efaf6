"""A paragraph on the methods of a fit, for the methods section of an article."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..design.weights import SamplingWeights
from ..fits.pooled_fit import PooledFit
from ..formatting import criterion, number
from ..pooled_estimate import PooledEstimate
from ..validation import number_of
from .references import REFERENCES, Reference
from .request import Subject

if TYPE_CHECKING:
    from ..design.design import Design
    from ..estimate import Estimate

#: Software that the paragraph names, by its key among the versions of a fit.
SOFTWARE = {"hierlogit": "hierlogit", "nutpie": "nutpie", "pymc": "PyMC", "python": "Python"}


def methods(subject: Subject, interval: str) -> str:
    """The paragraph, with names from the data and formulas between backticks.

    Parameters
    ----------
    subject : Subject
    interval : str
        Name of the intervals, such as ``89% interval``.
    """
    how = _sampled(subject) if subject.sampled else _maximised(subject)
    return " ".join([_model(subject), how, _summaries(subject), _ends(interval)])


def cited(subject: Subject) -> list[Reference]:
    """The references to which the paragraph belongs, in alphabetical order."""
    keys = ["hierlogit"]
    engine = subject.fit.diagnostics.engine
    if engine == "ImportanceSampling":
        keys.append("psis")
    elif subject.sampled:
        keys += ["nuts", "rhat", *(["pymc"] if "pymc" in subject.fit.diagnostics.versions else [])]
    elif subject.design.groups:
        keys.append("laplace")
    estimate = subject.fit.estimate
    if subject.design.sampling is not None:
        keys.append("sampling_weights")
    if isinstance(subject.fit, PooledFit):
        keys.append("stacked" if estimate is None else "barnard_rubin")
    if estimate is not None and estimate.clustered is not None:
        keys.append(estimate.clustered.kind)
    elif estimate is not None and estimate.has_t_tests and not isinstance(estimate, PooledEstimate):
        keys.append("between_within")
    if subject.fit.model.overdispersed:
        keys.append("beta_binomial")
    if subject.design.groups:
        keys += ["icc", "mor", "average"]
    return sorted((REFERENCES[key] for key in keys), key=lambda reference: reference.text)


def _summaries(subject: Subject) -> str:
    """What effects and differences between clusters are given as."""
    if not subject.design.groups:
        return "Effects on probabilities are averages over the rows."
    return (
        "Differences between clusters are given as intraclass correlations on the latent scale (Goldstein et al. 2002) "
        "and median odds ratios (Larsen and Merlo 2005); effects on probabilities are averages over the rows and over "
        "the population of clusters (Zeger et al. 1988)."
    )


def _model(subject: Subject) -> str:
    design = subject.design
    kind = "mixed-effects logistic regression" if design.groups else "logistic regression"
    if subject.fit.model.overdispersed:
        kind += " of beta-binomial counts (Skellam 1948)"
    groups = [f"{number_of(len(group.levels), 'cluster')} of `{group.name}`" for group in design.groups]
    nested = f", in {' and '.join(groups)}" if groups else ""
    left_out = design.table.n_missing
    missing = f" {number_of(left_out, 'row')} with missing values were left out." if left_out else ""
    return (
        f"We modelled the probability of {subject.event} by {kind}, `{subject.fit.model.formula.line}`, on "
        f"{number_of(design.n_observations, 'row')}{nested}.{missing}"
    )


def _sampled(subject: Subject) -> str:
    diagnostics = subject.fit.diagnostics
    priors = "; ".join(f"{text} for `{label}`" for label, text in subject.fit.model.priors.table(subject.design))
    how = _by_weights(subject) if diagnostics.engine == "ImportanceSampling" else _by_chains(subject)
    return f"{how}{_of_imputations(subject)} Priors: {priors}."


def _of_imputations(subject: Subject) -> str:
    """How the draws of several imputed tables are combined."""
    if not isinstance(subject.fit, PooledFit):
        return ""
    return f" The draws of {len(subject.fit.fits)} imputed tables were stacked (Zhou and Reiter 2010)."


def _by_weights(subject: Subject) -> str:
    diagnostics = subject.fit.diagnostics
    measures, nodes = diagnostics.measures, diagnostics.settings["nodes"]
    integrated = (
        f", with the random effects integrated out by adaptive Gauss-Hermite quadrature with {nodes} nodes"
        if subject.design.groups
        else ""
    )
    return (
        f"{subject.fit.posterior.sizes['draw']:,} independent draws of the posterior were chosen from "
        f"{number(round(measures['proposed']))} by Pareto-smoothed importance sampling (Vehtari et al. 2024; "
        f"{_software(subject)}, seed {diagnostics.seed}){integrated}; the Pareto k-hat of the weights was "
        f"{measures['pareto_k']:.2f}, and their "
        f"effective size {number(round(measures['ess_weights']))}."
    )


def _by_chains(subject: Subject) -> str:
    diagnostics, sizes = subject.fit.diagnostics, subject.fit.posterior.sizes
    measures = diagnostics.measures
    parts = []
    if "max_rhat" in measures:
        parts.append(f"the largest R-hat was {measures['max_rhat']:.3f} (Vehtari et al. 2021)")
    if "min_ess_bulk" in measures:
        parts.append(f"the smallest bulk effective sample size {number(round(measures['min_ess_bulk']))}")
    if "divergences" in measures:
        parts.append(f"there were {number_of(int(measures['divergences']), 'divergent transition')}")
    convergence = f"; {', '.join(parts)}" if parts else ""
    return (
        f"The posterior was sampled by the No-U-Turn sampler (Hoffman and Gelman 2014; {_software(subject)}), with "
        f"{number_of(sizes['chain'], 'chain')} of "
        f"{sizes['draw']:,} draws after tuning and seed {diagnostics.seed}{convergence}.{_integrated(subject)}"
    )


def _integrated(subject: Subject) -> str:
    """What was done with the effects of the factor with the most levels, if they were integrated out."""
    settings = subject.fit.diagnostics.settings
    if settings.get("effects") != "integrated":
        return ""
    group = subject.design.groups[subject.fit.model.arrangement.factors[0]]
    return (
        f" While the parameters were sampled, the effects of `{group.name}` were integrated out by Gauss-Hermite "
        f"quadrature with {settings['nodes']} nodes; they were drawn from their exact conditional distribution "
        "given each draw."
    )


def _maximised(subject: Subject) -> str:
    estimate = subject.fit.estimate
    assert estimate is not None
    goal = "posterior mode" if estimate.penalised else f"estimate by {estimate.likelihood}"
    integrated = (
        f", with the random effects integrated out ({estimate.method}; Pinheiro and Chao 2006)"
        if subject.design.groups
        else ""
    )
    if isinstance(estimate, PooledEstimate):
        return (
            f"Parameters are the {goal}{integrated}, computed with {_software(subject)} for each of "
            f"{len(estimate.members)} imputed tables, and pooled by Rubin's rules with small-sample degrees of freedom "
            f"(Barnard and Rubin 1999).{_weights(subject.design)}{_errors(estimate)}"
        )
    return (
        f"Parameters are the {goal}{integrated}, computed with {_software(subject)}; the "
        f"{estimate.kind_of_likelihood}log-likelihood is {criterion(estimate.log_likelihood)} with "
        f"{number_of(estimate.n_parameters, 'parameter')}.{_weights(subject.design)}{_tests(estimate)}"
    )


def _weights(design: Design) -> str:
    """How sampling weights are used."""
    weights, sampling = design.table.weights, design.sampling
    if not isinstance(weights, SamplingWeights) or sampling is None:
        return ""
    scaled = f", row weights scaled to the {'' if weights.scaling == 'size' else 'effective '}size of their clusters"
    return (
        f" Rows and clusters have the sampling weights of `{'`, `'.join(weights.columns)}` (Rabe-Hesketh and Skrondal "
        f"2006{scaled if weights.rows is not None and design.groups else ''})."
    )


def _tests(estimate: Estimate) -> str:
    """Where standard errors come from, and what fixed effects are compared with, if these are not the usual ones."""
    if estimate.clustered is not None:
        by_t = f", with t distributions of {estimate.kind_of_df} degrees of freedom" if estimate.has_t_tests else ""
        return _errors(estimate, by_t)
    if not estimate.has_t_tests:
        return ""
    return (
        " Tests and intervals of the fixed effects are by Student's t distribution with between-within degrees of "
        "freedom (Li and Redden 2015)."
    )


def _errors(estimate: Estimate, distributions: str = "") -> str:
    """Where standard errors come from, if not from the model, and their distributions."""
    if estimate.clustered is None:
        return ""
    clusters = f"{number_of(estimate.clustered.count, 'cluster')} of `{estimate.clustered.group}`"
    where = {
        "robust": f"cluster-robust, from the scores of {clusters} (Liang and Zeger 1986)",
        "jackknife": f"those of the jackknife over {clusters} (MacKinnon et al. 2023)",
    }[estimate.clustered.kind]
    return f" Standard errors are {where}{distributions}."


def _software(subject: Subject) -> str:
    known = subject.fit.diagnostics.versions
    return ", ".join(f"{name} {known[key]}" for key, name in SOFTWARE.items() if key in known) or "hierlogit"


def _ends(interval: str) -> str:
    return f"Uncertainty is given as {interval}s."
