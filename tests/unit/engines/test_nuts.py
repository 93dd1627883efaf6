"""The sampler end to end on a small table: groups, labels, seeds, backends, files, ArviZ."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import arviz as az
import numpy as np
import pytensor
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit.engines.nuts.finished_fit import _complete_part
from hierlogit.engines.nuts.pymc_backend import _EndWithChain, _interruptible
from hierlogit.errors import ConvergenceWarning, EngineError

FORMULA = "cbind(successes, size - successes) ~ period + (1 + period_num | herd)"
SETTINGS = {"draws": 150, "tune": 300, "chains": 2, "cores": 2, "seed": 4, "progress": False}


@pytest.fixture(scope="module")
def model() -> hl.Model:
    return hl.Model(FORMULA, hl.datasets.load("cbpp"))


def _fit(model: hl.Model, **settings: object) -> hl.results.Fit:
    # Few draws on purpose: that they do not suffice is said, and is tested below.
    with pytest.warns(ConvergenceWarning, match="effective sample size"):
        return model.fit(hl.NUTS(**(SETTINGS | settings)))


@pytest.fixture(scope="module")
def fit(model: hl.Model) -> hl.results.Fit:
    return _fit(model, store_u=True)


def test_draws_that_do_not_fit_into_memory_are_refused(model: hl.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hierlogit.validation.memory", lambda: 10**5)
    with pytest.raises(EngineError, match="NUTS: draws=1,000: each of them holds .* more than the memory"):
        model.fit(hl.NUTS(draws=1000, progress=False))


def test_groups_and_labels(fit: hl.results.Fit) -> None:
    assert set(fit.data.children) == {
        "posterior",
        "sample_stats",
        "observed_data",
        "constant_data",
        "log_prior",
        "log_likelihood",
    }
    posterior = fit.posterior
    assert list(posterior.data_vars) == ["beta", "sd_herd", "cor_herd", "b_herd", "u_herd"]
    assert posterior["b_herd"].dims == ("chain", "draw", "herd", "herd_effect")
    assert posterior["herd"].values.tolist() == list(range(1, 16))
    assert posterior["herd_effect"].values.tolist() == ["Intercept", "period_num"]
    assert posterior["fixed_effect"].values.tolist() == ["Intercept", "period[p2]", "period[p3]", "period[p4]"]
    assert fit.data["observed_data"]["successes"].sum() == 99
    assert fit.data["constant_data"]["trials"].sum() == 842
    for dataset in (fit.data[name].to_dataset() for name in fit.data.children):
        assert not [dim for dim in dataset.dims if "_dim_" in str(dim)]


def test_effects_are_the_standardised_ones_times_their_root(fit: hl.results.Fit) -> None:
    posterior = fit.posterior
    cor = posterior["cor_herd"].values
    np.testing.assert_array_equal(cor[..., [0, 1], [0, 1]], 1)
    root = posterior["sd_herd"].values[..., None] * np.linalg.cholesky(cor)
    expected = np.einsum("cdij,cdlj->cdli", root, posterior["u_herd"].values)
    np.testing.assert_allclose(posterior["b_herd"].values, expected, atol=1e-10)


def test_report(fit: hl.results.Fit) -> None:
    report = fit.diagnostics
    assert report.engine == "NUTS"
    assert report.exact
    assert report.seed == 4
    assert report.status == "check"
    assert "low_ess" in {finding.code for finding in report.findings}
    assert {"max_rhat", "min_ess_bulk", "min_ess_tail", "divergences", "min_bfmi"} <= set(report.measures)
    assert {"numba", "nutpie", "hierlogit"} <= set(report.versions)
    assert "2 chains of 150 draws" in repr(fit)
    assert "successes of size" in fit._repr_html_()


def test_same_seed_same_draws(model: hl.Model, fit: hl.results.Fit) -> None:
    again, other = _fit(model), _fit(model, seed=5)
    xr.testing.assert_identical(again.posterior["beta"].drop_attrs(), fit.posterior["beta"].drop_attrs())
    xr.testing.assert_identical(again.posterior["b_herd"].drop_attrs(), fit.posterior["b_herd"].drop_attrs())
    assert not np.array_equal(other.posterior["beta"], fit.posterior["beta"])


def test_pymc_backend_samples_the_same_posterior(model: hl.Model, fit: hl.results.Fit) -> None:
    # PyTensor's compiler takes minutes for a model that this samples in seconds.
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        other = _fit(model, backend="pymc", draws=50, tune=100)
    # Rough, since both are short.
    gap = other.posterior["beta"].mean(("chain", "draw")) - fit.posterior["beta"].mean(("chain", "draw"))
    assert float(abs(gap).max()) < 0.3


@pytest.mark.slow
def test_pymc_backend_repeats_itself_whatever_the_cores(model: hl.Model) -> None:
    one, two = (_fit(model, backend="pymc", cores=cores) for cores in (1, 2))
    np.testing.assert_array_equal(one.posterior["beta"], two.posterior["beta"])


def test_saved_and_read_back(fit: hl.results.Fit, tmp_path: Path) -> None:
    path = fit.save(tmp_path / "fit.nc")
    assert [item.name for item in tmp_path.iterdir()] == ["fit.nc"]
    read = hl.load(path)
    assert read.diagnostics == fit.diagnostics
    assert repr(read.model) == repr(fit.model)
    xr.testing.assert_equal(read.posterior, fit.posterior)
    xr.testing.assert_equal(read.data["sample_stats"].to_dataset(), fit.data["sample_stats"].to_dataset())
    xr.testing.assert_allclose(read.data["log_prior"].to_dataset(), fit.data["log_prior"].to_dataset())
    xr.testing.assert_allclose(
        read.data["log_likelihood"].to_dataset().load(), fit.data["log_likelihood"].to_dataset().load()
    )
    with pytest.warns(ConvergenceWarning, match=r"^The fit behind this result has findings\..*effective sample size"):
        before, after = hl.predictions(fit), hl.predictions(read)
    xr.testing.assert_equal(after.draws, before.draws)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto:UserWarning")
@pytest.mark.filterwarnings("ignore:The fit behind this result has findings:hierlogit.errors.ConvergenceWarning")
def test_arviz_works_on_the_tree_as_it_is(fit: hl.results.Fit) -> None:
    table = az.summary(fit.data, var_names=["beta", "sd_herd"])
    assert "beta[period[p2]]" in table.index
    assert az.loo(fit.data).n_data_points == 56
    assert "beta[period[p2]]" in az.psense_summary(fit.data, var_names=["beta"]).index
    drawn = az.plot_forest(fit.data, var_names=["beta"], backend="none")
    assert drawn is not None
    replicated = hl.posterior_predictive(fit, num_draws=20, seed=1)
    assert az.plot_ppc_rootogram(replicated, backend="none") is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "draws=0 must be a whole number from 4"),
        ({"tune": 1.5}, "tune=1.5"),
        ({"chains": True}, "chains=True"),
        ({"cores": 0}, "cores=0"),
        ({"seed": -1}, "seed=-1"),
        ({"target_accept": 1.0}, "between 0 and 1"),
        ({"backend": "stan"}, "'nutpie', 'pymc', 'numpyro', 'blackjax'"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        hl.NUTS(**options)


@pytest.mark.parametrize("engine", ["nutz", hl.NUTS, 3])
def test_no_such_engine(model: hl.Model, engine: object) -> None:
    with pytest.raises(EngineError, match="nuts"):
        model.fit(engine)


def test_missing_backend_says_what_to_install(model: hl.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"hierlogit\[jax\]"):
        model.fit(hl.NUTS(backend="numpyro"))


@pytest.mark.jax
@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning")
@pytest.mark.parametrize("backend", ["numpyro", "blackjax"])
def test_jax_backends(model: hl.Model, fit: hl.results.Fit, backend: str) -> None:
    other = model.fit(hl.NUTS(draws=1000, seed=1, backend=backend, progress=False))
    gap = other.posterior["beta"].mean(("chain", "draw")) - fit.posterior["beta"].mean(("chain", "draw"))
    assert float(abs(gap).max()) < 0.3


@pytest.mark.parametrize(
    ("lengths", "chains", "draws"),
    [
        ([50, 50, 50], [0, 1, 2], 50),
        ([0, 50, 30], [1, 2], 30),
        ([0, 50, 10], [1], 50),
        ([3, 9, 9], [1, 2], 9),
    ],
)
def test_an_interrupted_run_keeps_the_largest_whole_part(lengths: list[int], chains: list[int], draws: int) -> None:
    values = np.random.default_rng(0).normal(size=(3, 50, 2))
    for chain, length in enumerate(lengths):
        values[chain, length:] = np.nan
    drawn = xr.Dataset({"beta": (("chain", "draw", "k"), values)}, coords={"chain": [0, 1, 2], "draw": np.arange(50)})
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((3, 50), dtype=bool))})
    kept, kept_stats = _complete_part(drawn, stats)
    assert kept["chain"].values.tolist() == chains
    assert kept.sizes["draw"] == kept_stats.sizes["draw"] == draws
    assert np.isfinite(kept["beta"]).all()


def test_an_interrupted_run_without_draws_is_an_interruption() -> None:
    nothing = xr.Dataset({"beta": (("chain", "draw"), np.full((2, 9), np.nan))})
    with pytest.raises(KeyboardInterrupt):
        _complete_part(nothing, nothing)


@pytest.mark.slow
@pytest.mark.usefixtures("interrupted_sampling")
def test_interrupted_run_keeps_its_draws(model: hl.Model) -> None:
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        fit = model.fit(hl.NUTS(draws=1_000_000, tune=300, chains=2, seed=1, progress=False, backend="nutpie"))
    assert fit.diagnostics.status == "interrupted"
    assert 0 < fit.posterior.sizes["draw"] < 1_000_000


def test_an_interrupted_chain_of_pymc_ends_those_after_it() -> None:
    def chains(steps: list[int]) -> list[int]:
        """Steps of each chain, as PyMC runs them one after the other; an interruption ends only the current one."""
        end, made = _EndWithChain(10), []
        for chain, wanted in enumerate(steps):
            made.append(0)
            try:
                for step in range(wanted):
                    made[-1] += 1
                    end(trace=None, draw=SimpleNamespace(chain=chain, draw_idx=step))
            except KeyboardInterrupt:
                continue
        return made

    assert chains([10, 10, 10]) == [10, 10, 10]
    assert chains([10, 7, 10, 10]) == [10, 7, 1, 1]
    assert chains([0, 10, 10]) == [0, 1, 1]


def test_an_interruption_before_the_first_draw_of_pymc_is_one() -> None:
    def fail(message: str) -> None:
        raise ValueError(message)

    with pytest.raises(KeyboardInterrupt):
        _interruptible(fail, message="Not enough samples to build a trace.")
    with pytest.raises(ValueError, match="another"):
        _interruptible(fail, message="another reason")


@pytest.mark.slow
def test_interrupted_run_of_pymc_with_one_core_keeps_its_draws(model: hl.Model, monkeypatch: Any) -> None:
    import _thread
    import threading

    import pymc.sampling.mcmc

    timer = threading.Timer(5.0, _thread.interrupt_main)
    sample = pymc.sampling.mcmc._sample_many

    def started(*arguments: Any, **options: Any) -> Any:
        timer.start()
        return sample(*arguments, **options)

    monkeypatch.setattr(pymc.sampling.mcmc, "_sample_many", started)
    before = time.monotonic()
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        fit = model.fit(hl.NUTS(draws=1_000_000, tune=30, chains=3, cores=1, seed=1, progress=False, backend="pymc"))
    assert fit.diagnostics.status == "interrupted"
    assert fit.posterior.sizes["draw"] > 4
    assert time.monotonic() - before < 200
