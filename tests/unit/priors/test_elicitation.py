"""Priors of standard deviations from what is known on other scales, and what a model says of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import hierlogit as hl
from hierlogit.errors import PriorError
from hierlogit.priors import Decov, Exponential, Gamma, HalfCauchy, HalfNormal, HalfStudentT, LogNormal, ScalePrior
from hierlogit.priors.elicitation import FAMILIES, LOG_ODDS_RATIO_PER_SD, implied_odds_ratios


def twin(prior: ScalePrior) -> Any:
    """The same distribution in SciPy."""
    if isinstance(prior, HalfStudentT):
        return _HalfT(prior)
    made = {
        HalfNormal: lambda p: stats.halfnorm(scale=p.sigma),
        HalfCauchy: lambda p: stats.halfcauchy(scale=p.beta),
        Exponential: lambda p: stats.expon(scale=1 / p.lam),
        Gamma: lambda p: stats.gamma(p.alpha, scale=1 / p.beta),
        LogNormal: lambda p: stats.lognorm(p.sigma, scale=np.exp(p.mu)),
        Decov: lambda p: stats.gamma(p.shape, scale=p.scale),
    }
    return made[type(prior)](prior)


class _HalfT:
    def __init__(self, prior: HalfStudentT) -> None:
        self.prior = prior

    def sf(self, x: float) -> float:
        return float(2 * stats.t(self.prior.nu, 0, self.prior.sigma).sf(x))


probs = st.floats(0.001, 0.999)
families = st.sampled_from(sorted(FAMILIES))
scales = st.floats(0.05, 20)


@given(
    prior=st.one_of(
        st.builds(HalfNormal, scales),
        st.builds(HalfStudentT, scales, scales),
        st.builds(HalfCauchy, scales),
        st.builds(Exponential, scales),
        st.builds(Gamma, scales, scales),
        st.builds(LogNormal, st.floats(-2, 2), scales),
        st.builds(Decov, scales, scales, scales),
    ),
    prob=probs,
)
def test_quantiles_leave_their_probability_above(prior: ScalePrior, prob: float) -> None:
    value = prior.quantile(prob)
    if 1e-300 < value < 1e300:
        assert twin(prior).sf(value) == pytest.approx(1 - prob, rel=1e-6)


@given(mor=st.floats(1.01, 100), prob=probs, family=families)
def test_the_median_odds_ratio_is_exceeded_with_its_probability(mor: float, prob: float, family: str) -> None:
    prior = hl.prior_from_mor(mor, prob, family=family)
    assert type(prior).__name__.lower() == family
    assert twin(prior).sf(np.log(mor) / LOG_ODDS_RATIO_PER_SD) == pytest.approx(prob, rel=1e-6)


@given(icc=st.floats(0.001, 0.99), prob=probs, family=families)
def test_the_intraclass_correlation_is_exceeded_with_its_probability(icc: float, prob: float, family: str) -> None:
    sd = np.sqrt(icc / (1 - icc) * np.pi**2 / 3)
    assert sd**2 / (sd**2 + np.pi**2 / 3) == pytest.approx(icc)
    assert twin(hl.prior_from_icc(icc, prob, family=family)).sf(sd) == pytest.approx(prob, rel=1e-6)


@given(
    low=st.floats(0.001, 0.4),
    width=st.floats(0.05, 0.55),
    place=st.one_of(st.none(), st.floats(0.05, 0.95)),
    share=st.floats(0.5, 0.99),
    prob=probs,
)
def test_the_range_holds_its_share_of_clusters(
    low: float, width: float, place: float | None, share: float, prob: float
) -> None:
    high = low + width
    at = None if place is None else low + place * width
    prior = hl.prior_from_range(low, high, typical=at, share=share, prob=prob)
    assert isinstance(prior, Exponential)
    sd = -np.log(prob) / prior.lam  # exceeded with probability prob
    logit = stats.logistic.ppf
    middle = (logit(low) + logit(high)) / 2 if at is None else logit(at)
    inside = stats.norm.cdf((logit(high) - middle) / sd) - stats.norm.cdf((logit(low) - middle) / sd)
    assert inside == pytest.approx(share, abs=1e-7)


def test_a_simulated_prior_says_what_was_asked_for() -> None:
    prior = hl.prior_from_range(0.05, 0.5, typical=0.2, prob=0.1, family="halfnormal")
    rng = np.random.default_rng(1)
    sd = np.abs(rng.normal(0, prior.arguments()["sigma"], 4000))
    p = 1 / (1 + np.exp(-(np.log(0.2 / 0.8) + sd[:, None] * rng.standard_normal((4000, 2000)))))
    wide = np.mean(np.mean((p > 0.05) & (p < 0.5), axis=1) < 0.95)
    assert wide == pytest.approx(0.1, abs=0.02)


def test_shapes_can_be_chosen() -> None:
    prior = hl.prior_from_mor(5, family="half_student_t", shape=7)
    assert isinstance(prior, HalfStudentT)
    assert prior.nu == 7
    assert hl.prior_from_mor(5, family="HalfStudentT") == hl.prior_from_mor(5, family="halfstudentt", shape=3)
    gamma = hl.prior_from_icc(np.float64(0.3), family="gamma", shape=4)
    assert isinstance(gamma, Gamma)
    assert gamma.alpha == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hl.prior_from_mor(1), "mor=1 must be a finite number above 1"),
        (lambda: hl.prior_from_mor(np.inf), "mor=inf must be a finite number above 1"),
        (lambda: hl.prior_from_mor("5"), "mor='5' must be a finite number above 1"),  # type: ignore[arg-type]
        (lambda: hl.prior_from_mor(5, 5), "prob=5 must be a number between 0 and 1"),
        (lambda: hl.prior_from_icc(30), "icc=30 must be a number between 0 and 1"),
        (lambda: hl.prior_from_range(0.5, 0.1), "low=0.5 must be below high=0.1"),
        (lambda: hl.prior_from_range(0.01, 0.010000000000000002), "0.010000000000000002 are too close to each other"),
        (lambda: hl.prior_from_range(0.1, 0.9, typical=0.10000000000000002), "too close to each other"),
        (lambda: hl.prior_from_range(0, 0.1), "low=0 must be a number between 0 and 1"),
        (lambda: hl.prior_from_range(0.1, 0.5, share=95), "share=95 must be a number between 0 and 1"),
        (lambda: hl.prior_from_range(0.1, 0.5, typical=0.6), "typical=0.6 must be a number between 0.1 and 0.5"),
        (
            lambda: hl.prior_from_mor(5, family="uniform"),
            "family='uniform' is not allowed; choose one of 'exponential', 'half",
        ),
        (lambda: hl.prior_from_mor(5, shape=2), "shape=2: the family 'exponential' has only a scale"),
        (lambda: hl.prior_from_mor(5, family="gamma", shape=-1), "shape=-1 must be a finite number above 0"),
        (lambda: hl.prior_from_mor(5, 1e-20), "no prior of the family 'exponential' leaves the probability 1e-20"),
    ],
)
def test_impossible_requests(make: Any, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        make()


def test_a_model_says_which_odds_ratios_its_priors_imply() -> None:
    model = hl.Model(
        "use ~ urban + (1 + urban | district)",
        hl.datasets.load("contraception"),
        priors={"sd_district[Intercept]": hl.prior_from_mor(5)},
    )
    text = repr(model)
    assert "sd_district[Intercept]                Exponential(lam=1.775): MOR 1.5 (95 % below 5.0)" in text
    assert text.count("MOR") == 1  # that of a slope depends on the predictor
    assert "95 % below 5.0" in model._repr_html_()
    joint = model.with_priors({"sd_district": Decov()})
    assert "MOR" not in repr(joint)
    alone = hl.Model("use ~ 1 + (1 | district)", hl.datasets.load("contraception"), priors={"sd": Decov()})
    assert implied_odds_ratios(Exponential(1)) in repr(alone)


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        (Exponential(1), "MOR 1.9 (95 % below 17)"),
        (HalfNormal(2.5), "MOR 5.0 (95 % below 107)"),
        (HalfCauchy(1), "MOR 2.6 (95 % below 2e+05)"),
        (HalfCauchy(1000), "MOR 1e+304 (95 % below 1e+304)"),
    ],
)
def test_implied_ratios_are_brief(prior: ScalePrior, text: str) -> None:
    assert implied_odds_ratios(prior) == text
