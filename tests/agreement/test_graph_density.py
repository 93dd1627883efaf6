"""The PyMC graph and the package's own densities are the same function of the parameters, up to a constant."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.linear_predictor import pointwise_log_likelihood
from hierlogit.density.log_prior import log_prior
from hierlogit.fits.posterior import posterior_dataset, posterior_layout
from hierlogit.model import Model


def _rows(n: int = 60, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "hits": rng.integers(0, 4, n),
            "size": rng.integers(4, 9, n),
            "x": rng.normal(1990, 10, n),
            "w": rng.normal(size=n),
            "f": rng.choice(["a", "b", "c"], n),
            "g": rng.integers(1, 7, n),
            "h": rng.choice(list("pqrs"), n),
        }
    )


MODELS = {
    "plain": ("y ~ x + f", {}),
    "no_intercept": ("y ~ 0 + f + (1 | g)", {"beta": pr.StudentT(3, 0.5, 2)}),
    "random_only": ("y ~ 0 + (1 | g)", {"sd": pr.HalfCauchy(2)}),
    "correlated": ("y ~ x + offset(w) + (1 + w | g)", {"sd": pr.HalfNormal(2), "cor": pr.LKJ(3)}),
    "two_sets": ("y ~ x + (1 + w | g) + (0 + f | g)", {"x": pr.Laplace(0, 0.3), "Intercept": pr.Cauchy(0, 2)}),
    "mixed_families": (
        "hits_of ~ x + w + (1 + w || g) + (1 | h)",
        {"x": pr.Cauchy(0, 1), "sd_g": pr.Gamma(2, 1), "sd_g[w]": pr.LogNormal(0, 1), "sd_h": pr.HalfStudentT(4, 2)},
    ),
    "decov": (
        "y ~ x + (1 + w + f | g) + (1 | h)",
        {"sd_g": pr.Decov(1.5, 2, 0.7), "sd_h": pr.Decov(), "cor": pr.LKJ(1)},
    ),
    "nested": ("y ~ w + (1 | g/h)", {"sd": pr.Exponential(2)}),
}


def _model(name: str) -> Model:
    formula, priors = MODELS[name]
    return Model(formula.replace("hits_of", "p(hits, size)"), _rows(), priors=priors)


@pytest.mark.parametrize("name", MODELS)
def test_log_densities_differ_by_a_constant(name: str) -> None:
    model = _model(name)
    graph = model.to_pymc()
    point, seed = graph.initial_point(), np.random.default_rng(11)
    # Densities without the Jacobians of the sampler's transformations: those are not part of the model.
    terms = graph.compile_logp(jacobian=False, sum=True, mode="FAST_COMPILE")
    values = [variable.name for variable in graph.value_vars]
    outputs = graph.compile_fn(
        graph.replace_rvs_by_values([graph[name] for name in _deterministics(model)]),
        inputs=graph.value_vars,
        mode="FAST_COMPILE",
    )
    differences = []
    for _ in range(6):
        chosen = {key: point[key] + seed.normal(scale=0.4, size=np.shape(point[key])) for key in values}
        drawn = dict(zip(_deterministics(model), outputs(chosen), strict=True))
        own = _own_log_density(model, drawn) + sum(
            float(-0.5 * np.sum(chosen[key] ** 2)) for key in values if key.startswith("u_")
        )
        differences.append(float(terms(chosen)) - own - _reparameterisation(model, drawn, chosen))
    assert np.ptp(differences) < 1e-8


def _deterministics(model: Model) -> list[str]:
    return list(posterior_layout(model))


def _posterior(model: Model, drawn: dict[str, np.ndarray]) -> xr.Dataset:
    return posterior_dataset(model, posterior_layout(model), {name: value[None, None] for name, value in drawn.items()})


def _own_log_density(model: Model, drawn: dict[str, np.ndarray]) -> float:
    posterior = _posterior(model, drawn)
    likelihood = float(pointwise_log_likelihood(model, posterior)[model.outcome_name].sum())
    return likelihood + sum(float(values.sum()) for values in log_prior(model, posterior).data_vars.values())


def _reparameterisation(model: Model, drawn: dict[str, np.ndarray], chosen: dict[str, np.ndarray]) -> float:
    """Logarithm of the Jacobians by which the graph's parameters differ from the public ones.

    The graph draws Cholesky factors in place of correlation matrices, and for Decov a scale and shares in place of sds.
    """
    total = 0.0
    for group in model.design.groups:
        name = group.result_name
        for members in group.sets:
            q = len(members)
            if q > 1:
                L = np.linalg.cholesky(drawn[f"cor_{name}"][np.ix_(members, members)])
                # |dR / dL| = prod_i L_ii^(q - i), Lewandowski et al. (2009); rows count from 1, the first is fixed
                total += float(np.sum((q - np.arange(1, q + 1)) * np.log(np.diag(L))))
            prior = model.priors.sd[group.name][members[0]]
            if isinstance(prior, pr.Decov):
                sd = drawn[f"sd_{name}"][list(members)]
                squares = np.sum(sd**2)
                tau = np.sqrt(squares / q)
                total -= q * np.log(2) + np.sum(np.log(sd)) - (q - 1) * np.log(squares) - np.log(2 * q * tau)
    return total


def test_binomial_and_collapsed_binary_rows_have_the_same_likelihood() -> None:
    counts = pd.DataFrame({"hits": [2, 0, 3, 1], "size": [4, 2, 5, 3], "x": [0.1, 0.9, -1.0, 0.4], "g": [1, 1, 2, 2]})
    single = counts.loc[counts.index.repeat(counts["size"])].copy()
    pairs = zip(counts["hits"], counts["size"], strict=True)
    single["y"] = np.concatenate([np.r_[np.ones(hits), np.zeros(size - hits)] for hits, size in pairs])
    grouped = Model("p(hits, size) ~ x + (1 | g)", counts)
    expanded = Model("y ~ x + (1 | g)", single.reset_index(drop=True))
    from scipy.special import gammaln

    constant = np.sum(
        gammaln(counts["size"] + 1) - gammaln(counts["hits"] + 1) - gammaln(counts["size"] - counts["hits"] + 1)
    )
    rng = np.random.default_rng(0)
    for _ in range(5):
        drawn = {"beta": rng.normal(size=2), "sd_g": np.array([0.7]), "b_g": rng.normal(size=(2, 1))}
        a = float(pointwise_log_likelihood(grouped, _posterior(grouped, drawn))["hits"].sum())
        b = float(pointwise_log_likelihood(expanded, _posterior(expanded, drawn))["y"].sum())
        assert a - b == pytest.approx(constant, abs=1e-10)


def test_sd_prior_does_not_move_with_the_mean_of_a_predictor() -> None:
    rows = _rows()
    centred = rows.assign(year=rows["x"].round() - 1990)
    calendar = rows.assign(year=rows["x"].round())
    formula = "y ~ year + (1 + year | g)"
    one = Model(formula, centred)
    with pytest.warns(hl.errors.DataWarning, match=r"'year' lies between 1967 and 2016.* Exponential\(lam=1\)"):
        other = Model(formula, calendar)
    assert [prior.lam for prior in one.priors.sd["g"]] == pytest.approx([prior.lam for prior in other.priors.sd["g"]])
    assert one.priors.sd["g"][0] == pr.Exponential(1)
    # and what PyMC is given is that prior, not another
    sds = [np.sort(pm.draw(m.to_pymc()["sd_g"], 200, random_seed=1, mode="FAST_COMPILE")[:, 0]) for m in (one, other)]
    np.testing.assert_allclose(sds[0], sds[1])


def test_graph_has_named_dims_and_the_clusters_own_labels() -> None:
    model = hl.Model("y ~ x + (1 + w | h)", _rows())
    graph = model.to_pymc()
    assert list(graph.coords["h"]) == ["p", "q", "r", "s"]
    assert graph.named_vars_to_dims["b_h"] == ("h", "h_effect")
    assert graph.named_vars_to_dims["cor_h"] == ("h_effect", "h_effect_bis")
    assert {variable.name for variable in graph.free_RVs} == {
        "intercept_at_means",
        "slopes_scaled",
        "sd_h",
        "chol_cor_h",
        "u_h",
    }
    drawn = pm.model_to_graphviz(graph).source
    assert "h (4) x h_effect (2)" in drawn
    assert "dim_" not in drawn
