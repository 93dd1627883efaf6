"""Whether the computation did what it should."""

from __future__ import annotations

from collections.abc import Iterator

from ...engines.nuts.convergence import MAX_RHAT, MIN_BFMI, MIN_ESS_PER_CHAIN
from ...formatting import number
from ..finding_list import finding_list
from ..html import facts, paragraph
from ..request import Request, Subject

_ENOUGH = f"should be at least {MIN_ESS_PER_CHAIN} for each chain"
#: What each measure of a sampler is, and what it should be.
OF_SAMPLERS = {
    "max_rhat": ("Largest R-hat", f"1 if chains agree; should be below {MAX_RHAT}"),
    "min_ess_bulk": ("Smallest effective sample size, of means", _ENOUGH),
    "min_ess_tail": ("Smallest effective sample size, of ends of intervals", _ENOUGH),
    "divergences": ("Divergent transitions", "should be 0"),
    "min_bfmi": ("Lowest E-BFMI", f"should be above {MIN_BFMI}"),
    "at_max_treedepth": ("Transitions cut short", "should be few"),
}
#: And of a search.
OF_SEARCHES = {
    "evaluations": ("Evaluations of the likelihood", ""),
    "gradient_norm": ("Length of the gradient at the end", "in units of standard errors; should be near 0"),
    "possible_gain": ("What the log-likelihood could still gain", "should be near 0"),
}


def content(asked: Request) -> str:
    """Each fit."""
    return "".join(asked.each(lambda one, _: _of(one)))


def _of(one: Subject) -> Iterator[str]:
    report = one.fit.diagnostics
    yield paragraph(_how(one))
    known = OF_SAMPLERS if one.sampled else OF_SEARCHES
    yield facts(
        (what, number(report.measures[name]) + (f" ({wanted})" if wanted else ""))
        for name, (what, wanted) in known.items()
        if name in report.measures
    )
    good = "The chains agree, and there are enough draws." if one.sampled else "The search ended at a maximum."
    yield finding_list(report.findings, good)


def _how(one: Subject) -> str:
    estimate, sizes = one.fit.estimate, one.fit.posterior.sizes
    if estimate is None:
        return (
            f"{sizes['chain']} chains of {sizes['draw']:,} draws each from the posterior, by "
            f"{one.fit.diagnostics.engine}. Intervals are of these draws."
        )
    what = "posterior density" if estimate.penalised else "likelihood"
    of = f", with the clusters' effects integrated out ({estimate.method})" if one.design.groups else ""
    return (
        f"The maximum of the {what}{of}: a log-likelihood of {number(estimate.log_likelihood)}. Intervals of the table "
        "below are Wald's; those of everything derived are of draws from the normal approximation at the maximum."
    )
