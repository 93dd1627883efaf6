"""NUTS with one factor's effects integrated out: the form that is chosen, its draws, its files and its texts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.joint import model_arrays
from hierlogit.engines.nuts import nutpie_model
from hierlogit.engines.nuts.effects_form import form_of_effects
from hierlogit.errors import ConvergenceWarning, EngineError
from hierlogit.fits.posterior import parameter_draws
from hierlogit.model_comparison.leave_out import sampled_again

NESTED = "y ~ x + (1 | town/child)"
SMALL = {"draws": 60, "tune": 60, "chains": 2}


def nested(towns: int = 20, rows: int = 2, seed: int = 3) -> pd.DataFrame:
    """Eight children in each town, with as many rows each."""
    rng = np.random.default_rng(seed)
    child = np.repeat(np.arange(8 * towns), rows)
    town, x = child // 8, rng.normal(size=len(child))
    eta = 0.3 + 0.5 * x + 0.8 * rng.normal(size=towns)[town] + 2 * rng.normal(size=8 * towns)[child]
    data = pd.DataFrame({"y": rng.binomial(1, expit(eta)), "x": x, "town": town, "child": child})
    return data.sample(frac=1, random_state=1)


def fit(formula: str, data: Any, priors: Any = None, **options: Any) -> hl.results.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few draws on purpose
        return hl.Model(formula, data, priors=priors).fit(hl.NUTS(**({"seed": 3, "progress": False} | options)))


@pytest.fixture(scope="module")
def integrated() -> hl.results.Fit:
    return fit(NESTED, nested(), effects="integrated", store_u=True, **SMALL)


def test_posterior_is_complete_and_in_the_users_order(integrated: hl.results.Fit) -> None:
    posterior = integrated.posterior
    assert list(posterior.data_vars) == [
        "beta", "sd_town", "sd_town:child", "b_town", "b_town:child", "u_town", "u_town:child",
    ]  # fmt: skip
    for group in integrated.model.design.groups:
        name = group.result_name
        b, u = posterior[f"b_{name}"], posterior[f"u_{name}"]
        np.testing.assert_allclose(b, (u * posterior[f"sd_{name}"]).transpose(*b.dims), atol=1e-12)
    assert "integration_error" not in integrated.data["sample_stats"]
    assert 0 < integrated.diagnostics.measures["integration_error"] < 0.5
    assert integrated.diagnostics.settings["nodes"] >= 5


def test_effects_differ_from_draw_to_draw_as_the_rows_allow() -> None:
    found = fit(NESTED, nested(), effects="integrated", draws=500, chains=2)
    effects = found.posterior["b_town:child"].squeeze("town:child_effect")
    z = effects / found.posterior["sd_town:child"].squeeze("town:child_effect")
    # Over clusters and draws together, standardised effects are standard normal a posteriori.
    assert float(z.mean()) == pytest.approx(0, abs=0.1)
    assert float(z.std()) == pytest.approx(1, abs=0.1)
    rows = nested().groupby("child")["y"].sum()
    means = effects.mean(("chain", "draw"))
    children = np.array([int(str(label).rsplit(":", 1)[-1]) for label in means["town:child"].to_numpy()])
    assert means[rows[children].to_numpy() == 2].min() > means[rows[children].to_numpy() == 0].max()


def test_same_seed_same_draws_whatever_the_cores() -> None:
    one, two, other = (
        fit(NESTED, nested(), effects="integrated", **SMALL, cores=c, seed=s) for c, s in ((1, 5), (2, 5), (2, 6))
    )
    for name in ("beta", "b_town", "b_town:child"):
        np.testing.assert_array_equal(one.posterior[name], two.posterior[name])
    assert not np.array_equal(one.posterior["beta"], other.posterior["beta"])


def test_without_the_known_interface_python_functions_draw_the_same(
    integrated: hl.results.Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nutpie_model, "KNOWN_INTERFACES", ("9999.",))
    other = fit(NESTED, nested(), effects="integrated", store_u=True, **SMALL)
    for name, values in integrated.posterior.data_vars.items():
        np.testing.assert_allclose(other.posterior[name], values, rtol=1e-7, atol=1e-7)
    measures = "integration_error"
    assert other.diagnostics.measures[measures] == pytest.approx(integrated.diagnostics.measures[measures], rel=1e-5)


def test_runs_on_disk_are_recovered(integrated: hl.results.Fit, tmp_path: Path) -> None:
    stored = fit(NESTED, nested(), effects="integrated", store_u=True, store=tmp_path / "run", **SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        recovered = hl.recover(tmp_path / "run")
    for one in (stored, recovered):
        for name, values in integrated.posterior.data_vars.items():
            np.testing.assert_array_equal(one.posterior[name], values)
        assert one.diagnostics.measures == integrated.diagnostics.measures
    assert recovered.diagnostics.settings["nodes"] == integrated.diagnostics.settings["nodes"]


def test_sampled_again_without_rows(integrated: hl.results.Fit) -> None:
    design = integrated.model.design
    (child,) = (group for group in design.groups if group.result_name == "town:child")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        again = sampled_again(integrated, np.asarray(child.index == 0))
    assert again.diagnostics.settings["effects"] == "integrated"
    assert again.posterior["u_town:child"].shape == integrated.posterior["u_town:child"].shape


@pytest.mark.usefixtures("interrupted_sampling")
def test_interrupted_runs_keep_their_draws() -> None:
    model = hl.Model(NESTED, nested())
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        found = model.fit(hl.NUTS(draws=10_000_000, chains=2, seed=1, progress=False, effects="integrated"))
    assert found.diagnostics.status == "interrupted"
    assert np.isfinite(found.posterior["b_town:child"]).all()


def test_models_of_other_shapes_are_sampled() -> None:
    data = nested().assign(size=4, hits=lambda rows: rows["y"] * 3)
    for formula in (
        "y ~ 0 + (1 | child)",
        "p(hits, size) ~ x + (0 + x | child)",
        "y ~ x + (1 + x | town) + (1 | child)",
    ):
        posterior = fit(formula, data, effects="integrated", **SMALL).posterior
        assert all(np.isfinite(values).all() for values in posterior.data_vars.values())
    assert (
        fit(NESTED, data, effects="integrated", parameterization="noncentered", **SMALL).posterior.sizes["draw"] == 60
    )


# ---- which form --------------------------------------------------------------------------------------------------


def test_clusters_of_few_rows_are_integrated_out_and_the_fit_says_so() -> None:
    found = fit(NESTED, nested(), **SMALL)
    assert found.diagnostics.settings["effects"] == "integrated"
    note = next(one for one in found.diagnostics.findings if one.code == "effects_integrated")
    assert note.severity == "note"
    assert "'town:child' has 2 rows for each of its 160 levels" in note.evidence
    asked = fit(NESTED, nested(), effects="integrated", **SMALL)
    assert not [one for one in asked.diagnostics.findings if one.code == "effects_integrated"]
    np.testing.assert_array_equal(asked.posterior["beta"], found.posterior["beta"])


@pytest.mark.parametrize(
    ("formula", "rows"),
    [(NESTED, 12), ("y ~ x + (1 + x | child)", 2), ("y ~ x", 2)],
    ids=["many rows", "slopes", "no random effects"],
)
def test_other_designs_are_sampled_as_they_are(formula: str, rows: int) -> None:
    model = hl.Model(formula, nested(4, rows))
    assert form_of_effects(model, "auto", "native") == ("sampled", ())
    assert form_of_effects(hl.Model(NESTED, nested(4)), "auto", "pymc") == ("sampled", ())


def test_what_cannot_be_integrated_out_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = hl.NUTS(effects="integrated", progress=False)
    with pytest.raises(EngineError, match="takes one effect for each level, and 'child', .* has 2"):
        hl.Model("y ~ x + (1 + x | child)", nested(4)).fit(engine)
    with pytest.raises(EngineError, match="needs random effects"):
        hl.Model("y ~ x", nested(4)).fit(engine)
    with pytest.raises(EngineError, match="needs backend='native', not 'pymc'"):
        hl.NUTS(effects="integrated", backend="pymc")
    with pytest.raises(EngineError, match="'auto', 'sampled', 'integrated'"):
        hl.NUTS(effects="marginal")
    monkeypatch.delitem(model_arrays.FAMILIES, pr.Laplace)
    with pytest.raises(EngineError, match="needs backend='native'"):
        hl.Model("y ~ x + (1 | child)", nested(4), priors={"x": pr.Laplace(0, 1)}).fit(engine)


def test_the_report_says_what_was_done(integrated: hl.results.Fit, tmp_path: Path) -> None:
    page = hl.report(integrated, tmp_path / "report.html", sections=["convergence"])
    text = Path(page).read_text(encoding="utf-8")
    assert "integrated out by Gauss-Hermite quadrature" in text
    assert "effects=&#x27;integrated&#x27;" in text or "effects='integrated'" in text
    assert "nodes=" not in text.split("hl.NUTS(")[-1].split(")")[0]


# ---- the same posterior ------------------------------------------------------------------------------------------


def largest_difference(model: hl.Model, **options: Any) -> float:
    """Largest difference of posterior means and sds between both forms, in combined Monte Carlo errors."""
    import arviz_stats

    results = []
    for seed, effects in enumerate(("integrated", "sampled")):
        engine = hl.NUTS(seed=seed, effects=effects, progress=False, **options)
        found = model.fit(engine)
        draws = parameter_draws(model, found.posterior).to_dataset(name="value")
        over = ("chain", "draw")
        values = [draws.mean(over)["value"].to_numpy(), draws.std(over)["value"].to_numpy()]
        errors = [arviz_stats.mcse(draws, method=method)["value"].to_numpy() for method in ("mean", "sd")]
        results.append((np.concatenate(values), np.concatenate(errors)))
    (one, error), (two, other_error) = results
    return float(np.abs((one - two) / np.hypot(error, other_error)).max())


@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")
def test_both_forms_have_one_posterior() -> None:
    assert largest_difference(hl.Model("y ~ trt + week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))) < 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")
@pytest.mark.parametrize("table", ["toenail", "guimmun"])
def test_both_forms_have_one_posterior_of_published_data(table: str) -> None:
    model = hl.Model(hl.datasets.describe(table).formula, hl.datasets.load(table))
    assert largest_difference(model, draws=2000) < 4
