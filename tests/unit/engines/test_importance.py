"""Importance sampling: against brute force and NUTS, its weights and choice of draws, and when it gives way to NUTS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import t as student_t

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.unbounded_variables import UnboundedVariables
from hierlogit.engines.importance import finished_fit, importance_sampling, weighting
from hierlogit.engines.importance.nodes import SMALL, integration_changes, nodes_needed
from hierlogit.engines.importance.proposal import DEGREES, SplitT, at_mode, mode_and_covariance, upper_factor
from hierlogit.engines.importance.weighting import Densities, Weighted, propose
from hierlogit.engines.importance.wide_proposal import WideProposal
from hierlogit.engines.maximum.marginal_posterior import MarginalPosterior
from hierlogit.errors import ConvergenceWarning, EngineError
from hierlogit.fits.posterior import parameter_draws
from hierlogit.model_comparison.leave_out import sampled_again
from hierlogit.model_comparison.parameter_integral import uniform_points

TOENAIL = "outcome ~ treatment * time + (1 | patientID)"
GUIMMUN = "immun ~ kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81 + (1 | comm/mom)"


@pytest.fixture(scope="module")
def cbpp() -> hl.Model:
    return hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))


@pytest.fixture(scope="module")
def fit(cbpp: hl.Model) -> hl.results.Fit:
    return cbpp.fit(hl.ImportanceSampling(seed=1, progress=False))


def agrees(first: hl.results.Fit, second: hl.results.Fit) -> None:
    """Means and sds of all parameters agree within 4 Monte Carlo errors, and those of effects on average over them."""
    import arviz_stats

    draws = [parameter_draws(one.model, one.posterior).to_dataset(name="value") for one in (first, second)]
    for method in ("mean", "sd"):
        reduced: list[Any] = [
            getattr(one["value"], {"sd": "std"}.get(method, method))(("chain", "draw")) for one in draws
        ]
        errors = [arviz_stats.mcse(one, method=method)["value"].to_numpy() for one in draws]
        gap = np.abs((reduced[0] - reduced[1]).to_numpy()) / np.hypot(*errors)
        assert gap.max() < 4.0
    for group in first.model.design.groups:
        name = f"b_{group.result_name}"
        effects = [one.posterior[name].stack(sample=("chain", "draw")).to_numpy() for one in (first, second)]
        means, sds = ([getattr(np, of)(one, axis=-1) for one in effects] for of in ("mean", "std"))
        sizes = [min(one.shape[-1], 1000) for one in effects]  # effective sizes of effects by NUTS are above 1,000
        z = (means[0] - means[1]) / np.sqrt(sds[0] ** 2 / sizes[0] + sds[1] ** 2 / sizes[1])
        assert np.sqrt((z**2).mean()) < 2.0


@pytest.mark.parametrize(
    ("formula", "data"),
    [("p(successes, size) ~ period + (1 | herd)", "cbpp"), ("y ~ trt + week_gt2 + (1 | ID)", "bacteria")],
)
def test_agrees_with_nuts(formula: str, data: str) -> None:
    model = hl.Model(formula, hl.datasets.load(data))
    agrees(
        model.fit(hl.ImportanceSampling(draws=2000, seed=3, progress=False)),
        model.fit(hl.NUTS(seed=3, progress=False, draws=1500)),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("formula", "data"),
    [
        (TOENAIL, "toenail"),
        ("use ~ age + I(age**2) + urban + livch + (1 + urban | district)", "contraception"),
        (GUIMMUN, "guimmun"),
    ],
    ids=["toenail", "contraception", "guimmun"],
)
def test_agrees_with_nuts_on_large_tables(formula: str, data: str) -> None:
    model = hl.Model(formula, hl.datasets.load(data))
    agrees(
        model.fit(hl.ImportanceSampling(draws=2000, seed=3, progress=False)),
        model.fit(hl.NUTS(seed=3, progress=False, draws=4000)),
    )


def test_two_parameters_by_brute_force() -> None:
    """Intercept and sd by sums over a grid of both, with the effects summed over a grid as well."""
    rng = np.random.default_rng(8)
    rows = pd.DataFrame({"y": rng.binomial(6, 0.35, 12), "m": 6, "g": np.arange(12)})
    priors = {"Intercept": pr.Normal(0, 1.5), "sd_g": pr.Exponential(1.0)}
    fit = hl.Model("p(y, m) ~ 1 + (1 | g)", rows, priors=priors).fit(
        hl.ImportanceSampling(draws=4000, seed=2, progress=False)
    )
    a, log_sd, u = np.linspace(-3, 2, 101), np.linspace(-8, 2, 101), np.linspace(-6, 6, 121)
    intercept, sd = np.meshgrid(a, np.exp(log_sd), indexing="ij")
    eta = intercept[..., None] + sd[..., None] * u
    density = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi) * (u[1] - u[0])
    log_posterior = pr.Normal(0, 1.5).logpdf(intercept) + pr.Exponential(1.0).logpdf(sd) + np.log(sd)
    from scipy.special import comb, expit

    for y in rows["y"]:
        log_posterior = log_posterior + np.log((comb(6, y) * expit(eta) ** y * expit(-eta) ** (6 - y)) @ density)
    weights = np.exp(log_posterior - log_posterior.max())
    evidence = log_posterior.max() + np.log(weights.sum() * (a[1] - a[0]) * (log_sd[1] - log_sd[0]))
    measures = fit.diagnostics.measures
    assert abs(measures["log_evidence"] - evidence) < 4 * measures["mcse_log_evidence"]
    assert measures["mcse_log_evidence"] < 0.02
    weights /= weights.sum()
    for values, of_grid in ((fit.posterior["beta"], intercept), (fit.posterior["sd_g"], sd)):
        draws = values.to_numpy().ravel()
        mean = float((weights * of_grid).sum())
        spread = float(np.sqrt((weights * (of_grid - mean) ** 2).sum()))
        assert abs(draws.mean() - mean) < 4 * spread / np.sqrt(len(draws))
        assert draws.std() == pytest.approx(spread, rel=0.08)


def test_groups_labels_and_report(fit: hl.results.Fit) -> None:
    assert set(fit.data.children) == {"posterior", "observed_data", "constant_data", "log_prior", "log_likelihood"}
    assert dict(fit.posterior.sizes) == {"chain": 1, "draw": 1000, "fixed_effect": 4, "herd_effect": 1, "herd": 15}
    report = fit.diagnostics
    assert (report.engine, report.exact, report.status, report.seed) == ("ImportanceSampling", True, "converged", 1)
    assert report.measures["pareto_k"] < 0.7
    assert report.measures["ess_weights"] > 0.5 * report.measures["proposed"]
    assert report.measures["integration_change"] < 0.02
    assert set(report.seconds) >= {"locate", "weigh", "effects", "check"}
    # Independent draws, none of them twice.
    assert len(np.unique(fit.posterior["sd_herd"])) == 1000
    assert hl.summary(fit)["ess_bulk"].min() > 700
    assert fit.estimate is None
    assert "Fit by ImportanceSampling: 1,000 independent draws, converged" in repr(fit)


def test_same_seed_same_draws_whatever_the_cores(cbpp: hl.Model, fit: hl.results.Fit) -> None:
    nodes = fit.diagnostics.settings["nodes"]
    again = cbpp.fit(hl.ImportanceSampling(seed=1, cores=1, nodes=nodes, progress=False))
    xr.testing.assert_identical(again.posterior, fit.posterior)
    other = cbpp.fit(hl.ImportanceSampling(seed=2, progress=False))
    assert not np.array_equal(other.posterior["beta"], fit.posterior["beta"])


def test_without_random_effects_nothing_is_integrated() -> None:
    model = hl.Model("y ~ week_gt2 + trt", hl.datasets.load("bacteria"))
    fit = model.fit(hl.ImportanceSampling(seed=1, nodes=9, progress=False))
    assert fit.diagnostics.measures["integration_change"] == 0
    maximum = model.fit("map").estimate
    assert maximum is not None
    gap = (fit.posterior["beta"].mean(("chain", "draw")).to_numpy() - maximum.beta) / np.sqrt(
        np.diag(maximum.covariance)
    )
    assert np.abs(gap).max() < 0.3


def test_crossed_factors_are_refused() -> None:
    rows = hl.datasets.load("verbagg")
    with pytest.raises(EngineError, match=r"two nested factors.*hl.NUTS\(\) take any random effects"):
        hl.Model("r2 ~ Anger + (1 | id) + (1 | item)", rows).fit("importance")


def test_unreliable_weights_give_way_to_nuts(cbpp: hl.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance_sampling, "khat_threshold", lambda _: -1.0)
    fit = cbpp.fit(hl.ImportanceSampling(draws=4000, seed=5, progress=False))
    assert fit.diagnostics.engine == "NUTS"
    assert fit.diagnostics.seed == 5
    assert (fit.posterior.sizes["chain"], fit.posterior.sizes["draw"]) == (4, 1000)
    (note,) = [finding for finding in fit.diagnostics.findings if finding.code == "engine_changed"]
    assert "k-hat of the importance weights is" in note.evidence
    assert note.severity == "note"


def test_nuts_in_its_place_does_not_advise_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random slopes, whose effects NUTS cannot integrate out, and too few draws for chains that agree."""
    monkeypatch.setattr(importance_sampling, "khat_threshold", lambda _: -1.0)
    monkeypatch.setattr(importance_sampling, "LEAST_PER_CHAIN", 10)
    model = hl.Model("y ~ 1 + (1 + week | ID)", hl.datasets.load("bacteria"))
    with pytest.warns(ConvergenceWarning):
        fit = model.fit(hl.ImportanceSampling(draws=100, nodes=5, seed=1, progress=False))
    findings = [finding for finding in fit.diagnostics.findings if finding.code in {"high_rhat", "low_ess"}]
    assert findings
    assert not any("ImportanceSampling" in str(finding) for finding in findings)


def test_too_few_nodes_are_a_finding() -> None:
    model = hl.Model(TOENAIL, hl.datasets.load("toenail"))
    with pytest.warns(ConvergenceWarning, match="3 quadrature nodes are too few"):
        fit = model.fit(hl.ImportanceSampling(draws=100, nodes=3, seed=1, progress=False))
    assert "inaccurate_integration" in {finding.code for finding in fit.diagnostics.findings}


def test_few_weighted_draws_are_a_finding(cbpp: hl.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_fit, "LEAST_EFFECTIVE", 10**6)
    with pytest.warns(ConvergenceWarning, match="The weighted draws are worth"):
        fit = cbpp.fit(hl.ImportanceSampling(draws=100, nodes=5, seed=1, progress=False))
    assert fit.diagnostics.status == "check"


def test_an_interruption_keeps_the_draws_made(cbpp: hl.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the second batch is weighted."""
    of, calls = Densities.of, []

    def interrupted(self: Densities, x: np.ndarray, *, progress: bool) -> np.ndarray:
        calls.append(len(x))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return of(self, x, progress=progress)

    monkeypatch.setattr(Densities, "of", interrupted)
    with pytest.warns(ConvergenceWarning, match="interrupted after 500 draws"):
        fit = cbpp.fit(hl.ImportanceSampling(draws=300, nodes=9, seed=1, progress=False))
    assert fit.diagnostics.status == "interrupted"
    assert fit.posterior.sizes["draw"] == 300


def test_an_interruption_does_not_start_nuts(cbpp: hl.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(model: hl.Model, proposal: SplitT, options: Any) -> tuple[Weighted, bool]:
        return finished_fit.weighted_draws(model, proposal, options)[0], True

    monkeypatch.setattr(importance_sampling, "khat_threshold", lambda _: -1.0)
    monkeypatch.setattr(importance_sampling, "weighted_draws", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cbpp.fit(hl.ImportanceSampling(draws=100, nodes=5, seed=1, progress=False))


def test_nodes_are_as_many_as_the_integration_needs(cbpp: hl.Model) -> None:
    assert nodes_needed(cbpp) == 5
    toenail = hl.Model(TOENAIL, hl.datasets.load("toenail"))
    assert nodes_needed(toenail) == 20
    mode, covariance = mode_and_covariance(MarginalPosterior(toenail, 20))
    x = mode + np.random.default_rng(7).standard_normal((30, len(mode))) @ upper_factor(covariance).T
    assert np.std(integration_changes(toenail, 20, x)) < 2 * SMALL
    assert np.std(integration_changes(toenail, 8, x)) > 0.2


def test_mode_is_a_maximum_with_its_curvature(cbpp: hl.Model) -> None:
    posterior = MarginalPosterior(cbpp, 9)
    mode, covariance = mode_and_covariance(posterior)
    assert np.abs(covariance @ posterior.log_density_and_gradient(mode)[1]).max() < 0.01
    step = 0.1 * np.sqrt(np.diag(covariance))
    fall = [
        2 * posterior.log_density(mode) - posterior.log_density(mode + e) - posterior.log_density(mode - e)
        for e in np.diag(step)
    ]
    np.testing.assert_allclose(fall, step**2 * np.diag(np.linalg.inv(covariance)), rtol=0.05)


def test_proposal_has_the_density_of_its_draws() -> None:
    """In one dimension, by the distribution function of each half; its density integrates to one in two."""
    one = SplitT(np.array([0.3]), np.array([[0.7]]), np.array([2.0]), np.array([0.5]))
    draws = one.draw(20_000, np.random.default_rng(1))[:, 0]
    assert np.mean(draws < 0.3) == pytest.approx(0.8, abs=0.01)
    quantile = 0.3 + 0.7 * 0.5 * float(student_t(DEGREES).ppf(0.95))
    assert np.mean(draws > quantile) == pytest.approx(0.2 * 0.1, abs=0.004)
    two = SplitT(np.zeros(2), np.array([[1.0, 0.8], [0.0, 0.5]]), np.array([1.0, 3.0]), np.array([0.6, 1.0]))
    axis = np.linspace(-40, 40, 1601)
    mesh = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    assert np.exp(two.log_density(mesh)).sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("sd", [pr.LogNormal(0, 0.5), pr.Gamma(0.5, 1), pr.HalfCauchy(5)])
def test_wide_proposal_has_the_density_of_its_points_and_heavy_tails(sd: pr.ScalePrior) -> None:
    rows = hl.datasets.load("contraception").head(300)
    model = hl.Model("use ~ age + (1 + age | district)", rows, priors={"beta": pr.Cauchy(0.5, 2), "sd": sd})
    variables = UnboundedVariables(model)
    wide = WideProposal.of(model, variables)
    points = wide.points(uniform_points(2**13, variables.n_dim + 1, np.random.SeedSequence(1)))
    again = variables.of_centred(variables.centred(points), points[:, variables.n_fixed :])
    np.testing.assert_allclose(again, points, rtol=1e-6)
    assert (variables.log_prior(points) - wide.log_density(points)).max() < 3
    if isinstance(sd, pr.LogNormal):  # with few points far out, where the ratios would be large
        low, middle, high = np.quantile(points, [0.4, 0.5, 0.6], axis=0)
        narrow = SplitT(middle, np.diag(high - low), np.ones(5), np.ones(5))
        ratios = np.exp(narrow.log_density(points) - wide.log_density(points))
        error = ratios.std() / np.sqrt(len(points))
        assert error < 0.05
        assert ratios.mean() == pytest.approx(1.0, abs=3 * error)


def test_covariances_that_are_singular_up_to_rounding_have_a_factor() -> None:
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    for least in (1.0, 1e-6, 1e-20, -1e-18):
        covariance = (axes * [1e4, 1.0, 1e-2, least]) @ axes.T
        covariance = (covariance + covariance.T) / 2
        factor = upper_factor(covariance)
        np.testing.assert_array_equal(factor, np.triu(factor))
        assert np.all(np.diag(factor) > 0)
        np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-10)


def test_draws_are_chosen_in_proportion_to_their_weights() -> None:
    weighted = Weighted(np.empty((6, 1)), np.log([1.0, 1.0, 2.0, 2.0, 4.0, 40.0]))
    weighted.__dict__["_smoothed"] = (np.array([1.0, 1.0, 2.0, 2.0, 4.0, 40.0]) / 50, 0.0)
    random = np.random.default_rng(1)
    chosen = np.array([np.bincount(weighted.chosen(3, random), minlength=6) for _ in range(4000)])
    assert chosen.max() == 1
    assert np.all(chosen.sum(axis=1) == 3)
    # The last one is chosen for certain, the others share two places.
    np.testing.assert_allclose(chosen.mean(axis=0), [0.2, 0.2, 0.4, 0.4, 0.8, 1.0], atol=0.03)
    assert weighted.lost(3) == pytest.approx(0.8 - 1 / 3)


def test_a_poor_proposal_is_adapted(cbpp: hl.Model) -> None:
    posterior = MarginalPosterior(cbpp, 5)
    good = at_mode(posterior)
    poor = SplitT(good.centre + 1.5 * np.diag(good.factor), 1.4 * good.factor, good.below, good.above)
    rounds = list(propose(MarginalPosterior(cbpp, 5).log_densities, poor, 800, np.random.SeedSequence(1)))
    share = [one.effective_size / len(one.x) for one in rounds]
    assert share[0] < weighting.GOOD
    assert share[-1] > 1.3 * share[0]
    right = list(propose(MarginalPosterior(cbpp, 5).log_densities, good, 800, np.random.SeedSequence(2)))[-1]
    error = np.hypot(rounds[-1].log_evidence_error, right.log_evidence_error)
    assert abs(rounds[-1].log_evidence - right.log_evidence) < 4 * error


def test_moments_of_a_few_draws_are_not_used(cbpp: hl.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a proposal so far off that a single draw has all of the weight: the moments have no Cholesky factor."""
    monkeypatch.setattr(weighting, "FEWEST_FOR_MOMENTS", 50)
    good = at_mode(MarginalPosterior(cbpp, 5))
    far = SplitT(good.centre + 60 * np.diag(good.factor), 0.1 * good.factor, good.below, good.above)
    rounds = list(propose(MarginalPosterior(cbpp, 5).log_densities, far, 10, np.random.SeedSequence(1)))
    assert rounds[0].effective_size < 5
    assert rounds[-1].pareto_k > 0.7


def test_verbs_take_the_fit(fit: hl.results.Fit, tmp_path: Path) -> None:
    import arviz_stats

    assert len(arviz_stats.summary(fit.data, var_names=["beta"])) == 4
    assert hl.loo(fit).warning in (False, True)
    assert hl.predictions(fit).shape[0] == 56
    assert hl.avg_comparisons(fit, "period").shape[0] == 3
    assert hl.posterior_predictive(fit)["posterior_predictive"].sizes["obs"] == 56
    again = hl.load(fit.save(tmp_path / "fit.nc"))
    assert again.diagnostics == fit.diagnostics
    xr.testing.assert_equal(again.posterior, fit.posterior)
    page = hl.report(fit, tmp_path / "page.html", sections=["convergence"]).read_text(encoding="utf-8")
    assert "by Pareto-smoothed importance sampling" in page
    assert "hl.ImportanceSampling(" in page
    assert "Effective size of the weighted draws" in page
    assert "1,000 independent draws from the posterior, by importance sampling" in page


def test_sampled_again_without_rows(fit: hl.results.Fit) -> None:
    rows = np.asarray(fit.model.design.groups[0].index == 0)
    again = sampled_again(fit, rows)
    assert again.diagnostics.engine == "ImportanceSampling"
    sd = float(again.posterior["b_herd"].isel(herd=0).std())
    assert sd > 1.5 * float(fit.posterior["b_herd"].isel(herd=0).std())
