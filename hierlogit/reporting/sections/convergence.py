"""Section: convergence of the computation."""

from __future__ import annotations

from collections.abc import Iterator

from ...engines.importance.finished_fit import LARGE_CHANGE, LEAST_EFFECTIVE
from ...engines.nuts.convergence import MAX_RHAT, MIN_BFMI, MIN_ESS_PER_CHAIN
from ...engines.nuts.convergence_findings import MAX_INTEGRATION_ERROR
from ...engines.nuts.options import INTEGRATION_ERROR
from ...fits.fit import counted_draws
from ...fits.pooled_fit import PooledFit
from ...fits.psis import MOST_K_HAT
from ...formatting import number
from ..finding_list import finding_list
from ..html import facts, paragraph
from ..request import Request, Subject

_ENOUGH = f"should be at least {MIN_ESS_PER_CHAIN} for each chain"
#: Measures of samplers: name, and the value it should have.
OF_SAMPLERS = {
    "max_rhat": ("Largest R-hat", f"1 if chains agree; should be below {MAX_RHAT}"),
    "min_ess_bulk": ("Smallest bulk effective sample size", _ENOUGH),
    "min_ess_tail": ("Smallest tail effective sample size", _ENOUGH),
    "max_rhat_effects": ("Largest R-hat of the cluster effects", "with many effects, it may be above by chance"),
    "min_ess_effects": ("Smallest effective sample size of the cluster effects", "with many effects, likewise"),
    "divergences": ("Divergent transitions", "should be 0"),
    "min_bfmi": ("Lowest E-BFMI", f"should be above {MIN_BFMI}"),
    "at_max_treedepth": ("Transitions at the largest tree depth", "should be few"),
    "pareto_k": ("Pareto k-hat of the importance weights", f"should be at most {MOST_K_HAT}"),
    "ess_weights": ("Effective size of the weighted draws", f"should be at least {LEAST_EFFECTIVE}"),
    "integration_change": ("Change of log densities by finer quadrature, sd", f"should be at most {LARGE_CHANGE}"),
    INTEGRATION_ERROR: ("Error of log densities by quadrature, sd", f"should be at most {MAX_INTEGRATION_ERROR}"),
}
#: Measures of optimisations.
OF_SEARCHES = {
    "evaluations": ("Evaluations of the likelihood", ""),
    "gradient_norm": ("Norm of the gradient at the estimate", "in units of standard errors; should be near 0"),
    "possible_gain": ("Possible further increase of the log-likelihood", "should be near 0"),
}


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, _: _of(subject)))


def _of(subject: Subject) -> Iterator[str]:
    diagnostics = subject.fit.diagnostics
    yield paragraph(_how(subject))
    known = OF_SAMPLERS if subject.sampled else OF_SEARCHES
    yield facts(
        (label, number(diagnostics.measures[name]) + (f" ({wanted})" if wanted else ""))
        for name, (label, wanted) in known.items()
        if name in diagnostics.measures
    )
    yield finding_list(diagnostics.findings, _good(subject))


def _good(subject: Subject) -> str:
    if not subject.sampled:
        return "The optimisation converged to a maximum."
    agreed = "The weights are even" if "ess_weights" in subject.fit.diagnostics.measures else "The chains agree"
    return f"{agreed}, and there are enough draws."


def _of_tables(subject: Subject) -> str:
    return f" of {len(subject.fit.fits)} imputed tables" if isinstance(subject.fit, PooledFit) else ""


def _how(subject: Subject) -> str:
    estimate = subject.fit.estimate
    if estimate is None:
        return (
            f"{counted_draws(subject.fit)} from the posterior{_of_tables(subject)}, by {subject.engine}. All intervals "
            "come from these draws."
        )
    restricted = "restricted " if estimate.restricted else ""
    objective = "posterior density" if estimate.penalised else f"{restricted}likelihood"
    tails = ", with t distributions of the fixed effects" if estimate.has_t_tests else ""
    integrated = f", with the random effects integrated out ({estimate.method})" if subject.design.groups else ""
    if isinstance(subject.fit, PooledFit):
        return (
            f"The maximum of the {objective}{integrated}, of each of {len(subject.fit.fits)} imputed tables, pooled by "
            "Rubin's rules. The table of estimates has Wald intervals; intervals of derived quantities come from draws "
            f"of all imputations{tails}."
        )
    return (
        f"The maximum of the {objective}{integrated}: a {restricted}log-likelihood of "
        f"{number(estimate.log_likelihood)}. The table of estimates has Wald intervals; intervals of derived "
        f"quantities come from draws from the normal approximation at the maximum{tails}."
    )
