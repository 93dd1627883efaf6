"""Outcomes fitted anew from a maximum: against the search of a fit itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.engines.maximum.refit import Refitter
from hierlogit.engines.maximum.refitted import ReferenceFit
from hierlogit.fits.fit import Fit

CASES = {
    "slopes": ("contraception", "use ~ age + urban + (1 + urban | district)", hl.Laplace(seed=1)),
    "quadrature": ("cbpp", "p(successes, size) ~ period + (1 | herd)", hl.AGQ(nodes=9, seed=1)),
    "priors": ("bacteria", "y ~ week_gt2 + (1 | ID)", hl.MAP(seed=1)),
    "crossed": ("contraception", "use ~ age + (1 | district) + (1 | livch)", hl.Laplace(seed=1)),
    "none": ("contraception", "use ~ age + urban", hl.Laplace(seed=1)),
}


@pytest.fixture(scope="module", params=CASES)
def fit(request: pytest.FixtureRequest) -> Fit:
    name, formula, engine = CASES[request.param]
    return hl.Model(formula, hl.datasets.load(name)).fit(engine)


def test_the_data_end_where_the_fit_did(fit: Fit) -> None:
    found, estimate, design = ReferenceFit.of(fit).observed, fit.estimate, fit.model.design
    assert estimate is not None
    # A search ends where no derivative exceeds three ten-thousandths of a standard error.
    np.testing.assert_allclose(
        found.psi[: len(estimate.beta)], estimate.beta, atol=1e-3 * estimate.standard_errors.max()
    )
    eta = design.X @ estimate.beta
    for group in design.groups:
        np.testing.assert_allclose(found.sds[group.name], estimate.sd(group.name), rtol=2e-3)
        np.testing.assert_allclose(found.modes[group.name], estimate.modes[group.name], atol=2e-3)
        np.testing.assert_allclose(
            np.sqrt(found.variances[group.name]), estimate.conditional_sds[group.name], rtol=5e-3
        )
        eta += (group.Z * estimate.modes[group.name][group.index]).sum(axis=1)
    np.testing.assert_allclose(found.eta, eta, atol=2e-3)
    np.testing.assert_allclose(found.residual, found.y - found.trials * expit(found.eta))
    np.testing.assert_allclose(found.weight, found.trials * expit(found.eta) * expit(-found.eta))


def test_other_outcomes_end_where_a_search_of_their_own_does(fit: Fit) -> None:
    reference, random = ReferenceFit.of(fit), np.random.default_rng(3)
    assert fit.estimate is not None
    p = hl.residuals(fit, "pearson")["fitted"]
    for _ in range(3):
        y = random.binomial(fit.model.design.outcome.trials.astype(int), p).astype(float)
        found, again = reference.fitted_to(y), Refitter.of(fit).with_outcome(y).estimate
        errors = fit.estimate.standard_errors
        np.testing.assert_allclose(found.psi[: len(errors)] / errors, again.beta / errors, atol=3e-3)
        for name in again.cholesky:
            np.testing.assert_allclose(found.sds[name], again.sd(name), atol=0.01)
            np.testing.assert_allclose(found.modes[name], again.modes[name], atol=0.01)


def test_after_a_sampler_it_is_the_mode_of_the_marginal_posterior(make_fit, clustered_rows) -> None:
    sampled = make_fit("healed ~ dose + (1 | clinic)", clustered_rows(10, 10))
    reference, mode = ReferenceFit.of(sampled), sampled.model.fit(hl.MAP(seed=1)).estimate
    assert mode is not None
    np.testing.assert_allclose(reference.estimate.beta, mode.beta)
    assert reference.estimate.penalised
    assert reference.usable


def test_without_a_curvature_it_is_of_no_use() -> None:
    estimate = SimpleNamespace(model_covariance=np.full((2, 2), np.nan))
    assert not ReferenceFit(None, estimate).usable  # type: ignore[arg-type]
