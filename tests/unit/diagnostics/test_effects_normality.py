"""Measures of the effects' distribution: scores against derivatives of likelihoods, and numerical integrals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermeval
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from hierlogit.diagnostics.fit.effects_normality import effect_measures, fourth_moment, third_moment


@pytest.mark.parametrize(("moment", "order"), [(third_moment, 3), (fourth_moment, 4)])
def test_moments_are_averages_over_the_effects_given_the_outcomes(moment: Any, order: int) -> None:
    modes, variances = np.array([-1.3, 0.2, 2.0]), np.array([0.5, 0.9, 0.1])
    hermite = [0.0] * order + [1.0]
    each = [
        quad(lambda u, m=m, v=v: hermeval(u, hermite) * norm.pdf(u, m, np.sqrt(v)), -12, 12)[0]  # type: ignore[misc]
        for m, v in zip(modes, variances, strict=True)
    ]
    assert moment(modes, variances) == pytest.approx(np.mean(each))


@pytest.mark.parametrize(("moment", "order"), [(third_moment, 3), (fourth_moment, 4)])
def test_they_are_scores_of_a_density_that_departs_from_normality(moment: Any, order: int) -> None:
    """The derivative of a cluster's log-likelihood in c, for effects of density phi(u) (1 + c He(u)), at c = 0."""
    hermite, sd, trials = [0.0] * order + [1.0], 1.2, 400
    for y in (80, 200, 330):

        def kernel(u: float, y: int = y) -> float:
            p = expit(sd * u)
            return float(np.exp(y * np.log(p / 0.5) + (trials - y) * np.log((1 - p) / 0.5))) * norm.pdf(u)

        u = np.linspace(-6, 6, 6001)
        weight = np.array([kernel(one) for one in u])
        score = (weight * hermeval(u, hermite)).sum() / weight.sum()
        mode = u[weight.argmax()]
        p = expit(sd * mode)
        variance = 1 / (1 + sd**2 * trials * p * (1 - p))
        assert moment(np.array([mode]), np.array([variance])) == pytest.approx(score, rel=0.02, abs=0.01)


def test_normal_effects_have_none_whatever_the_shrinkage() -> None:
    random = np.random.default_rng(1)
    variances = random.uniform(0.05, 0.9, 200_000)
    modes = random.normal(size=200_000) * np.sqrt(1 - variances)
    assert third_moment(modes, variances) == pytest.approx(0, abs=0.02)
    assert fourth_moment(modes, variances) == pytest.approx(0, abs=0.05)
    skewed = (random.exponential(size=200_000) - 1) * np.sqrt(1 - variances)
    assert third_moment(skewed, variances) > 0.5
    assert fourth_moment(skewed, variances) > 1


def test_measures_are_in_units_of_the_sd() -> None:
    group: Any = SimpleNamespace(name="g", effects=("Intercept", "x"), levels=np.arange(4))
    design: Any = SimpleNamespace(groups=[group])
    modes, variances = np.array([[1.0, 0.0], [-2.0, 0.0], [0.5, 0.0], [3.0, 0.0]]), np.full((4, 2), 0.4)
    one: Any = SimpleNamespace(sds={"g": np.array([2.0, 0.0])}, modes={"g": modes}, variances={"g": variances})
    measures = effect_measures(design)
    assert [(m.check, m.about) for m in measures] == [
        ("skewed_effects", "g[Intercept]"),
        ("nonnormal_tails", "g[Intercept]"),
        ("skewed_effects", "g[x]"),
        ("nonnormal_tails", "g[x]"),
    ]
    assert measures[0].of(one) == pytest.approx(third_moment(modes[:, 0] / 2, np.full(4, 0.1)))
    assert measures[1].of(one) == pytest.approx(fourth_moment(modes[:, 0] / 2, np.full(4, 0.1)))
    assert (measures[2].of(one), measures[3].of(one)) == (0, 0)
    tiny = SimpleNamespace(sds={"g": np.array([2.0, 1e-3])}, modes={"g": modes}, variances={"g": np.full((4, 2), 1e-6)})
    assert measures[3].of(tiny) == pytest.approx(0, abs=1e-9)  # where an sd is nearly zero it is nearly the same
    assert "long tail on the low side" in measures[0].evidence(one, -0.4, np.array([0.1]))
    assert "longer tails than" in measures[1].evidence(one, 0.0, np.array([-0.2]))
    assert "shorter tails" in measures[1].evidence(one, -0.5, np.array([-0.2]))
    assert "hl.plots.effects_qq(fit, 'g')" in measures[0].remedy
