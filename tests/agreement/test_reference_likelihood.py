"""Likelihood engines against lme4, glmmTMB and fine quadrature: the same maxima, to the digits that are printed."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hierlogit as hl
from hierlogit.engines.engine import Engine
from hierlogit.engines.maximum.profile import Profiler
from hierlogit.errors import ConvergenceWarning
from hierlogit.fits.fit import Fit
from hierlogit.model import Model

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "reference.json").read_text(encoding="utf-8"))
PROFILES = json.loads((Path(__file__).parents[1] / "reference" / "profile_reference.json").read_text(encoding="utf-8"))
ZETA = json.loads((Path(__file__).parents[1] / "reference" / "zeta_reference.json").read_text(encoding="utf-8"))
MODELS = list(REFERENCE["models"])
#: Fits whose standard deviation is zero, or whose correlation is one, in both programs.
SINGULAR = {"cbpp_slope_uncorr": "sd_herd[period_num] = 0", "bacteria_slope": "cor_ID[Intercept, week] = 1"}
#: Sds whose standard errors are more than 2.5 times as large.
UNBOUNDED = {
    "contraception_nested": "sd_district[Intercept]",
    "cbpp_olre": "sd_herd[Intercept]",
    "bacteria_slope_uncorr": "sd_ID[week]",
    "bdf_slope": "sd_school[I(IQ_verb - 12)]",
}
#: lme4 is 1.2e-7 in log-likelihood below the maximum here, and 0.3 % off in an sd that the data hardly determine.
FLAT = REFERENCE["models"]["contraception_nested"]["r_formula"]
#: Standard errors of glmer, by finite differences, are off by this much and more; glmmTMB's are compared there.
NOISY_ERRORS = 2e-3
#: Those of glmmTMB come from derivatives that are more exact.
EXACT_ERRORS = 5e-4


def _model(name: str) -> Model:
    entry = REFERENCE["models"][name]
    return hl.Model(entry["python_formula"], hl.datasets.load(entry["data"].removesuffix(".csv")))


def _fit(model: Model, engine: Engine) -> Fit:
    with warnings.catch_warnings():
        # That Laplace's method is poor on some of these data is a finding, tested below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(engine)


def _fixed(model: Model, block: dict[str, Any], what: str) -> np.ndarray[Any, Any]:
    by_name = {label.replace(" ", ""): values for label, values in block["fixef"].items()}
    values = [by_name[label.replace(" ", "")][what] for label in model.design.fixed_effects]
    return np.array(values, dtype=float)


def _groups(model: Model, block: dict[str, Any]) -> list[tuple[str, list[int], dict[str, Any]]]:
    """Each random term of the reference: our name of its factor, the positions of its effects, its entry."""
    found = []
    by_columns = {frozenset(group.name.split(":")): group for group in model.design.groups}
    for term in block["random"]:
        group = by_columns[frozenset(term["group"].split(":"))]
        found.append((group.name, [group.effects.index(effect) for effect in term["terms_python"]], term))
    return found


def _better(entry: dict[str, Any]) -> dict[str, Any]:
    """lme4's fit, or glmmTMB's of the one model in which a flat likelihood leaves lme4 further from the maximum."""
    block: dict[str, Any] = entry["glmmTMB_laplace" if entry["r_formula"] == FLAT else "lme4_laplace"]
    return block


@pytest.mark.parametrize("name", MODELS)
def test_laplace_meets_lme4_and_glmmtmb(name: str) -> None:
    entry, model = REFERENCE["models"][name], _model(name)
    fit = _fit(model, hl.Laplace())
    assert fit.estimate is not None
    assert abs(fit.estimate.log_likelihood - entry["agreement"]["best_laplace_logLik"]) < 1e-5

    lme4 = entry["lme4_laplace"]
    errors = _fixed(model, lme4, "se")
    assert np.all(np.abs(fit.estimate.beta - _fixed(model, lme4, "estimate")) < 1e-3 * errors)
    other = _fixed(model, entry["glmmTMB_laplace"], "se")
    off = np.minimum(
        np.abs(fit.estimate.standard_errors / errors - 1), np.abs(fit.estimate.standard_errors / other - 1)
    )
    assert np.all(off[np.isfinite(off)] < NOISY_ERRORS)
    np.testing.assert_allclose(fit.estimate.standard_errors, other, rtol=EXACT_ERRORS)

    for group, at, term in _groups(model, _better(entry)):
        np.testing.assert_allclose(fit.estimate.sd(group)[at], term["sd"], rtol=1e-3, atol=1e-5)
        if len(at) > 1:
            np.testing.assert_allclose(fit.estimate.cor(group)[np.ix_(at, at)], term["corr"], atol=1e-3)
    codes = {finding.code for finding in fit.diagnostics.findings}
    assert codes <= {"singular_fit", "laplace_inaccurate", "large_sd", "unbounded_interval"}
    vague = [finding.evidence for finding in fit.diagnostics.findings if finding.code == "unbounded_interval"]
    assert [f"of '{UNBOUNDED.get(name)}' is" in text for text in vague] == ([True] if name in UNBOUNDED else [])
    named = [finding.evidence for finding in fit.diagnostics.findings if finding.code == "singular_fit"]
    assert [SINGULAR[name] in text for text in named] == ([True] if name in SINGULAR else [])


@pytest.mark.parametrize("name", MODELS)
def test_modes_of_the_effects_are_those_of_lme4(name: str) -> None:
    entry, model = REFERENCE["models"][name], _model(name)
    estimate = _fit(model, hl.Laplace()).estimate
    assert estimate is not None
    lme4_sds = entry["lme4_laplace"]["ranef"]  # those of glmmTMB also hold the uncertainty of the estimates
    for factor, stated in _better(entry)["ranef"].items():
        group = next(g for g in model.design.groups if set(g.name.split(":")) == set(factor.split(":")))
        # glmer writes inner:outer, as in "2:1" for mother 2 in community 1.
        order = [factor.split(":").index(column) for column in group.name.split(":")]
        labels = [":".join(level.split(":")[k] for k in order) for level in stated["levels"]]
        ours = [str(level) for level in group.levels]
        rows = [ours.index(label) for label in labels]
        for effect, values in stated["terms"].items():
            column = group.effects.index(effect)
            modes, sds = estimate.modes[group.name][:, column], estimate.conditional_sds[group.name][:, column]
            scale = np.maximum(np.abs(values["mode"]), 1.0)  # sds of 23 and 71 have modes of that size
            assert np.all(np.abs(modes[rows] - values["mode"]) < 1e-3 * scale), (factor, effect)
            np.testing.assert_allclose(sds[rows], lme4_sds[factor]["terms"][effect]["sd"], rtol=5e-3, atol=1e-5)
            total = stated["sum_of_squares"][effect]
            assert abs((modes**2).sum() - total) < 2e-3 * max(total, 1e-4), (factor, effect)


@pytest.mark.parametrize("nodes", [1, 5, 11, 25, 50, 100])
def test_toenail_follows_lme4_over_the_number_of_nodes(nodes: int) -> None:
    stated = REFERENCE["agq_convergence"]["toenail_ri"][str(nodes)]
    model = _model("toenail_ri")
    estimate = _fit(model, hl.AGQ(nodes=nodes)).estimate
    assert estimate is not None
    assert abs(estimate.log_likelihood - stated["logLik"]) < 1e-5
    assert abs(estimate.sd("patientID")[0] - stated["sd"]) < 1e-4
    beta = np.array([stated["fixef"][label] for label in model.design.fixed_effects])
    assert np.all(np.abs(estimate.beta - beta) < 1e-3 * np.array(stated["se"]))


@pytest.mark.parametrize("name", [name for name in MODELS if "lme4_agq25" in REFERENCE["models"][name]])
def test_quadrature_meets_lme4_with_25_nodes(name: str) -> None:
    stated, model = REFERENCE["models"][name]["lme4_agq25"], _model(name)
    estimate = _fit(model, hl.AGQ(nodes=25)).estimate
    assert estimate is not None
    assert abs(estimate.log_likelihood - stated["logLik"]) < 1e-5
    assert np.all(np.abs(estimate.beta - _fixed(model, stated, "estimate")) < 1e-3 * _fixed(model, stated, "se"))
    for group, at, term in _groups(model, stated):
        np.testing.assert_allclose(estimate.sd(group)[at], term["sd"], rtol=1e-4)


@pytest.mark.parametrize("name", list(REFERENCE["exact_ml"]))
def test_enough_nodes_give_exact_maximum_likelihood(name: str) -> None:
    stated, model = REFERENCE["exact_ml"][name], _model(name)
    estimate = _fit(model, hl.AGQ(nodes=35 if len(model.design.groups) > 1 else 60)).estimate
    assert estimate is not None
    assert abs(estimate.log_likelihood - stated["logLik"]) < 1e-4
    errors = _fixed(model, stated, "se")
    assert np.all(np.abs(estimate.beta - _fixed(model, stated, "estimate")) < 1e-3 * errors)
    np.testing.assert_allclose(estimate.standard_errors, errors, rtol=1e-3)
    if len(model.design.groups) == 1:
        sds = list(estimate.sd(model.design.groups[0].name))
    else:
        inner = max(model.design.groups, key=lambda group: len(group.levels))
        outer = min(model.design.groups, key=lambda group: len(group.levels))
        sds = [estimate.sd(inner.name)[0], estimate.sd(outer.name)[0]]
    np.testing.assert_allclose(sds, list(stated["sd"].values()), rtol=1e-4)
    if stated.get("corr") is not None:
        assert abs(estimate.cor(model.design.groups[0].name)[0, 1] - stated["corr"]) < 1e-4


@pytest.mark.parametrize(
    ("name", "poor"),
    [
        ("contraception_ri", False),
        ("cbpp_ri", False),
        ("toenail_ri", True),
        ("guimmun_mom", True),
        ("guimmun_nested", True),
    ],
)
def test_where_laplace_is_poor_is_said(name: str, poor: bool) -> None:
    model = _model(name)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        fit = model.fit(hl.Laplace())
    assert ("laplace_inaccurate" in {finding.code for finding in fit.diagnostics.findings}) is poor
    assert any("Laplace's approximation is poor" in str(warning.message) for warning in heard) is poor
    assert fit.diagnostics.status == ("check" if poor else "converged")


@pytest.mark.parametrize(("name", "nodes", "few"), [("toenail_ri", 5, True), ("toenail_ri", 25, False)])
def test_too_few_nodes_are_said(name: str, nodes: int, few: bool) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        fit = _model(name).fit(hl.AGQ(nodes=nodes))
    assert [finding.code for finding in fit.diagnostics.findings] == (["too_few_nodes"] if few else [])
    assert any("5 quadrature nodes are too few here" in str(warning.message) for warning in heard) is few
    assert fit.diagnostics.status == ("check" if few else "converged")
    if few:
        # What is said is so: with the nodes that it names an estimate is elsewhere by the half of an error or more.
        assert "hl.AGQ(nodes=8)" in fit.diagnostics.findings[0].remedy
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            finer = _model(name).fit(hl.AGQ(nodes=8))
        assert fit.estimate is not None
        assert finer.estimate is not None
        errors = np.sqrt(np.diag(fit.estimate.covariance))[: len(fit.estimate.beta)]
        assert (np.abs(finer.estimate.beta - fit.estimate.beta) / errors).max() > 0.25


PROFILED = {
    "cbpp_ri": ("p(successes, size) ~ period + (1 | herd)", "cbpp"),
    "contraception_ri10": ("use ~ age10 + I(age10**2) + urban + livch + (1 | district)", "contraception"),
    "contraception_slope_short": ("use ~ urban + (1 + urban | district)", "contraception"),
}
#: An end at which lme4's interpolation is off: there the log-likelihood has not yet fallen far enough.
TOO_NARROW = ("contraception_ri10", "livch3+")


@pytest.mark.parametrize("name", list(PROFILED))
def test_profile_intervals_are_those_of_lme4(name: str) -> None:
    formula, table = PROFILED[name]
    data = hl.datasets.load(table)
    if "age" in data:
        data = data.assign(age10=data["age"] / 10)
    model = hl.Model(formula, data)
    fit = model.fit(hl.Laplace())
    ours = hl.summary(fit, interval="profile", ci_prob=0.95)
    spelled = {_as_in_r(label): label for label in ours.index}
    compared = 0
    for label, ends in PROFILES[name].items():
        row = ours.loc[spelled[label]]
        found = row[["profile95_lb", "profile95_ub"]].to_numpy(dtype=float)
        off = np.abs(found - ends) / row["se"]
        if (name, label) == TOO_NARROW:
            off = off[1:]
        assert np.all(off < 2e-3), (label, found, ends)
        compared += 1
    assert compared == len(ours)


def test_zeta_is_that_of_lme4() -> None:
    model = hl.Model("use ~ urban + (1 + urban | district)", hl.datasets.load("contraception"))
    fit = model.fit("laplace")
    assert fit.estimate is not None
    profiler = Profiler(model, fit.estimate)
    for label, make in profiler.by_label().items():
        theirs = ZETA["zeta"][_as_in_r(label)]
        assert make is not None
        zeta = profiler.zeta(make(), np.array(theirs["value"]))
        np.testing.assert_allclose(zeta, theirs["zeta"], atol=5e-3)


def test_the_end_where_lme4_interpolates_badly_is_inside() -> None:
    data = hl.datasets.load("contraception")
    model = hl.Model(PROFILED[TOO_NARROW[0]][0], data.assign(age10=data["age"] / 10))
    fit = model.fit(hl.Laplace())
    assert fit.estimate is not None
    profile = Profiler(model, fit.estimate).coefficient(model.design.fixed_effects.index("livch[3+]"))
    end = PROFILES[TOO_NARROW[0]][TOO_NARROW[1]][0]
    # A log-likelihood that some values of the other parameters reach cannot be above the profile.
    reached = profile.maximise(end, profile.start(end))
    assert 2 * (fit.estimate.log_likelihood - reached.log_likelihood) < 3.84 - 0.3


def _as_in_r(label: str) -> str:
    """``sd_herd[Intercept]`` is ``sd_(Intercept)|herd`` in lme4's words, ``urban[Y]`` is ``urbanY``."""
    if label.startswith("cor_"):
        group, effects = label.removeprefix("cor_").removesuffix("]").split("[", 1)
        first, second = effects.split(", ")
        return f"cor_{_as_in_r(second)}.{_as_in_r(first)}|{group}"
    if label.startswith("sd_"):
        group, effect = label.removeprefix("sd_").removesuffix("]").split("[", 1)
        return f"sd_{_as_in_r(effect)}|{group}"
    plain = label.replace("[", "").replace("]", "").replace(" ** ", "^")
    return "(Intercept)" if plain == "Intercept" else plain
