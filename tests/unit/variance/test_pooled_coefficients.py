"""Coefficients of clusters by no, complete and partial pooling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl

MakeFit = Callable[..., hl.results.Fit]


@pytest.fixture(scope="module")
def contraception() -> pd.DataFrame:
    return hl.datasets.load("contraception")


@pytest.fixture(scope="module")
def pooled(contraception: pd.DataFrame) -> hl.results.Pooling:
    return hl.pooling(hl.Model("use ~ urban + (1 + urban | district)", contraception))


def _is_maximum(model: hl.Model, coefficients: npt.ArrayLike) -> None:
    """The score of a model without random effects is zero, more exactly than an engine would make it."""
    design = model.design
    assert not design.groups
    probability = expit(design.offset + design.X @ np.asarray(coefficients))
    score = design.X.T @ (design.outcome.y - design.outcome.trials * probability)
    np.testing.assert_allclose(score, 0, atol=1e-8 * design.n_rows)


def test_no_pooling_is_a_model_of_the_cluster_alone(pooled: hl.results.Pooling, contraception: pd.DataFrame) -> None:
    for district in (1, 4, 14):
        alone = hl.Model("use ~ urban", contraception[contraception["district"] == district])
        part = pooled.coefficients.loc[district]
        _is_maximum(alone, part["unpooled"])
        np.testing.assert_allclose(part["se"], hl.summary(alone.fit("laplace"))["se"], rtol=1e-3)


def test_complete_and_partial_pooling_are_those_of_the_fits(pooled: hl.results.Pooling) -> None:
    table = pooled.coefficients
    assert pooled.complete is not None
    assert pooled.complete.estimate is not None
    assert pooled.partial.estimate is not None
    for k, name in enumerate(["Intercept", "urban[Y]"]):
        part = table.xs(name, level="effect")
        np.testing.assert_allclose(part["complete"], pooled.complete.estimate.beta[k])
        np.testing.assert_allclose(part["fixed"], pooled.partial.estimate.beta[k])
    coefficients = hl.coef(pooled.partial).xs("district", level="group")
    np.testing.assert_allclose(table["partial"], coefficients["estimate"])
    np.testing.assert_allclose(table["eti89_lb"], coefficients["eti89_lb"])


def test_clusters_without_estimates_of_their_own(pooled: hl.results.Pooling, contraception: pd.DataFrame) -> None:
    """With one binary predictor, they exist if there are events and non-events with both of its values.

    In clusters without rows in towns, the intercept exists by itself: the log-odds of the others.
    """
    cells = contraception.groupby(["district", "urban"], observed=True)["use"].agg(lambda use: use.astype(int).mean())
    inside = ((cells > 0) & (cells < 1)).groupby("district").sum() == 2
    known = pooled.coefficients["unpooled"].notna().groupby("level").all()
    np.testing.assert_array_equal(known.to_numpy(), inside.to_numpy())
    intercepts = pooled.coefficients["unpooled"].xs("Intercept", level="effect")
    rural = (contraception["urban"] == "N").groupby(contraception["district"]).all()
    overlap = cells.xs("N", level="urban")[rural[rural].index].loc[lambda share: (share > 0) & (share < 1)]
    assert len(overlap) > 5
    np.testing.assert_allclose(intercepts[overlap.index], np.log(overlap / (1 - overlap)))
    np.testing.assert_array_equal(intercepts.notna(), inside.to_numpy() | intercepts.index.isin(overlap.index))
    assert f"{inside.sum()} clusters have finite ones by themselves, {len(overlap)} some of them" in repr(pooled)


def test_partial_pooling_lies_between_for_intercepts_alone(contraception: pd.DataFrame) -> None:
    table = hl.pooling(hl.Model("use ~ age + (1 | district)", contraception)).coefficients
    known = table[table["unpooled"].notna()]
    way = (known["unpooled"] - known["partial"]) / (known["unpooled"] - known["fixed"])
    assert way.between(0, 1).all()
    assert way.corr(known["se"], method="spearman") > 0.9  # the less a cluster tells, the further it moves


def test_an_effect_of_several_coefficients() -> None:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"x": rng.normal(size=240), "z": rng.normal(size=240), "g": np.repeat(list("abcd"), 60)})
    rows["y"] = rng.binomial(1, 1 / (1 + np.exp(-rows["x"])))
    fit = hl.Model("y ~ x + z + (0 + I(x + z) | g)", rows).fit(hl.Laplace(seed=1))
    table = hl.pooling(fit).coefficients
    assert fit.estimate is not None
    assert list(table.index.unique("effect")) == ["x", "z"]
    own = table["unpooled"].unstack("effect") - fit.estimate.beta[1:]
    np.testing.assert_allclose(own["x"], own["z"], atol=1e-10)  # the effect moves both alike
    intercept, x, z = fit.estimate.beta
    for level, rest in rows.groupby("g"):
        offset = intercept + x * rest["x"] + z * rest["z"]
        alone = hl.Model("y ~ 0 + s + offset(o)", rest.assign(s=rest["x"] + rest["z"], o=offset))
        _is_maximum(alone, [own["x"][level]])


def test_other_factors_stay_as_in_the_fit(make_fit: MakeFit, clustered_rows: Callable[..., pd.DataFrame]) -> None:
    rows = clustered_rows(8, 30)
    fit = make_fit("healed ~ dose + arm + (1 + dose | clinic) + (1 | reader)", rows, draws=20)
    table = hl.pooling(fit, group="clinic").coefficients
    level = fit.model.design.groups[0].levels[2]
    some = rows[rows["clinic"] == level]
    post = fit.posterior.mean(("chain", "draw"))
    labels = list(fit.model.design.fixed_effects)
    arms = sum(
        float(post["beta"][labels.index(label)]) * (some["arm"] == label[4:-1]).astype(float)
        for label in labels
        if label.startswith("arm")
    )
    reader = post["b_reader"].sel(reader=some["reader"].to_numpy()).to_numpy()[:, 0]
    alone = hl.Model("healed ~ dose + offset(o)", some.assign(o=arms + reader))
    _is_maximum(alone, table.loc[level, "unpooled"])
