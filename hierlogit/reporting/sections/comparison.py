"""Several fits side by side."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from ...fits.fit import Fit
from ...formatting import number, probability
from ...model_comparison.compare import compare
from ...model_comparison.likelihood_ratio import likelihood_ratio
from ...plots.model_comparison import compare as draw
from ...summaries.tables import summary
from ..html import facts, heading, paragraph, table
from ..images import picture
from ..request import Request, attempted
from .estimates import middle

#: What the columns of a comparison are called.
HEADS = {
    "log_likelihood": "Log-likelihood",
    "parameters": "Parameters",
    "aic": "AIC",
    "bic": "BIC",
    "icl": "ICL",
    "difference": "Difference",
    "weight": "Weight",
    "rank": "Rank",
    "elpd": "Expected log predictive density",
    "se": "Standard error",
    "elpd_diff": "Difference",
    "dse": "Its standard error",
    "p": "Effective parameters",
}


def content(asked: Request) -> str:
    """Criteria, tests of nested pairs, and coefficients."""
    fits = {one.name: one.fit for one in asked.subjects}
    return "".join(
        [
            facts(
                (one.name, f"`{one.fit.model.formula.line}`, by {one.fit.diagnostics.engine}") for one in asked.subjects
            ),
            attempted("The comparison", lambda: _criteria(fits)),
            attempted("Tests of nested models", lambda: _tests(fits)),
            heading("Estimates", 3),
            attempted("The estimates", lambda: _estimates(fits)),
        ]
    )


def _criteria(fits: dict[str, Fit]) -> Iterator[str]:
    found = compare(fits)
    sampled = "elpd" in found
    yield paragraph(
        "How well each model would predict new rows of the same clusters, by leave-one-out cross-validation; the best "
        "comes first."
        if sampled
        else "Information criteria: less is better; the best comes first."
    )
    shown = [name for name in HEADS if name in found]
    rows = [[str(label), *(number(row[name]) for name in shown)] for label, row in found.iterrows()]
    yield table(["Model", *(HEADS[name] for name in shown)], rows, "Comparison of the models")
    yield picture(lambda: draw(found), "The models beside the best one.")


def _tests(fits: dict[str, Fit]) -> Iterator[str]:
    """Pairs of likelihood fits of which one has more parameters; pairs that are not nested are passed over."""
    sizes = {name: fit.estimate.n_parameters for name, fit in fits.items() if fit.estimate and not fit.with_priors}
    rows = []
    for pair in combinations(sizes, 2):
        small, large = sorted(pair, key=sizes.__getitem__)
        if sizes[small] == sizes[large]:
            continue
        try:
            test = likelihood_ratio(fits[small], fits[large])
        except (ValueError, RuntimeError):
            continue
        p_values = [probability(test.p_value), probability(test.naive_p_value)]
        rows.append([f"{large} against {small}", number(test.statistic), *p_values])
    if rows:
        yield table(["Models", "Statistic", "p", "p, naive"], rows, "Likelihood-ratio tests")
        yield paragraph(
            "Where a variance is tested, the naive p-value is too large, since a variance cannot be below zero; the "
            "first one takes that into account.",
            "note",
        )


def _estimates(fits: dict[str, Fit]) -> str:
    columns: dict[str, pd.Series[str]] = {}
    order: dict[str, None] = {}
    for name, fit in fits.items():
        found = summary(fit, progress=False)
        spread = "se" if "se" in found else "sd"
        order |= dict.fromkeys(map(str, found.index))
        columns[name] = pd.Series(
            {str(label): f"{number(row[middle(found)])} ({number(row[spread])})" for label, row in found.iterrows()}
        )
    rows = [[f"`{label}`", *(str(columns[name].get(label, "")) for name in fits)] for label in order]
    caption = "Estimates with standard errors, or posterior means with standard deviations"
    return table(["Parameter", *fits], rows, caption)
