"""The restricted likelihood: its gradient, the integral that it is, and what it cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

import hierlogit as hl
from hierlogit.engines.maximum.integrator import integrator
from hierlogit.engines.maximum.objective import Objective
from hierlogit.engines.maximum.refit import Refitter
from hierlogit.engines.maximum.restricted import RestrictedObjective
from hierlogit.errors import EngineError, FitError, StudyError
from hierlogit.estimate import Estimate
from hierlogit.fits.fit import Fit

RNG = np.random.default_rng(11)
CLUSTER = np.repeat(np.arange(9), 14)
ROWS = pd.DataFrame({"g": CLUSTER, "x": RNG.normal(size=126), "arm": CLUSTER % 2})
ROWS["y"] = RNG.binomial(
    1,
    1
    / (
        1 + np.exp(-(0.5 * ROWS["arm"] + RNG.normal(0, 0.9, 9)[CLUSTER] + RNG.normal(0.4, 0.7, 9)[CLUSTER] * ROWS["x"]))
    ),
)
FORMULA = "y ~ arm + x + (1 + x | g)"


def _estimate(fit: Fit) -> Estimate:
    assert fit.estimate is not None
    return fit.estimate


def _restricted(formula: str, nodes: int, psi: np.ndarray) -> RestrictedObjective:
    model = hl.Model(formula, ROWS)
    return RestrictedObjective(
        Objective(model, integrator(model.design, nodes)(model.arrangement), penalised=False), psi
    )


@pytest.mark.parametrize("nodes", [1, 9])
def test_the_gradient_is_that_of_the_value(nodes: int) -> None:
    at = np.array([0.9, 0.3, 0.6])
    objective = _restricted(FORMULA, nodes, np.concatenate([np.zeros(3), at]))
    gradient = objective.evaluate(at).gradient
    for k, step in enumerate(1e-3 * np.eye(3)):
        rise = objective.evaluate(at + step).value - objective.evaluate(at - step).value
        assert rise / 2e-3 == pytest.approx(gradient[k], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("nodes", [1, 15])
def test_it_is_the_integral_of_the_likelihood_over_the_fixed_effects(nodes: int) -> None:
    objective = _restricted("y ~ 1 + (1 | g)", nodes, np.array([0.0, 0.8]))
    value = objective.evaluate(np.array([0.8])).value
    full = objective.full

    def relative(beta: float) -> float:
        return float(np.exp(full.evaluate(np.array([beta, 0.8])).value - value))

    assert np.log(quad(relative, -6, 6, limit=200)[0]) == pytest.approx(0.0, abs=0.02)


def test_other_columns_for_the_same_fixed_effects_change_the_value_by_their_units_alone() -> None:
    one, other = (
        _estimate(hl.Model(f"y ~ arm + {x} + (1 | g)", ROWS).fit(hl.Laplace(restricted=True)))
        for x in ("x", "I(10*x + 3)")
    )
    assert one.log_likelihood - other.log_likelihood == pytest.approx(np.log(10), abs=1e-6)
    np.testing.assert_allclose(one.sd("g"), other.sd("g"), rtol=1e-5)
    np.testing.assert_allclose(one.beta[2], 10 * other.beta[2], rtol=1e-5)
    np.testing.assert_allclose(one.standard_errors[2], 10 * other.standard_errors[2], rtol=1e-4)


def test_sds_are_larger_and_the_fit_is_complete(tmp_path: Path) -> None:
    model = hl.Model(FORMULA, ROWS)
    usual, fit = model.fit(hl.Laplace(seed=1)), model.fit(hl.Laplace(seed=1, restricted=True))
    assert np.all(_estimate(fit).sd("g") > _estimate(usual).sd("g"))
    assert fit.diagnostics.status == "converged"
    assert fit.diagnostics.measures["pareto_k"] < 0.7
    assert "restricted log-likelihood" in repr(fit)
    assert (
        hl.summary(fit).quantity == "Parameters (logit scale); restricted maximum likelihood; t with between-within df"
    )
    drawn = fit.posterior["beta"].to_numpy()[0]
    np.testing.assert_allclose(np.median(drawn, axis=0), _estimate(fit).beta, atol=0.15)
    again = hl.load(fit.save(tmp_path / "fit.nc"))
    assert _estimate(again).restricted
    np.testing.assert_array_equal(_estimate(again).df, _estimate(fit).df)
    without = Refitter.of(again).without(CLUSTER == 0)
    assert without.estimate.restricted
    assert without.converged


def test_a_start_at_a_boundary_is_left() -> None:
    random = np.random.default_rng(26)
    for _ in range(40):
        y = random.binomial(1, 0.5, len(ROWS))
        model = hl.Model("y ~ arm + (1 | g)", ROWS.assign(y=y))
        usual, restricted = (_estimate(model.fit(hl.Laplace(restricted=flag))) for flag in (False, True))
        if usual.boundary and not restricted.boundary:
            assert restricted.sd("g")[0] > 0.03
            return
    pytest.fail("no data set has an sd of zero by maximum likelihood alone")


@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")
def test_what_has_no_restricted_likelihood_is_refused() -> None:
    with pytest.raises(EngineError, match="the model has no random effects"):
        hl.Model("y ~ x", ROWS).fit(hl.Laplace(restricted=True))
    separated = ROWS.assign(never=((ROWS["y"] == 0) & (ROWS["x"] > 0.2)).astype(int))
    with pytest.raises(EngineError, match="the restricted likelihood is infinite: the estimate of 'never'"):
        hl.Model("y ~ x + never + (1 | g)", separated).fit(hl.Laplace(restricted=True))
    with pytest.raises(EngineError, match="infinite: the estimates of 'Intercept', 'x' are infinite"):
        hl.Model("y ~ x + (1 | g)", ROWS.assign(x=ROWS["y"])).fit(hl.Laplace(restricted=True))
    with pytest.raises(EngineError, match="Laplace: restricted=1 must be True or False"):
        hl.Laplace(restricted=1)  # type: ignore[arg-type]


def test_only_restricted_likelihoods_of_the_same_fixed_effects_are_compared() -> None:
    engine = hl.Laplace(restricted=True)
    smaller, larger, without, usual = (
        hl.Model("y ~ arm + x + (1 | g)", ROWS).fit(engine),
        hl.Model(FORMULA, ROWS).fit(engine),
        hl.Model("y ~ x + (1 | g)", ROWS).fit(engine),
        hl.Model("y ~ x + (1 | g)", ROWS).fit("laplace"),
    )
    test = hl.likelihood_ratio(smaller, larger)
    assert test.statistic == pytest.approx(2 * (_estimate(larger).log_likelihood - _estimate(smaller).log_likelihood))
    with pytest.raises(FitError, match="'fit0' and 'fit1' cannot be compared, since their fixed effects differ"):
        hl.likelihood_ratio(without, smaller)
    with pytest.raises(FitError, match="'a' maximised the restricted likelihood and 'b' the likelihood"):
        hl.compare({"a": without, "b": usual})
    with pytest.raises(FitError, match="the restricted likelihood, which has no profiles here"):
        hl.summary(smaller, interval="profile")


def test_power_by_restricted_likelihood() -> None:
    layout = hl.Layout({"g": 8}, size=15, cluster_predictors={"g": {"arm": ["old", "new"]}})
    truth: dict[str, Any] = {"beta": {"Intercept": 0.0, "arm[new]": 0.5}, "sd": {"g": 0.7}, "replicates": 30, "seed": 1}
    engines = {"usual": hl.Laplace(), "restricted": hl.Laplace(restricted=True), "normal": hl.Laplace(df="normal")}
    tables = {
        name: hl.power("y ~ arm + (1 | g)", layout, engine=engine, **truth).table.iloc[0]
        for name, engine in engines.items()
    }
    assert tables["normal"]["width"] < tables["usual"]["width"] < tables["restricted"]["width"]
    with pytest.raises(StudyError, match="maximises the restricted likelihood. Use 'wald'"):
        hl.power("y ~ arm + (1 | g)", layout, engine=engines["restricted"], method="lr", **truth)


@pytest.mark.filterwarnings("ignore::hierlogit.errors.HierlogitWarning")
def test_a_curvature_that_is_not_a_number_ends_in_findings() -> None:
    """Slopes of two crossed factors, far from zero: beside the end of the search, gradients overflow."""
    rng, place = np.random.default_rng(3), np.arange(40)
    rows = pd.DataFrame({"g": place % 8, "h": place // 8, "x": rng.normal(size=40) * 1e10, "y": rng.integers(0, 2, 40)})
    fit = hl.Model("y ~ offset(x) + (0 + x | g) + (0 + x | h)", rows).fit(hl.Laplace(draws=100, restricted=True))
    assert fit.diagnostics.status == "failed"
    assert "not_converged" in {finding.code for finding in fit.diagnostics.findings}
    assert np.isnan(_estimate(fit).covariance).all()
    assert np.isfinite(fit.posterior["beta"]).all()
