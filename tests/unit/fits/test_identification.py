"""What rows cannot tell: the same findings before a fit, as a warning of `Model`, and in the fit of every engine."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.errors import ConvergenceWarning, DataWarning
from hierlogit.fits.findings import Finding
from hierlogit.fits.identification import findings_of_design, findings_of_model

ENGINES: dict[str, Any] = {
    "laplace": hl.Laplace(seed=1),
    "agq": hl.AGQ(nodes=7, seed=1),
    "map": hl.MAP(seed=1),
    "nuts": hl.NUTS(draws=100, tune=100, chains=2, seed=1, progress=False),
}


def rows(clusters: int = 30, size: int = 6) -> pd.DataFrame:
    random = np.random.default_rng(5)
    n = clusters * size
    frame = pd.DataFrame({"g": np.repeat(np.arange(clusters), size), "x": random.normal(size=n), "row": np.arange(n)})
    frame["w"] = random.normal(size=clusters)[frame["g"]]
    frame["same"] = frame["g"].map("c{}".format)
    frame["f"] = random.choice(list("abcde"), n)
    frame["year"] = 2005 + 3 * frame["x"]
    eta = 0.5 * frame["x"] + random.normal(size=clusters)[frame["g"]]
    frame["y"] = (random.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(int)
    return frame


def model(formula: str, frame: pd.DataFrame, priors: Any = None) -> hl.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return hl.Model(formula, frame, priors=priors)


def told(formula: str, frame: pd.DataFrame, priors: Any = None) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings_of_model(model(formula, frame, priors))}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("formula", "code"),
    [
        ("y ~ x + (1 | row)", "not_identified"),
        ("y ~ w + (1 + w | g)", "slope_not_identified"),
        ("y ~ C(g) + (1 | g)", "intercept_not_identified"),
        ("y ~ x + (1 | g) + (1 | same)", "identical_factors"),
    ],
)
def test_an_error_in_the_data_is_found_by_every_engine_in_the_same_words(formula: str, code: str, engine: str) -> None:
    frame = rows()
    with pytest.warns(DataWarning) as caught:
        made = hl.Model(formula, frame)
    found = next(finding for finding in hl.check_data(made).findings if finding.code == code)
    assert any(str(warning.message) == f"{found.evidence} {found.remedy}" for warning in caught)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = made.fit(ENGINES[engine])
    assert found in fit.diagnostics.findings
    assert fit.diagnostics.status == "check"
    assert "not_converged" not in {finding.code for finding in fit.diagnostics.findings}


def test_maximum_likelihood_has_one_answer_where_the_likelihood_is_flat() -> None:
    # Single trials in every row: other sds of rows fit as well, with other coefficients.
    frame = rows()
    plain = hl.Model("y ~ x + (1 | g)", frame).fit("laplace").estimate
    made = model("y ~ x + (1 | g) + (1 | row)", frame)
    assert plain is not None
    fit = made.fit("laplace")
    assert fit.estimate is not None
    assert fit.estimate.boundary == ("sd_row[Intercept] = 0",)
    np.testing.assert_allclose(fit.estimate.beta, plain.beta, atol=1e-6)
    np.testing.assert_allclose(fit.estimate.sd("g"), plain.sd("g"), atol=1e-5)
    np.testing.assert_allclose(fit.estimate.standard_errors, plain.standard_errors, rtol=1e-4)
    assert "singular_fit" not in {finding.code for finding in fit.diagnostics.findings}
    alone = model("y ~ x + (1 | row)", frame)
    estimates = [alone.fit(engine).estimate for engine in (hl.Laplace(), hl.AGQ(nodes=9), hl.AGQ(nodes=25))]
    for estimate in estimates:
        assert estimate is not None
        assert estimate.sd("row") == 0
        assert np.isfinite(estimate.standard_errors).all()


def test_the_posterior_of_an_sd_that_is_not_identified_is_its_prior() -> None:
    made = model("y ~ 1 + (1 | row)", rows(), priors={"sd": pr.Gamma(8, 10)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = made.fit(hl.NUTS(draws=400, seed=2, progress=False))
    drawn = np.quantile(fit.posterior["sd_row"], [0.1, 0.5, 0.9])
    expected = [pr.Gamma(8, 10).quantile(prob) for prob in (0.1, 0.5, 0.9)]
    np.testing.assert_allclose(drawn, expected, rtol=0.15)
    found = next(one for one in fit.diagnostics.findings if one.code == "not_identified")
    assert "its posterior is little else than its prior" in found.evidence


@given(seed=st.integers(0, 2**31), clusters=st.integers(2, 12), size=st.integers(1, 4))
def test_single_trials_are_found_whatever_the_order_and_the_labels(seed: int, clusters: int, size: int) -> None:
    random = np.random.default_rng(seed)
    g = np.repeat(np.arange(clusters), size)
    y = np.arange(len(g)) % 2
    frame = pd.DataFrame({"y": y, "g": random.permutation(100)[g]}).sample(frac=1, random_state=seed)
    assert ("not_identified" in told("y ~ 1 + (1 | g)", frame)) == (size == 1)


@given(seed=st.integers(0, 2**31), same=st.booleans())
def test_factors_are_the_same_if_their_labels_correspond(seed: int, same: bool) -> None:
    random = np.random.default_rng(seed)
    g = np.repeat(np.arange(6), 4)
    other = random.permutation(6)[g]
    if not same:
        other[0], other[-1] = other[-1], other[0]
    frame = pd.DataFrame({"y": np.arange(24) % 2, "g": g, "h": other})
    one, two = model("y ~ 1 + (1 | g) + (1 | h)", frame).design.groups
    assert one.same_clusters(two) is two.same_clusters(one) is same


# ---- numbers of parameters ------------------------------------------------------------------------------------------


def test_covariances_without_clusters_or_events_are_counted_before_the_search() -> None:
    frame = rows(clusters=12, size=5)
    report = hl.check_data(model("y ~ 1 + (f | g)", frame))
    found = {finding.code: finding for finding in report.findings}
    assert told("y ~ 1 + (f | g)", frame) == {"many_covariances": found["many_covariances"]}
    assert found["many_covariances"].severity == "warning"
    assert (
        "5 correlated effects of 'g' have 15 parameters, 5 sds and 10 correlations"
        in found["many_covariances"].evidence
    )
    assert "and 'g' has 12 clusters" in found["many_covariances"].evidence
    assert found["many_covariances"].remedy == (
        "Write (1 | g) + (1 | g:f), in which all levels of f have the same sd, or two bars, (... || g), which has no "
        "correlations."
    )
    few = frame[frame["g"] < 5].assign(y=lambda part: (np.arange(len(part)) < 10).astype(int))
    assert told("y ~ 1 + (f | g)", few)["many_covariances"].severity == "error"
    hopeless = told("y ~ 1 + (f | g)", few)["few_events"]
    assert hopeless.severity == "error"
    assert hopeless.evidence.startswith("10 events for 16 parameters (1 fixed effect, 5 sds of 'g', 10 correlations")
    assert "Write (1 | g) + (1 | g:f)" in hopeless.remedy
    with pytest.warns(DataWarning) as caught:
        hl.Model("y ~ 1 + (f | g)", few)
    assert any("10 events for 16 parameters" in str(warning.message) for warning in caught)
    # 12 clusters are more than the 10 parameters of a matrix of 4 effects, and still few: no warning, but a finding.
    four = frame[frame["f"] != frame["f"].iloc[0]]
    noted = told("y ~ 1 + (f | g)", four)["many_covariances"]
    assert noted.severity == "note"
    assert "have 10 parameters, 4 sds and 6 correlations, and 'g' has 12 clusters. With fewer than 2" in noted.evidence
    fit = hl.Model("y ~ 1 + (f | g)", four).fit(hl.MAP())
    assert noted in fit.diagnostics.findings
    assert fit.diagnostics.status == "converged"
    assert noted in hl.check_data(fit.model).findings
    assert told("y ~ 1 + (f | g)", rows(clusters=20, size=5)[lambda d: d["f"] != frame["f"].iloc[0]]) == {}
    assert told("y ~ 1 + (f || g)", frame) == {}
    numeric = hl.check_data(model("y ~ 1 + (1 + x + I(x**2) | g)", frame[frame["g"] < 5])).findings
    assert any(finding.code == "many_covariances" and "two bars" in finding.remedy for finding in numeric)


# ---- predictors far from zero ---------------------------------------------------------------------------------------


def test_slopes_of_predictors_far_from_zero_contradict_the_prior_of_the_intercepts() -> None:
    frame = rows()
    found = told("y ~ year + (1 + year | g)", frame)["uncentred_slope"]
    assert "'year' lies between" in found.evidence
    assert "Write center(year), or I(year - 2005), in place of year in the whole formula" in found.remedy
    with pytest.warns(DataWarning, match="the two priors together force the slopes' sd towards 0"):
        made = hl.Model("y ~ year + (1 + year | g)", frame)
    assert found in hl.check_data(made).findings
    # Maximum likelihood does not use priors, and correlated effects can be moved to any year.
    assert found not in findings_of_design(made.design)
    assert found in made.fit("map").diagnostics.findings
    for formula in ("y ~ center(year) + (1 + center(year) | g)", "y ~ I(year - 2005) + (1 + I(year - 2005) | g)"):
        assert told(formula, frame) == {}
    assert told("y ~ year + (1 | g)", frame) == {}
    assert told("y ~ x + (1 + x | g)", frame) == {}
    before = told("y ~ late + (1 + late | g)", frame.assign(late=-frame["year"]))["uncentred_slope"]
    assert "I(late + 2005)" in before.remedy


def test_a_prior_that_allows_for_the_distance_is_no_contradiction() -> None:
    frame = rows()
    assert told("y ~ year + (1 + year | g)", frame, {"sd_g[Intercept]": pr.HalfNormal(2000)}) == {}
    assert told("y ~ year + (1 + year | g)", frame, {"sd_g[year]": pr.HalfNormal(1e-4)}) == {}
    # Independent of the slopes at the year 0: no prior helps, and no engine is spared.
    for formula in ("y ~ year + (1 + year || g)", "y ~ year + (1 | g) + (0 + year | g)"):
        found = told(formula, frame, {"sd_g[Intercept]": pr.HalfNormal(2000)})["uncentred_slope"]
        assert "independent of the slopes there" in found.evidence
        assert found in findings_of_design(model(formula, frame).design)


# ---- weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "severity"), [(6, "warning"), (20, "note"), (40, None)])
def test_weights_that_differ_within_small_clusters_are_a_finding(size: int, severity: str | None) -> None:
    frame = rows(clusters=10, size=size)
    frame["weight"] = np.random.default_rng(2).uniform(1, 3, len(frame))
    frame["of_g"] = frame.groupby("g")["weight"].transform("first")
    made = hl.Model("y ~ x + (1 | g)", frame, weights=hl.SamplingWeights("weight"))
    found = [one for one in findings_of_design(made.design) if one.code == "weights_in_small_clusters"]
    assert [one.severity for one in found] == ([] if severity is None else [severity])
    assert all(f"its clusters have {size}.0 trials on average" in one.evidence for one in found)
    # Weights that are the same within each cluster are those of clusters.
    for weights in (hl.SamplingWeights("of_g"), hl.SamplingWeights("of_g", scaling="effective")):
        assert not findings_of_design(hl.Model("y ~ x + (1 | g)", frame, weights=weights).design)
