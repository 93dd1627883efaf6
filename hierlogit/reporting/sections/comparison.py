"""Section: comparison of several fits."""

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
from ...validation import agree
from ..html import facts, heading, paragraph, table
from ..images import picture
from ..request import Request, attempted
from .estimates import middle

#: Columns of a comparison of likelihood fits and of sampled fits, in order, and their headings.
CRITERIA = ("log_likelihood", "parameters", "aic", "bic", "bic_clusters", "bic_hybrid", "difference", "weight")
SAMPLED = ("elpd", "se", "elpd_diff", "dse", "p", "weight")
HEADS = {
    "log_likelihood": "Log-likelihood",
    "parameters": "Parameters",
    "aic": "AIC",
    "bic": "BIC",
    "bic_clusters": "BIC by clusters",
    "bic_hybrid": "Hybrid BIC",
    "difference": "Difference",
    "weight": "Weight",
    "elpd": "Expected log predictive density",
    "se": "Standard error",
    "elpd_diff": "Difference",
    "dse": "Standard error of the difference",
    "p": "Effective parameters",
}


def content(request: Request) -> str:
    """Criteria, tests of nested pairs, and coefficients."""
    fits = {subject.name: subject.fit for subject in request.subjects}
    return "".join(
        [
            facts(
                (subject.name, f"`{subject.fit.model.formula.line}`, by {subject.engine}")
                for subject in request.subjects
            ),
            attempted("The comparison", lambda: _criteria(fits, request)),
            attempted("Tests of nested models", lambda: _tests(fits)),
            heading("Estimates", 3),
            attempted("The estimates", lambda: _estimates(fits)),
        ]
    )


def _criteria(fits: dict[str, Fit], request: Request) -> Iterator[str]:
    comparison = compare(fits, executor=request.executor)
    sampled = "elpd" in comparison
    yield paragraph(
        "How well each model predicts new rows of the same clusters, by leave-one-out cross-validation, the best model "
        "first."
        if sampled
        else "Information criteria, the best model first; smaller values are better."
    )
    shown = [name for name in (SAMPLED if sampled else CRITERIA) if name in comparison]
    rows = [[str(label), *(_cell(name, row[name]) for name in shown)] for label, row in comparison.iterrows()]
    yield table(["Model", *(HEADS[name] for name in shown)], rows, "Comparison of the models")
    yield picture(lambda: draw(comparison), "Differences from the best model.")
    if sampled:
        yield paragraph(_verdict(comparison))


def _cell(name: str, value: float) -> str:
    return f"{value:.2f}" if name == "weight" else number(value)


def _verdict(comparison: pd.DataFrame) -> str:
    """Which models predict worse than the best by more than their differences are uncertain."""
    best, others = str(comparison.index[0]), comparison.iloc[1:]
    close = [str(name) for name, row in others.iterrows() if abs(row["elpd_diff"]) < 2 * row["dse"]]
    worse = [str(name) for name in others.index if str(name) not in close]
    parts = []
    if close:
        parts.append(
            f"{', '.join(f'`{name}`' for name in close)} {agree(close, 'does', 'do')} not differ clearly from the best "
            f"model, `{best}`: the difference is less than twice its standard error, whatever the weights."
        )
    if worse:
        parts.append(f"{', '.join(f'`{name}`' for name in worse)} {agree(worse, 'predicts', 'predict')} worse.")
    return " ".join(parts)


def _tests(fits: dict[str, Fit]) -> Iterator[str]:
    """Tests of all pairs of likelihood fits that are nested and differ in their number of parameters."""
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
            "If a variance is tested, the naive p-value is too large, because a variance cannot be negative; the other "
            "p-value takes this into account.",
            "note",
        )


def _estimates(fits: dict[str, Fit]) -> str:
    columns: dict[str, pd.Series[str]] = {}
    order: dict[str, None] = {}
    for name, fit in fits.items():
        frame = summary(fit, progress=False)
        spread = "se" if "se" in frame else "sd"
        order |= dict.fromkeys(map(str, frame.index))
        columns[name] = pd.Series(
            {str(label): f"{number(row[middle(frame)])} ({number(row[spread])})" for label, row in frame.iterrows()}
        )
    rows = [[f"`{label}`", *(str(columns[name].get(label, "")) for name in fits)] for label in order]
    caption = "Estimates with standard errors, or posterior means with standard deviations"
    return table(["Parameter", *fits], rows, caption)
