"""Checks of fits: planted defects are found, right models are left alone, and findings say where to look."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, FitError
from hierlogit.fits.diagnostics import Diagnostics
from hierlogit.fits.findings import Finding
from hierlogit.fits.fit import Fit

#: Simulated data sets where a test is of which checks are made, not of what they find: the fewest that `alpha` allows.
FEW = 20

Effect = Callable[[np.random.Generator, int], np.ndarray]


def study(
    clusters: int,
    size: int,
    probability: Callable[[np.ndarray, np.ndarray], np.ndarray],
    seed: int,
    effect: Effect = lambda random, count: random.normal(size=count),
) -> pd.DataFrame:
    """Rows whose probability is a function of a normal predictor and of the cluster's effect."""
    random = np.random.default_rng(seed)
    g = np.repeat(np.arange(clusters), size)
    x, u = random.normal(size=clusters * size), effect(random, clusters)
    y = random.binomial(1, probability(x, u[g]))
    return pd.DataFrame({"clinic": [f"c{k:03d}" for k in g], "x": x, "y": y})


def codes(rows: pd.DataFrame, formula: str = "y ~ x + (1 | clinic)", seed: int = 1) -> list[str]:
    found = hl.check(hl.Model(formula, rows).fit(hl.Laplace(seed=seed)), replicates=60, seed=seed)
    return [one.code for one in found.findings]


# Sizes at which the defect is found in more than nine of ten studies.
def test_a_complementary_log_log_link_is_found() -> None:
    rows = study(60, 60, lambda x, u: 1 - np.exp(-np.exp(-0.5 + x + 0.6 * u)), seed=1)
    assert "link_misfit" in codes(rows)


def test_a_missing_square_is_found_first() -> None:
    def probability(x: np.ndarray, u: np.ndarray) -> np.ndarray:
        return expit(-0.5 + 0.7 * x + 0.3 * (x**2 - 1) + u)

    rows = study(60, 30, probability, seed=2)
    found = hl.check(hl.Model("y ~ x + (1 | clinic)", rows).fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    assert found.findings[0].code == "nonlinear_effect"
    assert "adding x^2 would raise the log-likelihood" in found.findings[0].evidence
    assert "I(x**2)" in found.findings[0].remedy
    assert codes(rows, "y ~ x + I(x**2) + (1 | clinic)") == []


def test_skewed_effects_are_found() -> None:
    rows = study(
        150,
        20,
        lambda x, u: expit(-0.3 + 0.7 * x + 1.2 * u),
        3,
        lambda random, count: random.exponential(size=count) - 1,
    )
    found = hl.check(hl.Model("y ~ x + (1 | clinic)", rows).fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    assert found.findings[0].code == "skewed_effects"
    assert "long tail on the high side" in found.findings[0].evidence


def test_two_kinds_of_clusters_are_found() -> None:
    rows = study(
        100, 30, lambda x, u: expit(0.7 * x + 1.5 * u), 4, lambda random, count: random.choice([-1.0, 1.0], count)
    )
    found = hl.check(hl.Model("y ~ x + (1 | clinic)", rows).fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    assert "shorter tails, as with two kinds of clusters" in " ".join(str(found).split())


def test_a_cluster_whose_outcomes_are_turned_is_found_by_name() -> None:
    rows = study(40, 50, lambda x, u: expit(-0.8 + 1.2 * x + u), seed=5)
    turned = rows["clinic"] == "c007"
    rows.loc[turned, "y"] = 1 - rows.loc[turned, "y"]
    found = hl.check(hl.Model("y ~ x + (1 | clinic)", rows).fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    one = next(one for one in found.findings if one.code == "reversed_slopes")
    assert "In cluster 'c007' of 'clinic'" in one.evidence
    assert "weaker than in the others, or reversed" in one.evidence


def test_a_cluster_far_from_the_others_is_found_by_name() -> None:
    rows = study(60, 30, lambda x, u: expit(-0.5 + 0.7 * x + 0.4 * u), seed=6)
    random = np.random.default_rng(1)
    rows.loc[rows["clinic"] == "c011", "y"] = random.binomial(1, 0.93, 30)
    found = hl.check(hl.Model("y ~ x + (1 | clinic)", rows).fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    told = {one.code: one.evidence for one in found.findings}
    assert "Cluster 'c011' of 'clinic' is an outlier" in told["outlying_cluster"]


def test_slopes_that_differ_between_clusters_are_found() -> None:
    random = np.random.default_rng(7)
    slopes = 0.7 + 0.7 * random.normal(size=50)
    x, g = random.normal(size=1500), np.repeat(np.arange(50), 30)
    rows = pd.DataFrame({"clinic": g, "x": x, "y": random.binomial(1, expit(slopes[g] * x))})
    assert codes(rows)[0] == "heterogeneous_slopes"
    rows["z"] = random.normal(size=1500)
    found = hl.check(hl.Model("y ~ z + x + (1 | clinic)", rows).fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    told = {one.code: one.evidence for one in found.findings}
    assert "The slope of 'x' differs between the clusters of 'clinic'" in told["heterogeneous_slopes"]
    assert "(the largest of 2)" in told["heterogeneous_slopes"]
    assert codes(rows, "y ~ x + (1 + x | clinic)") == []


def test_clusters_that_a_prior_denies_differ_more_than_the_model_makes_them() -> None:
    """Priors that hold the sd far below what the clusters say."""
    rows = study(40, 30, lambda x, u: expit(-0.5 + 0.7 * x + u), seed=8)
    denied, held = (
        hl.check(
            hl.Model("y ~ x + (1 | clinic)", rows, priors={"sd": hl.priors.HalfNormal(sd)}).fit(hl.MAP(seed=1)),
            replicates=replicates,
            seed=1,
        )
        for sd, replicates in ((0.02, 200), (0.2, 50))
    )
    told = {one.code: one.evidence for one in denied.findings}
    assert "differ more than in data simulated from the model" in told["cluster_spread"]
    shares = rows.groupby("clinic")["y"].mean()
    assert f"is 0, in cluster '{shares.idxmin()}'" in told["lowest_cluster"]
    assert f"{shares.max():.3g}, in cluster '{shares.idxmax()}'" in told["highest_cluster"]
    told = {one.code: one.evidence for one in held.findings}
    assert "'sd_clinic[Intercept]'" in told["prior_data_conflict"]


def counts(row_sd: float, seed: int = 1) -> pd.DataFrame:
    """Counts of 20 trials in clusters of ten rows, which differ by more than clusters and x if the sd is not zero."""
    random = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(15), 10), random.normal(size=150)
    p = expit(-0.2 + 0.6 * x + 0.7 * random.normal(size=15)[g] + row_sd * random.normal(size=150))
    return pd.DataFrame({"g": g, "x": x, "n": 20, "k": random.binomial(20, p), "row": np.arange(150)})


def test_overdispersion_comes_first_and_is_no_finding_with_row_effects() -> None:
    found = hl.check(hl.Model("p(k, n) ~ x + (1 | g)", counts(1.0)).fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    assert found.findings[0].code == "overdispersion"
    assert found.table.iloc[0]["check"] == "overdispersion"
    assert found.table.iloc[0]["value"] > 2.5
    assert "hl.check_overdispersion(fit)" in found.findings[0].remedy
    mended = hl.check(hl.Model("p(k, n) ~ x + (1 | g) + (1 | row)", counts(1.0)).fit(hl.Laplace(seed=1)), replicates=60)
    assert "overdispersion" not in set(mended.table["check"])


def test_binomial_counts_are_not_overdispersed() -> None:
    found = hl.check(hl.Model("p(k, n) ~ x + (1 | g)", counts(0.0)).fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    row = found.table.iloc[0]
    assert row["value"] == pytest.approx(row["expected"], abs=0.4)
    assert not row["found"]


DEGENERATE = {
    "no fixed effects": ("y ~ 0 + (1 | g)", lambda rows: rows),
    "one row in each cluster": ("y ~ x + (1 | g)", lambda rows: rows.assign(g=range(len(rows)))),
    "no variance between clusters": ("y ~ x + (1 | g)", lambda rows: rows.assign(y=np.tile([0, 1], len(rows) // 2))),
    "nothing varies": ("y ~ 0 + (1 | g)", lambda rows: rows.assign(y=np.tile([0, 1], len(rows) // 2))),
    "only events in a cluster": ("y ~ x + (1 | g)", lambda rows: rows.assign(y=np.where(rows.g == 0, 1, rows.y))),
    "one event": ("y ~ 1 + (1 | g)", lambda rows: rows.assign(y=1 * (np.arange(len(rows)) == 3))),
    "no random effects": ("y ~ 1", lambda rows: rows),
}


@pytest.fixture
def few_replicates(monkeypatch) -> None:
    """Allow `FEW` simulated data sets."""
    monkeypatch.setattr("hierlogit.diagnostics.fit.check.FEWEST_REPLICATES", FEW)


@pytest.mark.usefixtures("few_replicates")
@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("engine", [hl.Laplace(seed=1), hl.MAP(seed=1)], ids=["Laplace", "MAP"])
def test_every_check_is_made_or_says_why_not(name: str, engine: hl.Laplace | hl.MAP) -> None:
    formula, change = DEGENERATE[name]
    random = np.random.default_rng(3)
    rows = pd.DataFrame({"g": np.repeat(np.arange(12), 6), "x": random.normal(size=72)})
    rows["y"] = random.binomial(1, expit(rows["x"] + random.normal(size=12)[rows["g"]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hl.errors.HierlogitWarning)
        fit = hl.Model(formula, change(rows)).fit(engine)
    table = hl.check(fit, replicates=FEW, seed=1).table
    made = table["not_made"] == ""
    assert np.isfinite(table["value"][made]).all()
    assert table["not_made"][~made].str.endswith(".").all()


def test_a_right_model_is_left_alone() -> None:
    rows = study(60, 30, lambda x, u: expit(-0.3 + 0.7 * x + 0.8 * u), seed=9)
    fit = hl.Model("y ~ x + (1 | clinic)", rows).fit(hl.Laplace(seed=1))
    found = hl.check(fit, replicates=100, seed=1)
    assert found.findings == ()
    assert found.replicates == 100
    assert str(found) == (
        "13 checks of a fit by Laplace, with 100 simulated data sets: nothing found (alpha 0.05 for all\n    together)"
    )


def test_the_seed_repeats_everything(make_fit, clustered_rows) -> None:
    fit = make_fit("healed ~ dose + (1 | clinic)", clustered_rows(8, 10))
    found, free = (hl.check(fit, replicates=50, seed=seed) for seed in (1, None))
    assert not found.table.equals(free.table)
    pd.testing.assert_frame_equal(free.table, hl.check(fit, replicates=50, seed=free.seed).table)


def test_the_level_is_the_chance_of_a_finding() -> None:
    """At a level of one nearly everything is a finding: the smallest adjusted p-value is what decides."""
    rows = study(30, 10, lambda x, u: expit(-0.3 + 0.7 * x + 0.8 * u), seed=9)
    fit = hl.Model("y ~ x + (1 | clinic)", rows).fit(hl.Laplace(seed=1))
    table = hl.check(fit, replicates=60, seed=1).table
    smallest = table["adjusted_p"].min()
    below, above = (hl.check(fit, replicates=60, seed=1, alpha=level) for level in (smallest, smallest + 1e-6))
    assert below.findings == ()
    assert len(above.findings) >= 1
    made = table[table["not_made"] == ""]
    assert (made["adjusted_p"].dropna() >= made["p_value"].dropna() - 1 / 61).all()


@pytest.mark.slow
def test_right_models_raise_few_alarms() -> None:
    """A hundred studies of sixty clusters with intercepts and slopes that vary: any finding by a p-value."""
    alarms = 0
    for seed in range(100):
        layout = hl.Layout({"clinic": 60}, size=30, predictors={"x": "normal"})
        formula = "y ~ x + (1 + x | clinic)"
        truth = {"beta": {"Intercept": -0.3, "x": 0.7}, "sd": {"clinic": {"Intercept": 0.8, "x": 0.5}}}
        fit = hl.Model(formula, hl.simulate(formula, layout, seed=seed, **truth)).fit(hl.Laplace(seed=seed))
        table = hl.check(fit, seed=seed).table
        alarms += bool((table["found"] & table["p_value"].notna()).any())
    # One in a thousand faultless checks would raise more.
    assert alarms <= binom.ppf(0.999, 100, 0.05)


def sensible(name: str) -> str:
    return {
        "bacteria": "y ~ week_gt2 + (1 | ID)",
        "cbpp": "p(successes, size) ~ period + (1 | herd)",
        "contraception": "use ~ age + I(age**2) + urban + livch + (1 + urban | district)",
    }[name]


@pytest.mark.parametrize("name", ["bacteria", "contraception"])
def test_models_that_are_known_to_fit_have_no_findings(name: str) -> None:
    found = hl.check(hl.Model(sensible(name), hl.datasets.load(name)).fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    assert found.findings == ()


def test_herds_differ_in_their_periods() -> None:
    """Known of these data: counts vary more than binomial ones within herds (lme4's help page of cbpp)."""
    data, formula = hl.datasets.load("cbpp"), "p(successes, size) ~ period + (1 | herd)"
    fits = [hl.Model(f"{formula}{more}", data).fit(hl.Laplace(seed=1)) for more in ("", " + (1 | herd:period)")]
    codes_of_first = [one.code for one in hl.check(fits[0], replicates=60, seed=1).findings]
    assert codes_of_first == ["overdispersion", "heterogeneous_slopes"]
    assert "heterogeneous_slopes" not in [one.code for one in hl.check(fits[1], replicates=60, seed=1).findings]
    tested = hl.test_slopes(fits[0], replicates=400, seed=1)
    assert tested["p_value"].tolist() == pytest.approx([hl.likelihood_ratio(*fits).p_value], abs=0.002)


def test_toenails_need_quadrature_and_slopes() -> None:
    """Known of these data: Laplace's method is off, and infections heal at different rates."""
    model = hl.Model("outcome ~ treatment * time + (1 | patientID)", hl.datasets.load("toenail"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = hl.check(model.fit(hl.Laplace(seed=1)), replicates=60, seed=1)
    assert found.findings[0].code == "laplace_inaccurate"
    assert found.findings[0].advice.endswith("hl.check_quadrature(fit) shows in which clusters.")
    assert "heterogeneous_slopes" in [one.code for one in found.findings]
    # Said once, though two checks see it.
    assert "integration_error" not in [one.code for one in found.findings]
    assert found.table.set_index("check").loc["integration_error", "found"]


def test_too_few_nodes_are_said_once() -> None:
    model = hl.Model("outcome ~ treatment * time + (1 | patientID)", hl.datasets.load("toenail"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = hl.check(model.fit(hl.AGQ(nodes=3, seed=1)), replicates=50, seed=1)
    (said,) = [one for one in found.findings if one.code == "too_few_nodes"]
    assert said.advice.endswith("hl.check_quadrature(fit) shows in which clusters.")
    assert found.table.set_index("check").loc["integration_error", "found"]
    assert "integration_error" not in [one.code for one in found.findings]


def test_a_sampled_fit_is_checked_at_the_mode_and_with_its_priors() -> None:
    frame = hl.datasets.load("contraception")
    fit = hl.Model("use ~ age + (1 | district)", frame).fit(hl.NUTS(seed=1, progress=False))
    found = hl.check(fit, replicates=60, seed=1)
    assert [one.code for one in found.findings] == ["nonlinear_effect", "residual_trend"]
    table = found.table.set_index("check")
    assert "integration_error" not in table.index
    assert table.loc["prior_data_conflict", "value"] < 0.05
    by_map = hl.check(hl.Model("use ~ age + (1 | district)", frame).fit(hl.MAP(seed=1)), replicates=50, seed=1).table
    np.testing.assert_allclose(
        table.loc["nonlinear_effect", "value"], by_map.set_index("check").loc["nonlinear_effect", "value"], rtol=1e-3
    )


def test_findings_stand_by_severity_and_say_where_to_look(make_fit, clustered_rows) -> None:
    fit = make_fit("healed ~ dose + (1 | clinic)", clustered_rows(20, 10))
    engine = (
        Finding("singular_fit", "note", "The sd is zero.", "Leave it out."),
        Finding("high_rhat", "warning", "The largest R-hat is 2.", "Raise tune."),
        Finding("constant_draws", "error", "Stuck.", "Look at the data."),
        Finding("interrupted", "warning", "Interrupted.", "Fit again."),
    )
    troubled = Fit(fit.model, fit.data, Diagnostics("NUTS", True, "failed", engine), None)
    found = hl.check(troubled, seed=1, replicates=50, alpha=0.9)
    severities = [one.severity for one in found.findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert [one.code for one in found.findings][:3] == ["constant_draws", "high_rhat", "interrupted"]
    assert found.findings[1].advice == "Raise tune. hl.summary(fit) shows the R-hat of every parameter."
    own = [one for one in found.findings if one.code not in {two.code for two in engine}]
    assert own
    p = [float(re.findall(r"p = ([\d.e-]+)", one.evidence)[0]) for one in own if "(p = " in one.evidence]
    assert p == sorted(p)
    for one in own:
        assert "hl." in one.remedy
        assert hasattr(hl, re.findall(r"hl\.(\w+)", one.remedy)[0])
    assert "1 error, " in str(found)
    assert "<li>error (constant_draws)" in found._repr_html_()
    assert "<table" in found._repr_html_()


def test_every_check_names_a_verb_or_a_picture() -> None:
    """Of the measures there are, whatever they find."""
    from hierlogit.diagnostics.fit.calibration_link import row_measures
    from hierlogit.diagnostics.fit.cluster_outliers import cluster_measures
    from hierlogit.diagnostics.fit.cluster_slopes import slope_measures
    from hierlogit.diagnostics.fit.effects_normality import effect_measures
    from hierlogit.diagnostics.fit.predictors import shape_measures
    from hierlogit.engines.maximum.refitted import ReferenceFit

    fit = hl.Model(sensible("contraception"), hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    design = fit.model.design
    measures = [
        *row_measures(),
        *shape_measures(ReferenceFit.of(fit)),
        *cluster_measures(design),
        *slope_measures(design),
        *effect_measures(design),
    ]
    for remedy in [one.remedy for one in measures]:
        names = re.findall(r"hl\.(plots\.)?(\w+)\(", remedy)
        assert names, remedy
        for plot, name in names:
            assert name in dir(hl.plots if plot else hl), remedy


@pytest.mark.usefixtures("few_replicates")
@pytest.mark.parametrize(
    ("formula", "unmade"),
    [
        ("y ~ x + z", {"integration_error"}),
        ("y ~ 1 + (1 | g)", set()),
        ("y ~ 0 + (1 + x || g)", set()),
        ("y ~ x + z + (1 | g) + (1 | h)", {"integration_error"}),
        ("y ~ x + offset(z) + (0 + x | g)", set()),
        ("p(s, 3) ~ x + (1 | g/h)", set()),
    ],
)
@pytest.mark.parametrize("engine", ["laplace", "map"])
def test_models_of_every_kind_are_checked(formula: str, unmade: set[str], engine: str) -> None:
    random = np.random.default_rng(4)
    rows = pd.DataFrame({"g": np.arange(120) % 12, "h": np.arange(120) // 30})
    rows["x"], rows["z"] = random.normal(size=120), random.uniform(size=120)
    eta = rows["x"] + 2 * random.normal(size=12)[rows["g"]] + random.normal(size=4)[rows["h"]]
    rows["y"], rows["s"] = random.binomial(1, expit(eta)), random.binomial(3, expit(eta))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = hl.Model(formula, rows).fit(engine)
    table = hl.check(fit, replicates=FEW, seed=1).table
    without_priors = {"prior_data_conflict", "prior_sensitivity"} if engine == "laplace" else set()
    assert set(table["check"][table["not_made"] != ""]) == unmade | without_priors
    assert table["p_value"].dropna().between(0, 1).all()
    checks = set(table["check"])
    assert ("cluster_spread" in checks) == ("|" in formula)
    assert ("nonlinear_effect" in checks) == ("x" in formula)
    assert ("reversed_slopes" in checks) == ("x" in formula and "|" in formula)
    assert ("skewed_effects" in checks) == ("|" in formula)


def test_separated_outcomes_and_searches_without_an_end() -> None:
    x = np.repeat([0.0, 1.0], 20)
    rows = pd.DataFrame({"x": x, "g": np.arange(40) % 8, "y": np.r_[np.tile([0, 1], 10), np.ones(20, dtype=int)]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = hl.Model("y ~ x + (1 | g)", rows).fit(hl.Laplace(seed=1))
    found = hl.check(fit, replicates=50, seed=1)
    assert "separation" in [one.code for one in found.findings]
    assert set(found.table["not_made"][:-3]) == {"some estimates are infinite."}
    sound = replace(fit.diagnostics, findings=())
    nowhere = Fit(fit.model, fit.data, sound, _without_curvature(fit))
    unmade = hl.check(nowhere, replicates=50, seed=1)
    assert set(unmade.table["not_made"]) <= {
        "the fit did not end at a maximum.",
        "the fit is by maximum likelihood, without priors.",
    }
    assert unmade.replicates == 0
    assert str(unmade).startswith("0 checks")


def _without_curvature(fit: Fit) -> hl.results.Estimate:
    assert fit.estimate is not None
    return replace(fit.estimate, covariance=np.full_like(fit.estimate.covariance, np.nan))


def test_what_cannot_be_is_refused(make_fit, clustered_rows) -> None:
    fit = make_fit("healed ~ dose + (1 | clinic)", clustered_rows(5, 6))
    with pytest.raises(FitError, match="replicates=10 must be a whole number from 50 to"):
        hl.check(fit, replicates=10)
    with pytest.raises(FitError, match="replicates=True"):
        hl.check(fit, replicates=True)
    with pytest.raises(
        FitError, match="alpha=0.002 is too small for 200 simulated data sets: pass replicates=500 or more"
    ):
        hl.check(fit, alpha=0.002)
    with pytest.raises(
        FitError, match="alpha=9.99989e-321 is too small for 200 simulated data sets: pass alpha= above 0.005"
    ):
        hl.check(fit, alpha=1e-320)
    with pytest.raises(FitError, match="alpha=1 must be a number between 0 and 1"):
        hl.check(fit, alpha=1)
