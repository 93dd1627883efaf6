"""Convergence measures, what is said of them, and what is advised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.signal import lfilter

import hierlogit as hl
from hierlogit.engines.nuts.advice import Advice
from hierlogit.engines.nuts.convergence import MIN_ESS_PER_CHAIN_OF_EFFECTS, Convergence, largest_rhat_by_chance
from hierlogit.engines.nuts.convergence_findings import convergence_findings
from hierlogit.engines.nuts.effect_convergence import EffectConvergence, quick_measures, suspects
from hierlogit.fits.findings import Finding, status_of
from hierlogit.fits.posterior import posterior_dataset, posterior_layout
from hierlogit.formatting import cell

CHAINS, DRAWS, CLUSTERS = 4, 500, 30


def _noise(seed: int = 0, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(CHAINS, DRAWS, *shape))


def _slow(seed: int, correlation: float = 0.98) -> np.ndarray:
    """Draws with an autocorrelation; the effective size is (1 - r) / (1 + r) of their number."""
    noise = _noise(seed) * np.sqrt(1 - correlation**2)
    return np.asarray(lfilter([1], [1, -correlation], noise, axis=1))


@pytest.fixture(scope="module")
def model() -> hl.Model:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"y": rng.integers(0, 2, 300), "x": rng.normal(size=300), "z": rng.normal(size=300)})
    return hl.Model("y ~ x + z + (1 + x | g)", rows.assign(g=np.repeat([f"c{k}" for k in range(CLUSTERS)], 10)))


def _draws(model: hl.Model, **changed: np.ndarray) -> xr.Dataset:
    """Independent draws in the posterior's form, with some variables replaced."""
    correlation = np.tanh(_noise(4) / 4)
    cor = np.stack([np.ones_like(correlation), correlation, correlation, np.ones_like(correlation)], axis=-1)
    variables = {
        "beta": _noise(1, 3),
        "sd_g": np.exp(_noise(2, 2) / 4),
        "cor_g": cor.reshape(CHAINS, DRAWS, 2, 2),
        "b_g": _noise(3, len(model.design.groups[0].levels), 2),
    }
    return posterior_dataset(model, posterior_layout(model), variables | changed)


def _stats(**changed: np.ndarray) -> xr.Dataset:
    columns = {"diverging": np.zeros((CHAINS, DRAWS), dtype=bool), "energy": _noise(9)} | changed
    return xr.Dataset({name: (("chain", "draw"), values) for name, values in columns.items()})


def _advice(
    model: hl.Model, drawn: xr.Dataset, stats: xr.Dataset | None = None, tried: str = "", **options: Any
) -> Advice:
    engine = hl.NUTS(draws=DRAWS, chains=CHAINS, seed=1)
    settings = replace(engine.options("native"), **options)
    of_run = _stats() if stats is None else stats
    return Advice(model, drawn, of_run, settings, Convergence.of(model, drawn, of_run), {"sample": 9.0}, tried)


def _found(
    model: hl.Model, drawn: xr.Dataset, stats: xr.Dataset | None = None, tried: str = "", **options: Any
) -> dict[str, Finding]:
    return {finding.code: finding for finding in convergence_findings(_advice(model, drawn, stats, tried, **options))}


def test_good_draws_are_converged(model: hl.Model) -> None:
    found = _found(model, _draws(model))
    assert found == {}
    assert status_of(found.values()) == "converged"


# ---- which quantity, and what it moves with ------------------------------------------------------------------------


def test_an_intercept_that_moves_with_the_mean_of_the_effects(model: hl.Model) -> None:
    beta, effects = _noise(1, 3), _noise(3, CLUSTERS, 2)
    ridge = _slow(5)
    beta[..., 0] = ridge + _noise(6) / 20
    effects[..., 0] -= ridge[..., None]
    found = _found(model, _draws(model, beta=beta, b_g=effects))
    assert set(found) == {"high_rhat", "low_ess"}
    evidence = found["high_rhat"].evidence
    assert "that of Intercept; it should be at most 1.01." in evidence
    assert "Intercept moves with the mean of the Intercept effects of 'g' (correlation -0.9" in evidence
    assert "the terms need not be simplified" in found["high_rhat"].remedy
    # said once
    assert "moves with" not in found["low_ess"].evidence
    assert found["low_ess"].remedy.startswith("At this rate, draws=")


def test_slopes_that_move_together_are_collinear(model: hl.Model) -> None:
    beta = _noise(1, 3)
    beta[..., 1] = _slow(5)
    beta[..., 2] = _noise(6) / 3 - beta[..., 1]
    finding = _found(model, _draws(model, beta=beta))["high_rhat"]
    assert "x moves with z (correlation -0.9" in finding.evidence
    assert "hl.check_data(model).columns" in finding.remedy
    assert "simplif" not in finding.remedy


@pytest.mark.parametrize("random", ["", " + (1 | g)"])
def test_phi_that_does_not_mix_is_advised_on(random: str) -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"m": 5, "y": rng.integers(0, 6, 60), "x": rng.normal(size=60), "g": np.arange(60) % 6})
    model = hl.Model(f"p(y, m) ~ x{random}", rows, family="betabinomial")
    of_groups = {"sd_g": np.exp(_noise(2, 1) / 4), "b_g": _noise(3, 6, 1)} if random else {}
    variables = {"beta": _noise(1, 2), "phi": np.exp(_slow(5)), **of_groups}
    drawn = posterior_dataset(model, posterior_layout(model), variables)
    finding = _found(model, drawn)["high_rhat"]
    assert "that of phi" in finding.evidence
    assert "The counts tell little about phi: give it a prior" in finding.remedy
    # The logarithm of phi moves, as that of an sd does.
    advice = _advice(model, drawn)
    moved = advice.movements.values[:, advice.movements.quantities.index(advice.parameter("phi"))]
    centred = _slow(5) - _slow(5).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(moved, (centred / centred.std()).ravel(), atol=1e-9)


def test_a_quantity_that_moves_with_the_sum_of_two(model: hl.Model) -> None:
    beta, effects = _noise(1, 3), _noise(3, CLUSTERS, 2)
    one, two = _slow(5), _slow(6)
    beta[..., 0] = one + two
    beta[..., 2] = two
    effects[..., 0] -= one[..., None]
    (coupling,) = {
        advice.movements.coupling(advice.parameter("Intercept"), 30.0)
        for advice in [_advice(model, _draws(model, beta=beta, b_g=effects))]
    }
    assert {other.words for other in coupling.others} == {"z", "the mean of the Intercept effects of 'g'"}
    assert abs(coupling.correlation) < 0.9
    assert coupling.together > 0.98


def test_a_few_effective_draws_do_not_tell_what_moves_together(model: hl.Model) -> None:
    beta = _noise(1, 3)
    beta[..., 1] = _slow(5)
    beta[..., 2] = 0.6 * _noise(6) - beta[..., 1]
    advice = _advice(model, _draws(model, beta=beta))
    x = advice.parameter("x")
    assert [other.words for other in advice.movements.coupling(x, 50.0).others] == ["z"]
    assert advice.movements.coupling(x, 6.0).others == ()


def test_chains_that_are_apart_do_not_make_quantities_move_together(model: hl.Model) -> None:
    beta = _noise(1, 3)
    beta[..., :2] += 3 * np.arange(CHAINS)[:, None, None]
    advice = _advice(model, _draws(model, beta=beta))
    assert advice.movements.coupling(advice.parameter("x"), 50.0).others == ()


def test_what_moves_alone_is_named_alone(model: hl.Model) -> None:
    beta = _noise(1, 3)
    beta[..., 1] = _slow(5)
    finding = _found(model, _draws(model, beta=beta))["low_ess"]
    assert "that of x; it should be at least 400" in finding.evidence
    assert "moves with" not in finding.evidence
    assert finding.remedy.startswith("At this rate")


def test_few_clusters_are_said_to_be_few() -> None:
    rows = pd.DataFrame({"y": [0, 1] * 30, "x": np.arange(60.0), "z": np.arange(60.0) ** 2 % 7})
    small = hl.Model("y ~ x + z + (1 + x | g)", rows.assign(g=np.repeat(list("abcd"), 15)))
    sd = np.exp(np.stack([_noise(2), _slow(5)], axis=-1))
    finding = _found(small, _draws(small, sd_g=sd))["high_rhat"]
    assert "4 clusters of 'g' tell little about sd_g[x]" in finding.remedy


def test_an_sd_of_clusters_of_few_rows(model: hl.Model) -> None:
    pairs = hl.Model("y ~ x + z + (1 + x | g)", model.design.table.frame.assign(g=np.repeat(np.arange(150), 2)))
    sd = np.exp(np.stack([_slow(5), _noise(2)], axis=-1))
    words = "With 2 rows for each cluster of 'g', the data say little of an effect"
    assert words in _found(pairs, _draws(pairs, sd_g=sd))["high_rhat"].remedy
    assert "rows for each cluster" not in _found(model, _draws(model, sd_g=sd))["high_rhat"].remedy


def test_a_run_that_was_not_scaled_is_told_of_it(model: hl.Model) -> None:
    beta = _noise(1, 3)
    beta[..., 1] = _slow(5)
    draws = _draws(model, beta=beta)

    def remedy(**options: Any) -> str:
        return _found(model, draws, **options)["high_rhat"].remedy

    assert "backend='native' scales such directions" in remedy(backend="pymc")
    assert "parameterization='auto' scales such directions" in remedy(parameterization="noncentered")
    assert "scales such directions" not in remedy()


def test_integrating_effects_out_is_advised_where_they_were_sampled(model: hl.Model) -> None:
    single = hl.Model("y ~ x + z + (1 | g)", model.design.table.frame)
    sd = np.exp(_slow(5))[..., None]
    variables = {"beta": _noise(1, 3), "sd_g": sd, "b_g": _noise(3, CLUSTERS, 1)}
    drawn = posterior_dataset(single, posterior_layout(single), variables)
    words = "hl.NUTS(effects='integrated') integrates the effects of 'g' out"
    assert words in _found(single, drawn)["high_rhat"].remedy
    assert words not in _found(single, drawn, effects="integrated")["high_rhat"].remedy


def test_importance_sampling_is_named_where_effects_can_be_integrated_out(model: hl.Model) -> None:
    words = "hl.ImportanceSampling()"
    sd = np.exp(np.stack([_noise(2), _slow(5)], axis=-1))
    assert words in _found(model, _draws(model, sd_g=sd))["high_rhat"].remedy
    assert words not in _found(model, _draws(model, sd_g=sd), tried="ImportanceSampling")["high_rhat"].remedy
    beta = _noise(1, 3)
    beta[..., 1] = _slow(5)
    assert words not in _found(model, _draws(model, beta=beta))["high_rhat"].remedy
    crossed = hl.Model("y ~ x + z + (1 + x | g) + (1 | h)", model.design.table.frame.assign(h=np.arange(300) % 7))
    drawn = _draws(crossed, sd_g=sd, sd_h=np.ones((CHAINS, DRAWS, 1)) + _noise(8, 1) / 9, b_h=_noise(7, 7, 1))
    assert words not in _found(crossed, drawn)["high_rhat"].remedy


# ---- how many draws ------------------------------------------------------------------------------------------------


def test_the_draws_that_are_needed_follow_from_the_effective_size(model: hl.Model) -> None:
    advice = _advice(model, _draws(model))
    # 2 * 400 / 200 times as many; 9 s for 900 steps
    assert advice.more_draws(200.0, 1.0) == "At this rate, draws=2000 would suffice (about 24 s of sampling)."
    # R-hat squared falls towards 1 with the number of draws
    assert advice.more_draws(400.0, 1.04).startswith("At this rate, draws=4100 would suffice")
    assert advice.more_draws(2.0, 1.01).startswith("At this rate, draws=200000 would suffice (about 33 min")
    assert "pass tune=1000." in advice.more_draws(200.0, 1.3)


@pytest.mark.parametrize(
    ("rhat", "shown"), [(1.01004, "1.01004"), (1.0101, "1.0101"), (1.0153, "1.015"), (1.0156, "1.016"), (1.2, "1.200")]
)
def test_r_hat_reads_as_among_the_measures_and_as_above_its_limit(model: hl.Model, rhat: float, shown: str) -> None:
    advice = _advice(model, _draws(model))
    measures = {**advice.convergence.measures, "max_rhat": rhat}
    (finding,) = convergence_findings(replace(advice, convergence=replace(advice.convergence, measures=measures)))
    assert f"The largest R-hat is {shown}, that of " in finding.evidence
    assert shown.startswith(cell("max_rhat", rhat).rstrip("0"))


# ---- cluster effects -----------------------------------------------------------------------------------------------


def test_the_worst_cluster_effects_are_those_of_arviz(model: hl.Model) -> None:
    effects = _noise(3, CLUSTERS, 2)
    effects[0, :, 7, 1] += 0.5
    effects[..., 11, 0] = _slow(5, 0.9)
    draws = _draws(model, b_g=effects)
    worst = EffectConvergence.of(model, draws)
    assert worst is not None
    assert worst.count == 2 * CLUSTERS
    assert worst.rhat == pytest.approx(float(arviz_stats.rhat(draws["b_g"]).max()))
    assert worst.ess == pytest.approx(float(arviz_stats.ess(draws["b_g"], method="bulk").min()))
    assert worst.ess_of[0].words == f"the Intercept effect of cluster {model.design.groups[0].levels[11]!r} of 'g'"


def test_a_cluster_effect_that_differs_between_chains_is_named(model: hl.Model) -> None:
    effects = _noise(3, CLUSTERS, 2)
    effects[0, :, 7, 1] += 1.5
    found = _found(model, _draws(model, b_g=effects))
    assert "high_rhat" in found
    level = model.design.groups[0].levels[7]
    assert f"that of the x effect of cluster '{level}' of 'g'; up to 1.0" in found["high_rhat"].evidence


@pytest.mark.parametrize("kind", ["location", "scale", "autocorrelation", "missing"])
def test_every_kind_of_failure_is_suspect(kind: str) -> None:
    values = _noise(3, 200)
    match kind:
        case "location":
            values[1, :, 150] += 0.5
        case "scale":
            values[1, :, 150] *= 1.6
        case "autocorrelation":
            values[..., 150] = _slow(5, 0.9)
        case _:
            values[0, 0, 150] = np.nan
    assert 150 in suspects(values)
    assert len(suspects(values)) <= 12


def test_quick_measures_of_independent_draws_and_of_autocorrelated_ones() -> None:
    independent, slow = _noise(3, 100), lfilter([1], [1, -0.6], _noise(4, 100), axis=1)
    of_halves, of_distances, of_batches = quick_measures(independent).mean(axis=1)
    assert of_halves == pytest.approx(1 / (DRAWS / 2), rel=0.2)
    # the distances from the mean of normal variables have the same ratio
    assert of_distances == pytest.approx(1 / (DRAWS / 2), rel=0.2)
    assert of_batches == pytest.approx(1, rel=0.05)
    # draws per effective draw, (1 + 0.6) / (1 - 0.6), less what batches of finite length miss
    assert quick_measures(slow)[2].mean() == pytest.approx(4, rel=0.15)


def test_chains_just_good_enough_have_no_finding_however_many_effects() -> None:
    """Effective sizes of 400 of 2,000 draws: R-hat and estimated sizes are beyond their usual limits by chance."""
    chance = np.random.default_rng(7)
    count = 3000
    noise = chance.normal(size=(CHAINS, DRAWS, count)) * np.sqrt(1 - (2 / 3) ** 2)
    effects = lfilter([1], [1, -2 / 3], noise, axis=1)
    picked = suspects(effects)
    rhat = arviz_stats.rhat(xr.DataArray(effects[..., picked], dims=("chain", "draw", "effect")))
    ess = arviz_stats.ess(xr.DataArray(effects[..., picked], dims=("chain", "draw", "effect")))
    assert 1.01 < float(rhat.max()) < largest_rhat_by_chance(CHAINS, count)
    assert MIN_ESS_PER_CHAIN_OF_EFFECTS * CHAINS < float(ess.min()) < 400


# ---- transitions, completeness -------------------------------------------------------------------------------------


def test_chains_that_stay_where_they_are_move_with_nothing(model: hl.Model) -> None:
    beta = _noise(1, 3)
    beta[..., :2] = np.arange(1, CHAINS + 1)[:, None, None] / 3
    found = _found(model, _draws(model, beta=beta))
    assert "that of Intercept" in found["high_rhat"].evidence
    assert "moves with" not in found["high_rhat"].evidence
    assert "pass tune=" in found["high_rhat"].remedy


@pytest.mark.parametrize("stuck", [np.ones((CHAINS, DRAWS)), np.full((CHAINS, DRAWS), np.nan)])
def test_a_parameter_that_never_moves_is_an_error(model: hl.Model, stuck: np.ndarray) -> None:
    beta = _noise(1, 3)
    beta[..., 1] = stuck
    found = _found(model, _draws(model, beta=beta))
    assert "constant_draws" in found
    assert status_of(found.values()) == "failed"


def test_transitions(model: hl.Model) -> None:
    draws = _draws(model)
    log_sd = np.log(draws["sd_g"].to_numpy()[..., 0])
    assert set(_found(model, draws, _stats(maxdepth_reached=np.ones((CHAINS, DRAWS), dtype=bool)))) == {"max_treedepth"}
    small = _found(model, draws, _stats(diverging=log_sd < np.quantile(log_sd, 0.01)))
    assert set(small) == {"divergences"}
    assert "diverged, where sd_g[Intercept] is small." in small["divergences"].evidence
    anywhere = np.zeros((CHAINS, DRAWS), dtype=bool)
    anywhere[:, ::20] = True
    assert (
        "100 of 2,000 transitions diverged." in _found(model, draws, _stats(diverging=anywhere))["divergences"].evidence
    )


def test_a_funnel_is_named_by_its_sd(model: hl.Model) -> None:
    energy = np.cumsum(_noise(4), axis=1)
    alone = _found(model, _draws(model), _stats(energy=energy))["low_bfmi"]
    assert "funnel" not in alone.evidence
    sd = np.exp(np.stack([_noise(2) / 4, energy / energy.std() / 2 + _noise(6) / 4], axis=-1))
    named = _found(model, _draws(model, sd_g=sd), _stats(energy=energy))["low_bfmi"]
    assert "The energy moves with sd_g[x]: it forms a funnel with the effects of 'g'." in named.evidence
    assert "give sd_g[x] a tighter prior" in named.remedy


def test_fewer_draws_than_asked_for(model: hl.Model) -> None:
    found = _found(model, _draws(model), draws=1000)
    assert list(found) == ["interrupted"]
    assert "4 of 4 chains have 500 of 1,000 draws" in found["interrupted"].evidence
    assert status_of(found.values()) == "interrupted"
