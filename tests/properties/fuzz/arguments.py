"""Arguments for the fuzz tests: priors, engines, new rows and options of the functions that take a fit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.design.table import with_columns
from hierlogit.fits.fit import Fit

from .tables import CODE, KINDS, NAMES, SCRIPT

# ---- priors --------------------------------------------------------------------------------------------------------

#: Numbers of every type, most of them sensible; and values that are no numbers of a prior.
sensible = st.one_of(
    st.sampled_from([1, 2, 0.5, 2.5, np.float32(1.5), np.int64(3), Decimal("0.7"), Fraction(3, 2)]), st.floats(0.05, 20)
)
strange = st.sampled_from(
    [0, -1, 1e-300, 1e-99, 1e-30, 1e30, 1e99, 1e150, 1e300, 10**100, 10**400, np.nan, np.inf, -np.inf, 5e-324, True,
     "1", None, [1], 1j, Decimal("NaN"), Decimal("sNaN"), Decimal("1e999"), Fraction(1, 10**400), np.array(1.0), SCRIPT]
)  # fmt: skip
numbers = st.one_of(sensible, sensible, sensible, strange)
FAMILIES = [*pr.COEFFICIENT_FAMILIES, *pr.SD_FAMILIES, pr.LKJ]


@st.composite
def priors(draw: st.DrawFn, values: st.SearchStrategy[Any] = numbers) -> tuple[str, list[Any]]:
    """The name of a family, and the arguments of a prior."""
    family = draw(st.sampled_from(FAMILIES))
    most = len(inspect.signature(family).parameters)
    return family.__name__, draw(st.lists(values, min_size=1, max_size=min(most, 2)))


def keys_of(names: Mapping[str, str]) -> list[str]:
    return [
        "beta", "Intercept", "sd", "cor", names["x"], names["t"], f"sd_{names['g']}", f"cor_{names['g']}",
        f"sd_{names['g']}[Intercept]", f"beta[{names['x']}]", "phi", "nonsense", CODE, "", "1|g",
    ]  # fmt: skip


# ---- engines -------------------------------------------------------------------------------------------------------

engines = st.one_of(
    st.just(hl.Laplace(draws=100, seed=1)),
    st.builds(
        lambda restricted, df: hl.Laplace(draws=100, seed=1, restricted=restricted, df=df),
        st.booleans(),
        st.sampled_from([None, "between-within", "normal"]),
    ),
    st.builds(lambda nodes: hl.AGQ(nodes=nodes, draws=100, seed=2), st.sampled_from([1, 2, 3, 5, 9, 25])),
    st.builds(lambda nodes: hl.MAP(nodes=nodes, draws=100, seed=3), st.sampled_from([1, 1, 5])),
)


# ---- new rows ------------------------------------------------------------------------------------------------------


def first(fit: Fit) -> pd.DataFrame:
    frame = fit.model.design.table.frame
    return frame[list(fit.model.design.predictors)].head(7).copy()


def with_cell(value: Any) -> Callable[[Fit, int], Any]:
    """The first rows with `value` in one cell of one of the columns."""

    def rows(fit: Fit, which: int) -> pd.DataFrame:
        frame = first(fit).astype(object)
        if frame.empty:  # the model has no predictors
            return frame
        frame.iloc[0, which % frame.shape[1]] = value
        return frame

    return rows


def with_column(change: Callable[[pd.Series[Any]], Any]) -> Callable[[Fit, int], Any]:
    """The first rows with one of their columns changed."""

    def rows(fit: Fit, which: int) -> pd.DataFrame:
        frame = first(fit)
        if frame.empty:
            return frame
        name = frame.columns[which % frame.shape[1]]
        frame[name] = change(frame[name])
        return frame

    return rows


#: Rows to predict for, made from the training rows of a fit and a number that chooses a column.
NEW_ROWS: Mapping[str, Callable[[Fit, int], Any]] = {
    "none": lambda *_: None,
    "grid": lambda fit, _: hl.datagrid(fit),
    "first": lambda fit, _: first(fit),
    "other order": lambda fit, _: first(fit).iloc[::-1, ::-1],
    "more columns": lambda fit, _: first(fit).assign(**{"<b>": 1, "mean": 2}),
    "same label": lambda fit, _: first(fit).set_axis([1] * len(first(fit))),
    "one row": lambda fit, _: first(fit).head(1),
    "no rows": lambda fit, _: first(fit).head(0),
    "polars": lambda fit, _: KINDS["polars"](first(fit)),
    "arrow": lambda fit, _: KINDS["arrow"](first(fit)),
    "lists": lambda fit, _: KINDS["lists"](first(fit)),
    "objects": lambda fit, _: first(fit).astype(object),
    "without a column": lambda fit, which: first(fit).drop(columns=first(fit).columns[which % first(fit).shape[1]]),
    "text in place of numbers": with_column(lambda values: values.astype(str)),
    "numbers in place of text": with_column(lambda values: range(len(values))),
    "constant column": with_column(lambda values: [values.iloc[0]] * len(values)),
    "missing column": with_column(lambda _: None),
    "dates": with_column(lambda _: pd.Timestamp("2020-01-01")),
    "new level": with_cell("<b>new</b>"),
    "new number": with_cell(123456),
    "missing cell": with_cell(None),
    "not a number": with_cell(np.nan),
    "infinite cell": with_cell(np.inf),
    "huge cell": with_cell(1e300),
    "negative cell": with_cell(-1e3),
    "truth": with_cell(True),
    "list in a cell": with_cell([1]),
    "code": with_cell(CODE),
    "a number": lambda *_: 3,
    "text": lambda *_: "x",
    "records": lambda fit, _: first(fit).to_dict("records"),
}
new_rows = st.tuples(
    st.one_of(st.sampled_from(["none", "none", "grid", "first", "other order"]), st.sampled_from(list(NEW_ROWS))),
    st.integers(0, 5),
)


# ---- options -------------------------------------------------------------------------------------------------------

CLUSTERS = ["observed", "new", "average", "typical", "low", 0.9, [0.2, "high"]]


def words_of(fit: Fit) -> list[str]:
    """Names that the user could give: columns, grouping factors, coefficients, and some that are not there."""
    design = fit.model.design
    return [*design.table.frame.columns, *(group.name for group in design.groups), *design.fixed_effects, *NAMES[::9]]


def options(fit: Fit) -> dict[str, st.SearchStrategy[Any]]:
    """Values of options by name, most of them right, for the functions of `verbs`."""
    design = fit.model.design
    word, groups = st.sampled_from(words_of(fit)), [group.name for group in design.groups]
    predictor = st.sampled_from(list(design.predictors) or ["x"])
    group = st.sampled_from([*groups, None]) if groups else st.none()
    cluster = st.sampled_from(CLUSTERS)
    choices = st.dictionaries(st.sampled_from([*groups, "nonsense"]), cluster, max_size=2)
    name = st.one_of(predictor, predictor, word)
    number = st.one_of(st.sampled_from([1, 2.5, -1, 0]), strange)
    return {
        "ci_prob": st.one_of(st.sampled_from([0.5, 0.89, 0.955, 0.999999, 1e-9]), strange),
        "ci_kind": st.sampled_from(["eti", "hdi", "hpd"]),
        "num_draws": st.sampled_from([1, 2, 10, 50, 51, 0, -1, 2.0]),
        "seed": st.sampled_from([0, 1, 2**32 - 1, -1, None]),
        "scale": st.sampled_from(["response", "link", "logit"]),
        "clusters": st.one_of(cluster, cluster, choices),
        "allow_new_levels": st.booleans(),
        "fixed": st.booleans(),
        "cluster_band": st.sampled_from([0.8, 0.5, 2]),
        "kind": st.sampled_from(["expected", "outcome", "nonsense"]),
        "by": st.one_of(name, st.lists(name, max_size=3), st.booleans()),
        "weights": st.one_of(word, st.lists(st.floats(0, 9), max_size=7)),
        "condition": st.one_of(
            name,
            st.lists(name, max_size=3),
            st.dictionaries(
                name,
                st.one_of(st.none(), st.sampled_from(["threenum", "minmax", "nonsense"]), st.lists(number, max_size=3)),
            ),
        ),
        "rug": st.booleans(),
        "variables": st.one_of(name, st.lists(name, max_size=2), st.dictionaries(name, number, max_size=2)),
        "comparison": st.sampled_from(["difference", "ratio", "lnratio", "lnor", "lift", "oddsratio", "nonsense"]),
        "slope": st.sampled_from(["dydx", "eyex", "eydx", "dyex", "nonsense"]),
        "hypothesis": st.one_of(
            st.sampled_from(
                ["pairwise", "reference", "sequential", "revpairwise", "b1 = b2", CODE, f"{CODE} > 0", [1, -1]]
            ),
            st.lists(
                st.sampled_from(
                    ["b1 = 0", "b2 - b1 > 0.1", "exp(b1) / b2 > 1", "`1` < 2 * Intercept", f"`{SCRIPT}` = 1"]
                ),
                max_size=3,
            ),
            name.map(lambda label: f"{label} = 0"),
        ),
        "adjust": st.sampled_from(["holm", "single-step", "single-step", "nonsense"]),
        "grid_type": st.sampled_from(["balanced", "balanced", "nonsense"]),
        "direction": st.booleans(),
        "standardized": st.booleans(),
        "parameters": st.one_of(word, st.lists(word, max_size=2)),
        "points": st.sampled_from([2, 3, 0, 2.0]),
        "rope": st.sampled_from([(-0.1, 0.1), (0, 0), (1, -1), (-1e9, 1e9)]),
        "group": st.one_of(group, group, word),
        "effect": st.one_of(st.sampled_from(["Intercept", None]), word),
        "interval": st.sampled_from(["wald", "draws", "profile", "nonsense"]),
        "method": st.sampled_from(["theoretical", "delta", "observation", "nonsense"]),
        "type": st.sampled_from(["quantile", "pearson", "deviance", "response", "nonsense"]),
        "bins": st.sampled_from([1, 2, 5, 10, 1000, 0]),
        "prob": st.sampled_from([0.5, 0.8, 0.99, 0, 1]),
        "adjusted": st.booleans(),
        "loo": st.sampled_from([None, False, True]),
        "nodes": st.sampled_from([1, 2, 9, 40, 0]),
        "values": st.dictionaries(name, st.one_of(number, st.lists(number, max_size=3), word), max_size=2),
        "best": st.sampled_from(["low", "high", "nonsense"]),
        "share": st.one_of(st.sampled_from([0.1, 0.5, 0.999]), strange),
        "expected": st.sampled_from(["typical", "population", "average"]),
        "others": st.sampled_from(["observed", "average", "new"]),
        "target": st.dictionaries(
            st.sampled_from(["odds_ratio", "pe", "standardised_rate", "rate"]), number, max_size=2
        ),
        "covariance": st.sampled_from(["model", "robust", "jackknife", "nonsense"]),
        "cluster": st.one_of(group, group, word, st.lists(st.integers(0, 3), max_size=7)),
        "at": st.dictionaries(name, st.one_of(number, word), max_size=2),
        "folds": st.sampled_from([2, 3, 5, 1, 0, 99, 2.5]),
        "least_events": st.sampled_from([0, 1, 3, 99, -1, "1"]),
        "refit": st.booleans(),
        "alpha": st.one_of(st.sampled_from([0.05, 0.5]), strange),
        "data": st.sampled_from(_rows_with_outcomes(fit)),
    }


def _rows_with_outcomes(fit: Fit) -> list[Any]:
    """Rows to validate on: those of the fit, with other clusters or a part of them, and what is none."""
    frame, groups = fit.model.design.table.frame, [group.name for group in fit.model.design.groups]
    others = {name: frame[name].astype(str).radd("new ") for name in groups if name in frame}
    return [frame.copy(), with_columns(frame, others), frame.iloc[::2], frame.head(1), frame.head(0), first(fit), 3]


# ---- studies -------------------------------------------------------------------------------------------------------

counts = st.integers(2, 8)
strange_counts = st.sampled_from([0, -1, 1, 2.5, "3", None, True, np.int64(4), 10**12, (3, 2), [], [0, 4], SCRIPT])
columns = st.one_of(
    st.sampled_from(["normal", "normal", "bernoulli", "uniform", "poisson", "exponential", "lognormal", 1.5]),
    st.builds(lambda low, width: ("uniform", low, low + width), st.floats(-3, 3), st.floats(0.1, 3)),
    st.tuples(st.just("normal"), st.floats(-3, 3), st.floats(0.1, 3)),
    st.sampled_from([[0, 1], ["a", "b"], {"a": 0.5, "b": 0.5}, [0, 1, 3, 6], [True, False]]),
)
strange_columns = st.one_of(
    st.tuples(st.sampled_from(["normal", "uniform", "bernoulli", "poisson", "exponential", "lognormal"]), strange),
    st.lists(strange, max_size=3),
    st.dictionaries(st.sampled_from(["a", "b", SCRIPT]), strange, max_size=3),
    st.sampled_from(["nonsense", CODE, [], {}, (), None, [SCRIPT, "&"], [0, "a"]]),
    strange,
)
amounts = st.floats(-3, 3)


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of `Layout` and the parameters of a study; most are right, and one may be replaced by a wrong one."""
    clusters, terms = draw(
        st.sampled_from(
            [
                ({"g": 8}, "(1 | g)"), ({"g": 8}, "(1 + x | g)"), ({"g": 8}, "(x || g)"), ({"g": 6}, "x:z"),
                ({"g": 4, "h": 3}, "(1 | g) + (1 | h)"), ({"g": 5, "g/k": 2}, "(1 | g/k)"), ({"h": 9}, "(1 | h)"),
            ]
        )
    )  # fmt: skip
    sd = st.floats(0, 2)
    effects = {"x": draw(sd), "Intercept": draw(sd)} if "x |" in terms or "(x" in terms else draw(sd)
    phi = draw(st.one_of(st.none(), st.none(), st.floats(0.5, 50)))
    outcome = "y" if phi is None else "p(y, 4)"
    study = {
        "formula": f"{outcome} ~ {draw(st.sampled_from(['x', 'x + z', 'x * w', 'z', 'x + C(w)']))} + {terms}",
        "clusters": {name: draw(counts) if draw(st.booleans()) else count for name, count in clusters.items()},
        "size": draw(st.one_of(counts, st.just((2, 5)), st.lists(counts, min_size=1, max_size=3))),
        "predictors": {"x": draw(columns), "z": draw(columns), "w": draw(columns)},
        "cluster_predictors": {},
        "beta": {"Intercept": draw(amounts), "x": draw(amounts)},
        "sd": {
            name: effects for name in ("g", "h", "g:k") if f"| {name}" in terms or (name == "g:k" and "/k" in terms)
        },
        "cor": None,
        "phi": phi,
    }
    spoiled: dict[str, st.SearchStrategy[Any]] = {
        "formula": st.sampled_from(
            ["y ~ x + (1 | nonsense)", "y ~", "x", CODE, f"y ~ `{SCRIPT}`", "p(y, 3) ~ x + (1 | g)"]
        ),
        "clusters": st.dictionaries(
            st.sampled_from(["g", "h", "g/k", "k/g", "g/", "", SCRIPT, "size"]), strange_counts
        ),
        "size": strange_counts,
        "predictors": st.dictionaries(
            st.sampled_from(["x", "z", "self", "g", "y", SCRIPT]), strange_columns, max_size=2
        ),
        "cluster_predictors": st.dictionaries(
            st.sampled_from(["g", "h"]), st.dictionaries(st.sampled_from(["c", "x"]), strange_columns, max_size=1)
        ),
        "beta": st.dictionaries(st.sampled_from(["Intercept", "x", "z[b]", "x:w", "nonsense"]), strange, max_size=2),
        "sd": st.dictionaries(
            st.sampled_from(["g", "h", "g:k", "nonsense"]),
            st.one_of(strange, st.dictionaries(st.sampled_from(["Intercept", "x", "z"]), strange, max_size=2)),
        ),
        "cor": st.dictionaries(st.sampled_from(["g", "h"]), st.one_of(strange, st.floats(-1, 1))),
        "phi": strange,
    }
    for name in draw(st.lists(st.sampled_from(sorted(spoiled)), max_size=1)):
        study[name] = draw(spoiled[name])
    return study


# ---- elicited priors -----------------------------------------------------------------------------------------------

chances = st.one_of(st.floats(0.01, 0.99), st.floats(0.01, 0.99), strange)
elicited = st.one_of(
    st.tuples(st.just("prior_from_mor"), st.tuples(st.one_of(st.floats(1.01, 20), strange))),
    st.tuples(st.just("prior_from_icc"), st.tuples(chances)),
    st.tuples(st.just("prior_from_range"), st.tuples(chances, chances)),
)
families = st.sampled_from(
    ["exponential", "exponential", "gamma", "halfnormal", "halfstudentt", "lognormal", "nonsense"]
)
