"""What holds for every option of every public function: a wrong value ends in an error of this package.

Each function is called with values for each of its options, one at a time. The options are found by their signatures,
so that a new function or option without an entry here fails a test. `--hypothesis-profile thorough` draws more values.
"""

from __future__ import annotations

import contextlib
import inspect
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.errors import HierlogitError, HierlogitWarning
from hierlogit.fits.fit import Fit

# ArviZ's own warning, which hl.loo(refit=False) hands on.
pytestmark = pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto distribution:UserWarning")

#: Values drawn for each option of each function.
EXAMPLES = 3 if settings.default.max_examples <= 100 else 50


# ---- values that are wrong for some options, or for all ------------------------------------------------------------


class Hostile:
    """A value that cannot even be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("this value has no text")


HOSTILE, OBJECT = Hostile(), object()
NOT_NUMBERS: list[Any] = [
    "3",
    b"3",
    [3],
    (3,),
    {3},
    {"a": 3},
    np.array([3.0, 4.0]),
    pd.Series([3]),
    3 + 1j,
    Decimal("sNaN"),
    date(2020, 1, 1),
    int,
    OBJECT,
    HOSTILE,
]
NOT_WHOLE: list[Any] = [
    *NOT_NUMBERS,
    Decimal("0.5"),
    True,
    np.True_,
    1.7,
    60.0,
    np.float64(60),
    Fraction(61, 1) / 2,
    np.nan,
    np.inf,
]
NOT_TEXTS: list[Any] = [3, 1.5, True, b"x", ["x"], ("x",), {"x": 1}, np.array(["x", "y"]), int, OBJECT, HOSTILE]
NOT_CALLABLE = [value for value in NOT_TEXTS if not callable(value)]


@dataclass(frozen=True)
class Kind:
    """Values of one kind of option: those that must be refused, and others, which may be right for some functions."""

    wrong: list[Any]
    others: list[Any] = field(default_factory=list)
    #: Whether any other text, number or list may be tried as well.
    drawn: bool = True


COUNT = Kind([*NOT_WHOLE, -1, 2**40, 10**100, 1e300, 10**5000], [0, 1, 2, 3, np.int64(50), 60])
SEED = Kind([*NOT_WHOLE, -1, 2**32, 10**100, 1e300], [0, 3, np.int64(5), np.uint8(7)])
FLAG = Kind([*NOT_NUMBERS, 1, 0, 1.0, "True", np.array([True])], [True, False, np.True_])
PROBABILITY = Kind(
    [*NOT_NUMBERS, True, 0, 1, -0.5, 2, np.nan, np.inf, -np.inf, 10**100, 10**400],
    [0.3, np.float32(0.5), Fraction(1, 3), Decimal("0.5")],
)
POSITIVE = Kind(
    [*NOT_NUMBERS, True, 0, -1, np.nan, np.inf, 1e300, 10**400],
    [0.3, 2, np.float64(1e-5), Fraction(1, 3), Decimal("0.5")],
)
NUMBER = Kind(
    [*NOT_NUMBERS, True, np.nan, np.inf, 1e300, 10**400],
    [0.3, -2, np.float64(1e-5), Fraction(1, 3), Decimal("-0.5"), 0],
)
TEXT = Kind(NOT_TEXTS, ["", "x", "a title"])
CHOICE = Kind([*NOT_TEXTS, "", "nonsense", "\0"])
NAME = Kind([*NOT_TEXTS, "", "nonsense", "age"], ["x", "g", "f"])
NAMES = Kind(
    [
        3,
        1.5,
        b"x",
        [],
        {3},
        ["nonsense"],
        "nonsense",
        [3],
        [["x"]],
        [None],
        np.array([1.5]),
        int,
        OBJECT,
        HOSTILE,
        [HOSTILE],
    ],
    ["x", ["x"], ("f", "x"), {"x"}, np.array(["x", "f"]), pd.Index(["x"])],
)
EXECUTOR = Kind([3, "pool", True, [], ThreadPoolExecutor, OBJECT, HOSTILE])
FUNCTION = Kind([3, "f", True, [], {}, np.array([1.0]), OBJECT, HOSTILE])
PATH = Kind([3, 1.5, True, b"x", [], {}, "", "\0", "x" * 5000, int, OBJECT, HOSTILE], drawn=False)
MAPPING = Kind([3, True, "x", b"x", ["x"], [3], np.array([1.0]), {3: 1}, {None: 1}, int, OBJECT, HOSTILE])
TABLE = Kind(
    [3, True, "x", b"x", [1, 2], np.zeros((2, 2)), {}, {"x": 1}, {"x": [1], "f": [1, 2]}, int, OBJECT, HOSTILE]
)
AXES = Kind([3, True, "x", [], [3], {}, int, OBJECT, HOSTILE])
ANYTHING_ELSE = Kind([3, 1.5, True, "x", b"x", [], {}, (), pd.DataFrame(), int, OBJECT, HOSTILE])
CLUSTERS = Kind(
    [*NOT_TEXTS, "", "nonsense", {"nonsense": "new"}, {"g": 3}, {"g": HOSTILE}, {3: "new"}, [0.1, "new"], {"g": [1]}],
    ["new", {"g": "typical"}],
)
WEIGHTS = Kind(
    [
        "",
        "nonsense",
        3,
        True,
        [1, 2],
        ["1"] * 48,
        [True] * 48,
        [np.nan] * 48,
        [-1.0] * 48,
        [0] * 48,
        [1e300] * 48,
        HOSTILE,
    ],
    [[1] * 48, np.ones(48), "x", pd.Series([2] * 48)],
)
BY = Kind(
    [3, b"x", [], ["nonsense"], "nonsense", [3], [HOSTILE], {"f": 1}, OBJECT, HOSTILE], [True, False, "f", ["f", "g"]]
)
HYPOTHESIS = Kind(
    [
        *[
            "",
            "nonsense",
            b"x",
            True,
            3,
            ["a"],
            [np.nan],
            [True],
            np.zeros((2, 2, 2)),
            [[1], [1, 2]],
            {"a": 1},
            HOSTILE,
        ],
        *["=", "b1 = b1", "b0 > 0", "exp(b1 = 1", "b1 = 1 = 1", "(b1 > 0", ["b1 = 0", 3], ["pairwise"], "b1 / 0 = 1"],
    ],
    ["reference", "revpairwise", "b1 > 0.5", ["b1 = 0.1", "b1 < 2"]],
)
ADJUST = Kind([*NOT_TEXTS, "", "nonsense", "none", ["holm"]], ["single-step", "holm"])
ROPE = Kind(
    [3, True, "ab", [1], (1, 2, 3), (2, 1), (1, 1), ("a", "b"), (np.nan, 1), (None, 1), {}, HOSTILE], [(-0.1, 0.1)]
)
VARIABLES = Kind(
    [
        *NAMES.wrong,
        "g",
        {},
        {"x": "nonsense"},
        {"x": 0},
        {"x": np.nan},
        {"x": True},
        {"x": (1, 2, 3)},
        {"x": HOSTILE},
        {3: 1},
    ],
    ["x", ["x"], {"x": 2}, {"x": np.float64(0.5)}],
)
CONDITION = Kind(
    [
        *NAMES.wrong,
        {},
        {"x": 1},
        {"x": "nonsense"},
        {"x": []},
        {"x": [[1], [2]]},
        {"x": ["a", "b"]},
        {"x": HOSTILE},
        {"nonsense": None},
        {3: None},
    ],
    ["x", ["x", "f", "z"], {"x": "fivenum", "f": "a"}, {"f": None, "x": np.unique}],
)
PRIORS = Kind([3, True, "x", ["x"], {3: 1}, {"nonsense": pr.Normal()}, {"x": 3}, {"x": HOSTILE}, OBJECT, HOSTILE], [{}])
ENGINE = Kind(
    [3, True, "", "nonsense", hl.Laplace, b"laplace", [], {}, int, OBJECT, HOSTILE], ["laplace", hl.AGQ(nodes=3)]
)
GROUP_OR_VALUES = Kind(
    [
        *[3, 1.5, True, b"x", "", "nonsense", [], ["x"], {"x": 1}, int, OBJECT, HOSTILE],
        *[[np.nan] * 48, ["a"] * 48, [HOSTILE] * 48, pd.Series(["a", "b"]), pd.Series([OBJECT, HOSTILE] * 24)],
    ],
    ["g", "f", pd.Series(["a", "b"] * 24), ["a", "b"] * 24],
)
POINTS = Kind(
    ["x", b"x", True, ["a"], [True], [True, 1.0], [[1], [1, 2]], {"a": 1}, 1j, None, OBJECT, HOSTILE],
    [0.5, [1, 2], -1, 0, (0, 1e10)],
    drawn=False,
)

# What each option takes, by its name; where functions differ, by function and name.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        [
            *["draws", "replicates", "chains", "points", "starts", "num_draws", "tune", "cores", "nodes", "bins"],
            *["top", "folds", "least_events", "shards"],
        ],
        COUNT,
    ),
    **dict.fromkeys(["seed"], SEED),
    "phi": POSITIVE,
    **dict.fromkeys(
        [
            "progress",
            "store_u",
            "refit",
            "loo",
            "adjusted",
            "direction",
            "allow_new_levels",
            "sort",
            "fixed",
            "rug",
            "screen",
            "standardized",
            "restricted",
        ],
        FLAG,
    ),
    **dict.fromkeys(
        ["ci_prob", "prob", "alpha", "target_accept", "icc", "low", "high", "share", "typical", "cluster_band"],
        PROBABILITY,
    ),
    **dict.fromkeys(
        ["backend", "parameterization", "missing", "collinear", "scale", "kind", "type", "slope", "family", "scaling"],
        CHOICE,
    ),
    **dict.fromkeys(
        ["interval", "ci_kind", "criterion", "comparison", "method", "name", "grid_type", "df", "covariance"], CHOICE
    ),
    **dict.fromkeys(["group", "effect", "x"], NAME),
    **dict.fromkeys(["effects", "sections", "test", "quantities", "parameters", "optimizers", "measures"], NAMES),
    "title": TEXT,
    "executor": EXECUTOR,
    **dict.fromkeys(["statistic", "estimand"], FUNCTION),
    **dict.fromkeys(["store", "path", "folder"], PATH),
    **dict.fromkeys(["namespace", "at", "beta", "sd", "cor", "grid", "predictors", "cluster_predictors"], MAPPING),
    **dict.fromkeys(["newdata", "given", "data", "layout", "source"], TABLE),
    **dict.fromkeys(["ax", "axes", "figure"], AXES),
    **dict.fromkeys(["fit", "fit0", "fit1", "fits", "model", "result", "table", "engines", "y"], ANYTHING_ELSE),
    "tables": ANYTHING_ELSE,
    "formula": CHOICE,
    "others": Kind([3, True, "x", [], {}, int, OBJECT, HOSTILE]),
    "clusters": CLUSTERS,
    "weights": WEIGHTS,
    "by": BY,
    "hypothesis": HYPOTHESIS,
    "adjust": ADJUST,
    "imputation": Kind([*NOT_TEXTS, "", "nonsense", "x"]),
    "cluster": Kind([*NOT_TEXTS, "", "nonsense", "x"], ["g", np.repeat(np.arange(8), 6)]),
    "rope": ROPE,
    "variables": VARIABLES,
    "condition": CONDITION,
    "priors": PRIORS,
    "engine": ENGINE,
    "values": Kind(
        [{"nonsense": 1}, {"x": []}, {"x": [[1]]}, {"x": HOSTILE}, {"x": None}, {"x": b"x"}, {"f": {"a": 1}}]
    ),
    "numbers": Kind([{"nonsense": 1}, {"g": 0}, {"g": 1.5}, {"g": HOSTILE}, {"size": 0}, {"g": 2**40}]),
    "size": Kind(
        [None, True, 0, -1, 1.5, 2**40, "x", [], (5, 2), (0, 1), [0], HOSTILE, OBJECT, np.zeros(3)], [2, (1, 3)]
    ),
    "mor": Kind([*NOT_NUMBERS, True, 1, 0.5, np.nan, np.inf, 1e300], [1.5, 3]),
    "shape": Kind([*NOT_NUMBERS, True, 0, -1, np.nan, np.inf], [0.3, 2]),
}
SPECIAL: dict[tuple[str, str], Kind] = {
    ("Layout", "clusters"): MAPPING,
    ("FrequencyWeights", "rows"): TEXT,
    ("SamplingWeights", "rows"): TEXT,
    ("SamplingWeights", "clusters"): Kind([*MAPPING.wrong, {"g": 1}, {"g": HOSTILE}], [{}, {"g": "w"}]),
    ("Model", "weights"): Kind([*ANYTHING_ELSE.wrong, hl.FrequencyWeights("nonsense"), hl.SamplingWeights("f")]),
    ("NUTS", "effects"): CHOICE,
    ("build", "clusters"): Kind(
        [3, 1.5, True, b"x", "", " ", [], [3], ["g", "g"], "nonsense", "g/", {"g": 1}, HOSTILE, [HOSTILE]], ["g", ["g"]]
    ),
    ("build", "estimand"): Kind([value for value in NAMES.wrong if value is not int], ["x", ["Intercept", "x"]]),
    ("Build.evaluate", "estimand"): Kind(
        [value for value in NAMES.wrong if value is not int], ["f", "sd_g[Intercept]"]
    ),
    ("check_data", "sd"): Kind([*POSITIVE.wrong, {"nonsense": 1}, {"g": 0}, {3: 1}], [0.5, {"g": 2}]),
    ("ior", "group"): Kind([value for value in NAMES.wrong if value != "x"], ["g", ["g"]]),
    ("ior", "variables"): Kind([*NAMES.wrong, "g", {}, {"z": 0}, {"z": "x"}, {"z": HOSTILE}], ["z", {"z": 2}]),
    ("slopes", "variables"): Kind([*NAMES.wrong, "f", "g"], ["x", ["x", "z"]]),
    ("avg_slopes", "variables"): Kind([*NAMES.wrong, "f", "g"], ["x", ["x", "z"]]),
    ("plots.cluster_check", "sort"): CHOICE,
    ("plots.league_table", "show"): CHOICE,
    ("plots.residuals", "by"): NAME,
    ("residuals", "by"): NAME,
    ("plots.curves", "by"): NAME,
    ("plots.power", "x"): CHOICE,
    ("plots.forest", "effects"): NAMES,
    ("plots.forest", "labels"): MAPPING,
    **dict.fromkeys([("league_table", "best"), ("league_table", "expected"), ("league_table", "others")], CHOICE),
    ("league_table", "target"): Kind(
        [*MAPPING.wrong, {}, {"rate": 1}, {"pe": 0}, {"pe": HOSTILE}, {"pe": 1, "odds_ratio": 1}], [{"odds_ratio": 1.5}]
    ),
    ("league_table", "at"): Kind(
        [*MAPPING.wrong, {"g": 1}, {"x": [1, 2]}, {"x": None}, {"x": HOSTILE}], [{}, {"x": 1}, {"f": "a"}]
    ),
    ("influence", "group"): Kind([*NOT_TEXTS, "", "nonsense"], ["g", "f"]),
    **{(name, "group"): GROUP_OR_VALUES for name in ("validate", "scores", "calibration")},
    ("validate", "clusters"): Kind([*CLUSTERS.wrong, "new"], ["typical", {"g": "typical"}]),
    ("compare_engines", "engines"): Kind([*MAPPING.wrong, {}, {"a": hl.Laplace()}, {"a": hl.Laplace(), "b": 3}]),
    ("bayes_factor", "fits"): Kind([*MAPPING.wrong, {}, {"a": 3, "b": 4}]),
    ("bayes_factor", "reference"): Kind([*NOT_TEXTS, "", "nonsense"], ["one", "two"]),
    ("bayes_factor", "probabilities"): Kind(
        [*MAPPING.wrong, {}, {"one": 1}, {"one": 0, "two": 1}, {"one": "1", "two": 1}, {"one": np.nan, "two": 1}],
        [{"one": 1, "two": 3}],
    ),
    ("bayes_factor", "scales"): Kind(
        ["", "x", 3, True, [], [0], [-1], [np.nan], [[1, 2]], ["2"], [1e9], {"a": 1}, OBJECT, HOSTILE], [[0.5, 2]]
    ),
    ("compare", "fits"): Kind([*MAPPING.wrong, {}, {"a": 3, "b": 4}]),
    ("simulate", "beta"): Kind([*MAPPING.wrong, {}, {"Intercept": 1}, {"Intercept": 1, "x": np.nan}]),
    ("comparisons", "comparison"): Kind([*NOT_CALLABLE, "", "nonsense"]),
    ("avg_comparisons", "comparison"): Kind([*NOT_CALLABLE, "", "nonsense"]),
    ("plots.comparisons", "comparison"): Kind([*NOT_CALLABLE, "", "nonsense"]),
    ("plots.slopes", "variables"): Kind([*NAMES.wrong, "f", "g"], ["x", ["x", "z"]]),
    ("plots.predictions", "points"): FLAG,
    ("plots.prior_predictive", "axes"): Kind([]),
    ("plots.text_alternative", "figure"): Kind([value for value in AXES.wrong if value != []]),
    ("Model.with_priors", "priors"): PRIORS,
    ("Model.with_outcome", "y"): Kind(
        [3, None, [1], ["1"] * 48, [True] * 48, [2] * 48, [np.nan] * 48, HOSTILE], [[1, 0] * 24]
    ),
}


# ---- functions, and arguments with which they work -----------------------------------------------------------------

Call = tuple[Callable[..., Any], dict[str, Any]]


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(8), 6)
    frame = pd.DataFrame({"x": rng.normal(size=48).round(2), "f": np.tile(["a", "b"], 24), "z": (g % 4) / 2.0, "g": g})
    p = 1 / (1 + np.exp(-(rng.normal(size=8)[g] + 0.5 * frame["x"])))
    return frame.assign(y=(rng.uniform(size=48) < p).astype(int))


STUDY: dict[str, Any] = {
    "formula": "y ~ x + (1 | g)",
    "layout": hl.Layout({"g": 6}, size=6, predictors={"x": "normal"}),
    "beta": {"Intercept": 0.0, "x": 0.5},
    "sd": {"g": 0.5},
}


class Subjects:
    """A model of a few rows, fits of it, and what was computed of them."""

    def __init__(self, make_fit: Callable[..., Fit], folder: Path) -> None:
        self.folder, self.rows = folder, rows()
        self.model = hl.Model("y ~ x + f + z + (1 | g)", self.rows)
        self.fit = self.model.fit(hl.Laplace(draws=100, seed=1))
        self.smaller = hl.Model("y ~ x + f + (1 | g)", self.rows).fit(hl.Laplace(draws=100, seed=1))
        self.counts = hl.Model("p(y, 3) ~ x + (1 | g)", self.rows).fit(hl.Laplace(draws=100, seed=1))
        self.sampled = make_fit("y ~ x + f + z + (1 | g)", self.rows, draws=20)
        self.contextual = hl.Model("y ~ x + between(x, g) + (1 | g)", self.rows).fit(hl.Laplace(draws=100, seed=1))
        self.two = {"one": self.fit, "two": self.smaller}
        self.bootstrap = hl.bootstrap(self.fit, replicates=3, seed=1)
        self.power = hl.power(**STUDY, grid={"g": [6, 8]}, replicates=2, seed=1)
        stated = {"Intercept": pr.Normal(0, 2), "beta": pr.Normal(0, 1), "sd": pr.HalfNormal(1)}
        models = {name: fit.model.with_priors(stated) for name, fit in self.two.items()}
        self.build = hl.build("y ~ x + f + (1 | g)", self.rows, engine=hl.Laplace(draws=100, seed=1))
        self.league = hl.league_table(self.sampled)
        self.validation = hl.validate(self.fit)
        self.factors = hl.bayes_factor(models, draws=256, nodes=1)
        self.shards = hl.Shards.write(self.rows, folder / "shards", group="g", shards=2)
        self.sharded = self.shards.model("y ~ x + (1 | g)")
        self.sharded_draws = self.sharded.fit(hl.ImportanceSampling(draws=100, nodes=3, seed=1))
        self.figure = plt.figure()
        assert self.fit.estimate is not None
        self.estimate = self.fit.estimate

    def new_folder(self) -> Path:
        """A folder that does not exist yet."""
        return Path(tempfile.mkdtemp(dir=self.folder)) / "new"


@pytest.fixture(scope="module")
def subjects(make_fit: Callable[..., Fit], tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    return Subjects(make_fit, tmp_path_factory.mktemp("options"))


CALLS: dict[str, Callable[[Subjects], Call]] = {
    "AGQ": lambda _: (hl.AGQ, {}),
    "Laplace": lambda _: (hl.Laplace, {}),
    "ImportanceSampling": lambda _: (hl.ImportanceSampling, {}),
    "MAP": lambda _: (hl.MAP, {}),
    "NUTS": lambda _: (hl.NUTS, {}),
    "Layout": lambda _: (hl.Layout, {"clusters": {"g": 4}}),
    "FrequencyWeights": lambda _: (hl.FrequencyWeights, {"rows": "n"}),
    "SamplingWeights": lambda _: (hl.SamplingWeights, {"rows": "w"}),
    "Shards": lambda s: (hl.Shards, {"folder": s.shards.folder}),
    "Model": lambda s: (hl.Model, {"formula": "y ~ x", "data": s.rows}),
    "avg_comparisons": lambda s: (hl.avg_comparisons, {"fit": s.sampled}),
    "avg_predictions": lambda s: (hl.avg_predictions, {"fit": s.sampled}),
    "avg_slopes": lambda s: (hl.avg_slopes, {"fit": s.sampled}),
    "bayes_factor": lambda s: (hl.bayes_factor, {"fits": s.two, "draws": 256, "nodes": 1}),
    "bootstrap": lambda s: (hl.bootstrap, {"fit": s.fit, "replicates": 2}),
    "build": lambda s: (hl.build, {"formula": "y ~ x", "data": s.rows, "clusters": "g"}),
    "calibration": lambda s: (hl.calibration, {"fit": s.fit, "replicates": 20}),
    "check": lambda s: (hl.check, {"fit": s.fit, "replicates": 50}),
    "check_data": lambda s: (hl.check_data, {"model": s.model}),
    "check_density": lambda s: (hl.check_density, {"model": s.model}),
    "check_overdispersion": lambda s: (hl.check_overdispersion, {"fit": s.counts, "replicates": 50}),
    "check_quadrature": lambda s: (hl.check_quadrature, {"fit": s.fit}),
    "compare": lambda s: (hl.compare, {"fits": s.two}),
    "compare_engines": lambda s: (
        hl.compare_engines,
        {"model": s.model, "engines": {"a": hl.Laplace(), "b": hl.MAP()}},
    ),
    "compare_searches": lambda s: (hl.compare_searches, {"fit": s.fit, "optimizers": "BFGS", "starts": 1}),
    "comparisons": lambda s: (hl.comparisons, {"fit": s.sampled}),
    "conditional_vs_average": lambda s: (hl.conditional_vs_average, {"fit": s.fit}),
    "contextual_effects": lambda s: (hl.contextual_effects, {"fit": s.contextual}),
    "datagrid": lambda s: (
        lambda fit, grid_type="balanced", **values: hl.datagrid(fit, values, grid_type=grid_type),
        {"fit": s.fit},
    ),
    "evidence": lambda s: (hl.evidence, {"fit": s.fit, "draws": 256, "nodes": 1}),
    "explain": lambda s: (hl.explain, {"model": s.model}),
    "explore": lambda s: (hl.explore, {"fit": s.fit}),
    "fit_imputed": lambda s: (
        hl.fit_imputed,
        {"formula": "y ~ x", "tables": [s.rows] * 5, "engine": hl.Laplace(draws=100, seed=1)},
    ),
    "hypotheses": lambda s: (hl.hypotheses, {"fit": s.fit}),
    "icc": lambda s: (hl.icc, {"fit": s.fit}),
    "icl": lambda s: (hl.icl, {"fit": s.fit}),
    "influence": lambda s: (hl.influence, {"fit": s.fit}),
    "ignoring_clusters": lambda s: (hl.ignoring_clusters, {"fit": s.fit, "replicates": 3}),
    "ior": lambda s: (hl.ior, {"fit": s.fit}),
    "league_table": lambda s: (hl.league_table, {"fit": s.sampled}),
    "likelihood_ratio": lambda s: (hl.likelihood_ratio, {"fit0": s.smaller, "fit1": s.fit, "replicates": 2}),
    "load": lambda s: (hl.load, {"path": s.fit.save(s.folder / "fit.nc")}),
    "loo": lambda s: (hl.loo, {"fit": s.sampled, "refit": False}),
    "mor": lambda s: (hl.mor, {"fit": s.fit}),
    "odds_ratios": lambda s: (hl.odds_ratios, {"fit": s.fit}),
    "pcv": lambda s: (hl.pcv, {"fit0": s.smaller, "fit1": s.fit}),
    "pool": lambda s: (hl.pool, {"fits": [s.fit] * 5}),
    "pooling": lambda s: (hl.pooling, {"model": s.model}),
    "posterior_predictive": lambda s: (hl.posterior_predictive, {"fit": s.sampled}),
    "power": lambda _: (hl.power, STUDY | {"replicates": 2}),
    "predictions": lambda s: (hl.predictions, {"fit": s.sampled}),
    "prior_from_icc": lambda _: (hl.prior_from_icc, {"icc": 0.3, "family": "gamma"}),
    "prior_from_mor": lambda _: (hl.prior_from_mor, {"mor": 2, "family": "gamma"}),
    "prior_from_range": lambda _: (hl.prior_from_range, {"low": 0.1, "high": 0.6, "family": "gamma"}),
    "prior_predictive": lambda s: (hl.prior_predictive, {"model": s.model}),
    "profile": lambda s: (hl.profile, {"fit": s.fit, "parameters": "x", "points": 2}),
    "r2": lambda s: (hl.r2, {"fit": s.fit}),
    "ranef": lambda s: (hl.ranef, {"fit": s.fit}),
    "coef": lambda s: (hl.coef, {"fit": s.fit}),
    "re_pca": lambda s: (hl.re_pca, {"fit": s.fit}),
    "recover": lambda s: (hl.recover, {"folder": s.folder}),
    "report": lambda s: (hl.report, {"fits": s.fit, "path": s.folder / "page.html", "sections": ["data"]}),
    "residuals": lambda s: (hl.residuals, {"fit": s.fit, "replicates": 20}),
    "robust": lambda s: (hl.robust, {"fit": s.fit}),
    "scores": lambda s: (hl.scores, {"fit": s.fit}),
    "simulate": lambda _: (hl.simulate, STUDY),
    "slopes": lambda s: (hl.slopes, {"fit": s.sampled}),
    "summary": lambda s: (hl.summary, {"fit": s.fit}),
    "test_slopes": lambda s: (hl.test_slopes, {"fit": s.fit, "replicates": 50}),
    "test_terms": lambda s: (hl.test_terms, {"fit": s.fit, "replicates": 2}),
    "validate": lambda s: (hl.validate, {"fit": s.fit}),
    "variance_components": lambda s: (hl.variance_components, {"fit": s.fit}),
    "vpc": lambda s: (hl.vpc, {"fit": s.fit}),
    "datasets.load": lambda _: (hl.datasets.load, {"name": "cbpp"}),
    "datasets.describe": lambda _: (hl.datasets.describe, {"name": "cbpp"}),
    "plots.bayes_factor": lambda s: (hl.plots.bayes_factor, {"result": s.factors}),
    "plots.build": lambda s: (hl.plots.build, {"result": s.build}),
    "plots.calibration": lambda s: (hl.plots.calibration, {"fit": s.fit, "replicates": 20}),
    "plots.caterpillar": lambda s: (hl.plots.caterpillar, {"result": s.fit}),
    "plots.check_data": lambda s: (hl.plots.check_data, {"result": hl.check_data(s.model)}),
    "plots.check_overdispersion": lambda s: (
        hl.plots.check_overdispersion,
        {"result": hl.check_overdispersion(s.counts, replicates=50)},
    ),
    "plots.cluster_check": lambda s: (hl.plots.cluster_check, {"fit": s.sampled, "num_draws": 10}),
    "plots.compare": lambda s: (hl.plots.compare, {"table": hl.compare(s.two)}),
    "plots.comparisons": lambda s: (hl.plots.comparisons, {"result": s.fit, "variables": "f", "condition": "x"}),
    "plots.curves": lambda s: (hl.plots.curves, {"fit": s.sampled, "x": "f"}),
    "plots.effects_qq": lambda s: (hl.plots.effects_qq, {"fit": s.fit, "replicates": 20}),
    "plots.forest": lambda s: (hl.plots.forest, {"result": s.fit}),
    "plots.hypotheses": lambda s: (hl.plots.hypotheses, {"result": hl.hypotheses(s.fit)}),
    "plots.ignoring_clusters": lambda s: (
        hl.plots.ignoring_clusters,
        {"result": hl.ignoring_clusters(s.fit, replicates=3)},
    ),
    "plots.influence": lambda s: (hl.plots.influence, {"result": hl.influence(s.fit)}),
    "plots.funnel": lambda s: (hl.plots.funnel, {"result": s.league}),
    "plots.league_table": lambda s: (hl.plots.league_table, {"result": s.league}),
    "plots.khat": lambda s: (hl.plots.khat, {"result": hl.loo(s.sampled, refit=False)}),
    "plots.likelihood_ratio": lambda s: (hl.plots.likelihood_ratio, {"result": hl.likelihood_ratio(s.smaller, s.fit)}),
    "plots.power": lambda s: (hl.plots.power, {"result": s.power}),
    "plots.predictions": lambda s: (hl.plots.predictions, {"result": s.fit, "condition": "x"}),
    "plots.prior_predictive": lambda s: (hl.plots.prior_predictive, {"model": s.model}),
    "plots.profile": lambda s: (hl.plots.profile, {"table": hl.profile(s.fit, "x", points=2)}),
    "plots.residuals": lambda s: (hl.plots.residuals, {"fit": s.fit, "replicates": 20}),
    "plots.shrinkage": lambda s: (hl.plots.shrinkage, {"result": s.fit}),
    "plots.slopes": lambda s: (hl.plots.slopes, {"result": s.fit, "variables": "x", "condition": "x"}),
    "plots.validation": lambda s: (hl.plots.validation, {"result": s.validation}),
    "plots.validation_curves": lambda s: (hl.plots.validation_curves, {"result": s.validation}),
    "plots.text_alternative": lambda s: (hl.plots.text_alternative, {"figure": s.figure}),
    # Methods of what these return.
    "AGQ.run": lambda s: (hl.AGQ().run, {"model": s.model}),
    "Laplace.run": lambda s: (hl.Laplace().run, {"model": s.model}),
    "ImportanceSampling.run": lambda s: (hl.ImportanceSampling(progress=False).run, {"model": s.model}),
    "MAP.run": lambda s: (hl.MAP().run, {"model": s.model}),
    "Model.fit": lambda s: (s.model.fit, {"engine": hl.Laplace(draws=100)}),
    "Model.with_priors": lambda s: (s.model.with_priors, {"priors": {}}),
    "Model.with_outcome": lambda s: (s.model.with_outcome, {"y": s.model.design.outcome.y}),
    "Shards.write": lambda s: (hl.Shards.write, {"source": s.rows, "folder": s.new_folder(), "group": "g"}),
    "Shards.model": lambda s: (s.shards.model, {"formula": "y ~ x + (1 | g)"}),
    "ShardedModel.fit": lambda s: (s.sharded.fit, {}),
    "ShardedFit.summary": lambda s: (s.sharded.fit().summary, {}),
    "ShardedFit.robust": lambda s: (s.sharded.fit().robust, {}),
    "ShardedFit.predictions": lambda s: (s.sharded.fit().predictions, {"folder": s.new_folder()}),
    "ShardedFit.ranef": lambda s: (s.sharded.fit().ranef, {"folder": s.new_folder()}),
    "ShardedPosterior.summary": lambda s: (s.sharded_draws.summary, {}),
    "ShardedPosterior.ranef": lambda s: (s.sharded_draws.ranef, {"folder": s.new_folder()}),
    "ShardedPosterior.predictions": lambda s: (s.sharded_draws.predictions, {"folder": s.new_folder()}),
    "ShardedPosterior.save": lambda s: (s.sharded_draws.save, {"path": s.folder / "draws.nc"}),
    "Fit.save": lambda s: (s.fit.save, {"path": s.folder / "again.nc"}),
    "Explanation.save": lambda s: (hl.explain(s.model).save, {"folder": s.folder / "program"}),
    "Build.evaluate": lambda s: (s.build.evaluate, {}),
    "Bootstrap.summary": lambda s: (s.bootstrap.summary, {}),
    "Estimate.sd": lambda s: (s.estimate.sd, {"group": "g"}),
    "Estimate.cor": lambda s: (s.estimate.cor, {"group": "g"}),
    "Layout.table": lambda _: (STUDY["layout"].table, {}),
    "Layout.with_numbers": lambda _: (STUDY["layout"].with_numbers, {}),
}


def _prior_calls() -> dict[str, Callable[[Subjects], Call]]:
    """Constructors and methods of the prior families; all arguments are numbers."""
    calls: dict[str, Call] = {}
    for family in (*pr.COEFFICIENT_FAMILIES, *pr.SD_FAMILIES, pr.LKJ):
        name, parameters = f"priors.{family.__name__}", inspect.signature(family).parameters
        arguments = {option: 2.0 for option, item in parameters.items() if item.default is item.empty}
        prior: Any = family(**arguments)
        calls[name] = (family, arguments)
        x = np.eye(2) if family is pr.LKJ else [0.5, 1.0]
        calls[f"{name}.logpdf"] = (prior.logpdf, {"x": x})
        if family is not pr.LKJ:
            calls[f"{name}.score"] = (prior.score, {"x": x})
        if hasattr(prior, "quantile"):
            calls[f"{name}.quantile"] = (prior.quantile, {"prob": 0.5})
    return {name: lambda _, call=call: call for name, call in calls.items()}  # type: ignore[misc]


CALLS |= _prior_calls()
#: Public names that are not called.
NO_OPTIONS = {"errors", "priors", "results", "datasets", "plots"}
#: Of what needs a folder that a sampler has written, only the options are tried.
FAILING = {"recover"}


def kind_of_option(name: str, option: str) -> Kind:
    if (name, option) in SPECIAL:
        return SPECIAL[name, option]
    if name.startswith("priors."):
        return POINTS if option == "x" else PROBABILITY if option == "prob" else NUMBER
    if option not in KINDS:
        pytest.fail(f"there are no values for the option {option!r} of hl.{name}: enter it in KINDS or SPECIAL")
    return KINDS[option]


def options_of(name: str, function: Callable[..., Any]) -> dict[str, Kind]:
    """The options of a function with their kinds; None is wrong for those that must be given."""
    kinds = {}
    for option, parameter in inspect.signature(function).parameters.items():
        kind = kind_of_option(name, option)
        needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if needed and (name, option) not in SPECIAL:
            kind = Kind([*kind.wrong, None], kind.others, kind.drawn)
        kinds[option] = kind
    return kinds


# ---- what may come of a call ---------------------------------------------------------------------------------------


class AcceptedError(Exception):
    """Raised in place of work that takes long, once the options have been accepted."""


@pytest.fixture(autouse=True, scope="module")
def short_work() -> Iterator[None]:
    """No compiling of PyMC graphs, no sampling and no refits to simulated data."""

    def accepted(*_: Any, **__: Any) -> Any:
        raise AcceptedError

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("hierlogit.density.pymc_graph.build_graph", lambda _: contextlib.nullcontext())
        monkeypatch.setattr("pymc.sample_prior_predictive", accepted)
        monkeypatch.setattr("hierlogit.diagnostics.density._compiled_graph", accepted)
        monkeypatch.setattr("hierlogit.diagnostics.fit.check._checks_by_simulation", accepted)
        monkeypatch.setattr(hl.NUTS, "run", accepted)
        yield


def outcome(function: Callable[..., Any], arguments: Mapping[str, Any]) -> HierlogitError | None:
    """The error of this package that a call ends in, if it does; any other error or warning is raised."""
    arguments = dict(arguments)
    arguments |= arguments.pop("values", {}) | arguments.pop("numbers", {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HierlogitWarning)
            function(**arguments)
    except AcceptedError:
        return None
    except HierlogitError as error:
        return error
    finally:
        plt.close("all")
    return None


def shown(value: Any) -> str:
    return "a value without a text" if value is HOSTILE else repr(value)[:80]


def test_every_public_function_is_called() -> None:
    public = {*hl.__all__, *(f"plots.{name}" for name in hl.plots.__all__), "datasets.load", "datasets.describe"}
    assert public - NO_OPTIONS - set(CALLS) == set()


@pytest.mark.parametrize("name", CALLS)
def test_wrong_values_are_refused(subjects: Subjects, faults_of_message: Callable[[str], list[str]], name: str) -> None:
    function, arguments = CALLS[name](subjects)
    if name not in FAILING:
        assert outcome(function, arguments) is None
    found = []
    for option, kind in options_of(name, function).items():
        for value in kind.wrong:
            error = outcome(function, {**arguments, option: value})
            if error is None:
                found.append(f"{option}={shown(value)} is accepted")
            elif option != "formula" and isinstance(value, (int, float, list, dict, np.ndarray)):
                found += [f"{fault}: {error}" for fault in faults_of_message(str(error))]
    assert found == []


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """Values of one kind, right and wrong, and others of any type."""
    listed = st.sampled_from([*kind.wrong, *kind.others, None])
    if not kind.drawn:
        return listed
    words = st.text(max_size=6)
    plain = st.one_of(st.booleans(), st.integers(-5, 5), st.floats(), words, st.binary(max_size=3))
    arrays = st.lists(st.floats(), max_size=3).map(np.array)
    return st.one_of(
        listed,
        plain,
        st.lists(plain, max_size=3),
        st.dictionaries(words, plain, max_size=2),
        arrays,
        st.tuples(plain, plain),
    )


@pytest.mark.parametrize("name", CALLS)
def test_any_value_gives_a_result_or_an_error_of_this_package(subjects: Subjects, name: str) -> None:
    function, arguments = CALLS[name](subjects)
    drawn = st.fixed_dictionaries({option: values(kind) for option, kind in options_of(name, function).items()})

    @settings(max_examples=EXAMPLES)
    @given(drawn)
    def every_option_in_turn(chosen: dict[str, Any]) -> None:
        for option, value in chosen.items():
            if option in ("values", "numbers") and not (isinstance(value, dict) and all(map(str.isidentifier, value))):
                continue
            outcome(function, {**arguments, option: value})

    every_option_in_turn()


def test_numbers_of_numpy_are_those_of_python() -> None:
    assert hl.NUTS(draws=np.int64(50), chains=np.uint8(2), seed=np.int32(3), progress=np.False_) == hl.NUTS(
        draws=50, chains=2, seed=3, progress=False
    )
    assert type(hl.AGQ(nodes=np.int64(9), draws=np.int16(200)).nodes) is int
    assert pr.Normal(np.float32(0.5), np.int64(2)) == pr.Normal(0.5, 2)
    assert hl.prior_from_icc(np.float64(0.2), Fraction(1, 20)) == hl.prior_from_icc(0.2)
