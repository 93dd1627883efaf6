"""Fits side by side: criteria of likelihood fits, leave-one-out of samplers' fits, and what may not be compared."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import FitError
from hierlogit.model_comparison.hybrid_bic import cluster_columns

FORMULAS = {"plain": "y ~ week_gt2 + trt", "one": "y ~ week_gt2 + (1 | ID)", "both": "y ~ week_gt2 + trt + (1 | ID)"}


@pytest.fixture(scope="module")
def maxima() -> dict[str, hl.results.Fit]:
    data = hl.datasets.load("bacteria")
    return {name: hl.Model(text, data).fit("laplace") for name, text in FORMULAS.items()}


@pytest.fixture(scope="module")
def half() -> pd.DataFrame:
    """The rows of half of the children."""
    data = hl.datasets.load("bacteria")
    return data[data["ID"].isin(data["ID"].unique()[:25])]


@pytest.fixture(scope="module")
def sampled(half: pd.DataFrame) -> dict[str, hl.results.Fit]:
    engine = hl.NUTS(draws=400, seed=1, progress=False)
    return {name: hl.Model(FORMULAS[name], half).fit(engine) for name in ("one", "both")}


def test_criteria_are_those_of_their_definitions(maxima: dict[str, hl.results.Fit]) -> None:
    table = hl.compare(maxima)
    assert list(table.index) == list(table["aic"].sort_values().index)
    for name, fit in maxima.items():
        estimate, row = fit.estimate, table.loc[name]
        assert estimate is not None
        d = len(fit.model.design.fixed_effects) + len(fit.model.design.groups)
        assert row["parameters"] == d
        assert row["aic"] == pytest.approx(2 * d - 2 * estimate.log_likelihood)
        assert row["bic"] == pytest.approx(np.log(220) * d - 2 * estimate.log_likelihood)
    assert table["difference"].iloc[0] == 0
    expected = np.exp(-0.5 * (table["aic"] - table["aic"].min()))
    np.testing.assert_allclose(table["weight"], expected / expected.sum())
    by_bic = hl.compare(maxima, criterion="bic")
    assert list(by_bic.index) == list(by_bic["bic"].sort_values().index)
    assert by_bic.attrs == {"criterion": "bic", "rows": 220, "clusters": {"ID": 50}}


def test_weights_are_shown_where_there_is_little_room(maxima: dict[str, hl.results.Fit]) -> None:
    named = {f"a model with a name: {name}": fit for name, fit in maxima.items()}
    for criterion in ("aic", "bic_hybrid"):
        head = repr(hl.compare(named, criterion=criterion)).splitlines()[1].split()
        assert {criterion, "parameters", "difference", "weight"} <= {*head}


def test_bic_by_clusters_and_hybrid_count_units_of_each_parameter() -> None:
    random = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 15), "x": random.normal(size=300), "z": random.normal(size=300)})
    data["w"], data["y"] = random.normal(size=20)[data["g"]], (random.uniform(size=300) < 0.5).astype(int)
    data["h"] = data["g"] // 4
    fixed = {"plain": "y ~ x + z + w + x:w", "intercept": "y ~ x + z + w + x:w + (1 | g)"}
    fits = {name: hl.Model(text, data).fit("laplace") for name, text in fixed.items()}
    fits["slope"] = hl.Model("y ~ x + z + w + x:w + (1 + x | g)", data).fit("laplace")
    rows, J = np.log(300), np.log(20)
    penalties = hl.compare(fits)["bic_hybrid"] + 2 * hl.compare(fits)["log_likelihood"]
    # Of the intercept, x, z, w and x:w, all but z are of the clusters where the slope of x may vary.
    for name, spread in (("plain", 0), ("intercept", 1), ("slope", 3)):
        assert penalties[name] == pytest.approx(rows + 4 * J + spread * J)
    # Where only intercepts may vary, the coefficients of x and x:w are of the rows.
    two = hl.compare({name: fits[name] for name in fixed}, criterion="bic_hybrid")
    penalties = two["bic_hybrid"] + 2 * two["log_likelihood"]
    assert penalties["plain"] == pytest.approx(3 * rows + 2 * J)
    assert penalties["intercept"] == pytest.approx(3 * rows + 3 * J)
    by_clusters = two["bic_clusters"] + 2 * two["log_likelihood"]
    np.testing.assert_allclose(by_clusters, J * two["parameters"])
    # Of nested factors, the one with the fewest clusters counts for what is constant within its clusters.
    fits["nested"] = hl.Model("y ~ x + z + w + x:w + (1 | h/g)", data).fit("laplace")
    nested = hl.compare({"intercept": fits["intercept"], "nested": fits["nested"]})
    assert nested.attrs["clusters"] == {"g": 20, "h": 5, "h:g": 20}
    penalty = (nested["bic_hybrid"] + 2 * nested["log_likelihood"])["nested"]
    assert penalty == pytest.approx(3 * rows + np.log(5) + J + np.log(5) + J)


def test_columns_far_from_zero_are_told_apart() -> None:
    random = np.random.default_rng(2)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 15), "year": 2000 + random.integers(0, 9, 300)})
    data["w"], data["y"] = 1e4 + random.normal(size=20)[data["g"]], (random.uniform(size=300) < 0.5).astype(int)
    design = hl.Model("y ~ year + w + I(year**2) + (1 | g)", data).design
    assert list(cluster_columns(design, design.groups[0])) == [True, False, True, False]
    design = hl.Model("y ~ year + w + I(year**2) + (0 + year | g)", data).design
    assert list(cluster_columns(design, design.groups[0])) == [False, True, False, False]


def test_criteria_of_clusters_need_clusters(maxima: dict[str, hl.results.Fit]) -> None:
    fits = {"one": maxima["plain"], "two": hl.Model("y ~ trt", hl.datasets.load("bacteria")).fit("laplace")}
    assert "bic_clusters" not in hl.compare(fits)
    with pytest.raises(FitError, match="criterion='bic_hybrid' counts clusters, which none of the models has"):
        hl.compare(fits, criterion="bic_hybrid")
    with pytest.raises(FitError, match="choose one of 'aic', 'bic', 'bic_clusters', 'bic_hybrid'"):
        hl.compare(fits, criterion="icl")


def test_icl_counts_how_well_effects_are_known(maxima: dict[str, hl.results.Fit]) -> None:
    """By hand, from the curvature of each cluster at its mode."""
    fit = maxima["one"]
    assert fit.estimate is not None
    design, estimate = fit.model.design, fit.estimate
    sd, index = estimate.sd("ID")[0], design.groups[0].index
    b = estimate.modes["ID"][:, 0]
    p = 1 / (1 + np.exp(-(design.X @ estimate.beta + b[index])))
    curvature = 1 + sd**2 * np.bincount(index, p * (1 - p))
    assert hl.icl(fit) == pytest.approx(estimate.bic - np.log(curvature).sum() + 50 * np.log(2 * np.pi), abs=1e-4)
    # The log-likelihood of outcomes and effects together, whose density is that of standard normal numbers.
    y, u = design.outcome.y, b / sd
    together = np.log(np.where(y == 1, p, 1 - p)).sum() - 0.5 * (u**2).sum() - 25 * np.log(2 * np.pi)
    assert hl.icl(fit) == pytest.approx(-2 * together + estimate.n_parameters * np.log(220), abs=1e-3)
    # Nothing is integrated where there are no random effects.
    plain = maxima["plain"].estimate
    assert plain is not None
    assert hl.icl(maxima["plain"]) == pytest.approx(plain.bic)


def test_models_without_fixed_effects_are_compared() -> None:
    data = hl.datasets.load("bacteria")
    fits = {text: hl.Model(text, data).fit("laplace") for text in ("y ~ week", "y ~ 0 + (1 | ID)")}
    table = hl.compare(fits)
    penalty = table["bic_hybrid"] + 2 * table["log_likelihood"]
    assert penalty["y ~ 0 + (1 | ID)"] == pytest.approx(np.log(50))


def test_samplers_fits_are_compared_by_leave_one_out(sampled: dict[str, hl.results.Fit]) -> None:
    table = hl.compare(sampled)
    expected = arviz_stats.compare({name: hl.loo(fit) for name, fit in sampled.items()}, round_to="none")
    pd.testing.assert_frame_equal(table, expected)
    by_cluster = hl.compare(sampled, group="ID")
    assert by_cluster["weight"].sum() == pytest.approx(1)
    for name, fit in sampled.items():
        assert by_cluster.loc[name, "elpd"] == pytest.approx(hl.loo(fit, "ID").elpd)
    assert not np.isclose(by_cluster.loc["one", "elpd"], table.loc["one", "elpd"])


def test_what_cannot_be_compared_is_said(
    maxima: dict[str, hl.results.Fit], sampled: dict[str, hl.results.Fit], half: pd.DataFrame
) -> None:
    with pytest.raises(FitError, match="two or more fits by name"):
        hl.compare({"one": maxima["one"]})
    with pytest.raises(FitError, match=r"by a sampler \('one'\) and others by likelihood engines"):
        hl.compare({"one": sampled["one"], "both": hl.Model(FORMULAS["both"], half).fit("laplace")})
    with pytest.raises(FitError, match="group= is for fits by NUTS"):
        hl.compare(maxima, group="ID")
    with pytest.raises(FitError, match="criterion='aic' is for fits by likelihood engines"):
        hl.compare(sampled, criterion="aic")
    rest = hl.Model(FORMULAS["both"], hl.datasets.load("bacteria").iloc[:-2]).fit("laplace")
    with pytest.raises(FitError, match="fitted to 218 rows and 'one' to 220"):
        hl.compare({"one": maxima["one"], "rest": rest})
    finer = hl.Model(FORMULAS["both"], hl.datasets.load("bacteria")).fit(hl.AGQ(nodes=11))
    with pytest.raises(FitError, match="integrate out their random effects differently"):
        hl.compare({"one": maxima["one"], "finer": finer})
    # Without random effects there is nothing to integrate.
    assert len(hl.compare({"plain": maxima["plain"], "finer": finer})) == 2


def test_quadrature_with_one_node_is_laplaces_method(maxima: dict[str, hl.results.Fit]) -> None:
    one_node = hl.Model(FORMULAS["both"], hl.datasets.load("bacteria")).fit(hl.AGQ(nodes=1))
    assert "(Laplace)" in repr(one_node)
    table = hl.compare({"one": maxima["one"], "both": one_node})
    assert table.loc["both", "log_likelihood"] == hl.compare(maxima).loc["both", "log_likelihood"]
    test = hl.likelihood_ratio(maxima["one"], one_node)
    assert test.p_value == hl.likelihood_ratio(maxima["one"], maxima["both"]).p_value
    assert hl.icl(one_node) == hl.icl(maxima["both"])


def test_counted_rows_and_repeated_rows_in_another_order_are_refused_with_what_to_do() -> None:
    cells = pd.DataFrame({"g": np.repeat(np.arange(10), 4), "x": [0, 0, 1, 1] * 10, "y": [0, 1] * 20})
    cells["n"] = 1 + np.random.default_rng(1).integers(0, 4, 40)
    counted = hl.Model("y ~ x + (1 | g)", cells, weights=hl.FrequencyWeights("n")).fit("laplace")
    repeated = cells.loc[cells.index.repeat(cells["n"])].reset_index(drop=True)
    in_place = hl.Model("y ~ 1 + (1 | g)", repeated).fit("laplace")
    assert len(hl.compare({"counted": counted, "repeated": in_place})) == 2
    turned = hl.Model("y ~ x + (1 | g)", repeated.iloc[::-1].reset_index(drop=True)).fit("laplace")
    message = r"'repeated' and 'counted' are .* same table, with weights=hl\.FrequencyWeights\(rows='n'\) in both"
    with pytest.raises(FitError, match=message):
        hl.compare({"counted": counted, "repeated": turned})
