"""The functions that the fuzz tests call with a fit, each with the options that are drawn for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.fits.fit import Fit

from .arguments import NEW_ROWS, new_rows, options

#: Functions of a fit that take milliseconds, by name, with the options that are always given.
QUICK: Mapping[str, dict[str, Any]] = {
    "summary": {"progress": False},
    "odds_ratios": {},
    "ranef": {},
    "coef": {},
    "variance_components": {},
    "re_pca": {},
    "icc": {},
    "vpc": {},
    "r2": {},
    "mor": {},
    "ior": {},
    "predictions": {},
    "avg_predictions": {},
    "comparisons": {},
    "avg_comparisons": {},
    "slopes": {},
    "avg_slopes": {},
    "hypotheses": {},
    "contextual_effects": {},
    "residuals": {},
    "scores": {},
    "conditional_vs_average": {},
    "ignoring_clusters": {"replicates": 3, "seed": 1},
    "posterior_predictive": {},
    "check_quadrature": {},
    "pooling": {},
    "league_table": {},
    "icl": {},
    "datagrid": {},
    "explain": {},
    "explore": {},
    "robust": {},
}
#: Functions that refit, simulate or draw pictures, with few replicates.
SLOW: Mapping[str, dict[str, Any]] = {
    "bootstrap": {"replicates": 3, "seed": 1},
    "influence": {},
    "validate": {"seed": 1},
    "profile": {},
    "compare_searches": {"starts": 2, "seed": 1},
    "check": {"replicates": 50, "seed": 1},
    "test_terms": {"replicates": 3, "seed": 1},
    "test_slopes": {"replicates": 50, "seed": 1},
    "check_overdispersion": {"replicates": 50, "seed": 1},
    "calibration": {"replicates": 20, "seed": 1},
    "plots.forest": {},
    "plots.caterpillar": {},
    "plots.curves": {},
    "plots.predictions": {},
    "plots.comparisons": {},
    "plots.slopes": {},
    "plots.shrinkage": {},
    "plots.league_table": {},
    "plots.funnel": {},
    "plots.residuals": {},
    "plots.cluster_check": {"num_draws": 10},
    "plots.effects_qq": {"replicates": 20},
}
NEEDED = {"plots.curves": ["x"], "plots.predictions": ["condition"]}


def function_of(name: str) -> Callable[..., Any]:
    module, _, last = name.rpartition(".")
    found: Callable[..., Any] = getattr(hl.plots if module else hl, last)
    return found


@dataclass(frozen=True)
class Call:
    """A call of a public function with a fit, and new rows by the name of what is done to the training rows."""

    name: str
    options: Mapping[str, Any]
    rows: tuple[str, int] | None = None

    def arguments(self, fit: Fit) -> dict[str, Any]:
        rows = {} if self.rows is None else {"newdata": NEW_ROWS[self.rows[0]](fit, self.rows[1])}
        return {**self.options, **rows}

    def __call__(self, fit: Fit) -> Any:
        arguments = self.arguments(fit)
        arguments |= arguments.pop("values", {}) if self.name == "datagrid" else {}
        return function_of(self.name)(fit, **arguments)


@st.composite
def calls(draw: st.DrawFn, fit: Fit, names: Mapping[str, dict[str, Any]] = QUICK) -> Call:
    """A call with a few of the options of its function."""
    name = draw(st.sampled_from(list(names)))
    possible = options(fit)
    if name == "plots.predictions":
        possible["points"] = st.booleans()
    if name == "plots.curves":
        possible["x"] = possible["group"] | possible["by"]
    known = set(inspect.signature(function_of(name)).parameters) & set(possible) - set(names[name])
    chosen = draw(st.lists(st.sampled_from(sorted(known)), max_size=3, unique=True)) if known else []
    given = {option: draw(possible[option]) for option in [*chosen, *NEEDED.get(name, [])]}
    rows = draw(new_rows) if "newdata" in inspect.signature(function_of(name)).parameters else None
    return Call(name, {**names[name], **given}, None if rows is None or rows[0] == "none" else rows)
