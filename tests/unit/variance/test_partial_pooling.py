"""No, complete and partial pooling."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl


@pytest.fixture(scope="module")
def contraception() -> pd.DataFrame:
    return hl.datasets.load("contraception")


def test_without_predictors_complete_pooling_is_the_share_of_all(contraception: pd.DataFrame) -> None:
    found = hl.pooling(hl.Model("use ~ 1 + (1 | district)", contraception))
    raw = contraception.assign(use=contraception["use"].astype(float)).groupby("district")["use"]
    np.testing.assert_allclose(found.table["raw"], raw.mean())
    np.testing.assert_array_equal(found.table["rows"], raw.size())
    np.testing.assert_array_equal(found.table["events"], raw.sum())
    np.testing.assert_allclose(found.table["complete"], found.overall, rtol=1e-8)
    assert found.overall == pytest.approx(contraception["use"].astype(float).mean())
    assert found.table["shrinkage"].between(0, 1.01).mean() > 0.9
    # The more rows, the less is taken from others.
    large = found.table["trials"] > found.table["trials"].median()
    assert found.table.loc[large, "shrinkage"].median() < found.table.loc[~large, "shrinkage"].median()


def test_partial_pooling_is_what_is_predicted(contraception: pd.DataFrame) -> None:
    fit = hl.Model("use ~ age + urban + (1 + urban | district)", contraception).fit("laplace")
    found = hl.pooling(fit)
    predicted = hl.predictions(fit)["estimate"].to_numpy()
    by_district = pd.Series(predicted).groupby(contraception["district"].to_numpy()).mean()
    np.testing.assert_allclose(found.table["partial"], by_district, rtol=1e-10)
    assert found.partial is fit
    way = found.table["raw"] - found.table["complete"]
    expected = (found.table["raw"] - found.table["partial"]) / way
    known = found.table["shrinkage"].notna()
    np.testing.assert_allclose(found.table.loc[known, "shrinkage"], expected[known])
    np.testing.assert_array_equal(known, way.abs() * found.table["trials"] >= 0.5)


def test_no_pooling_is_a_coefficient_for_every_cluster(contraception: pd.DataFrame) -> None:
    # Clusters whose coefficient would be infinite are left out.
    shares = contraception.groupby("district")["use"].transform("mean")
    some = contraception[(shares > 0) & (shares < 1)]
    plain = hl.Model("use ~ 0 + C(district) + age + urban", some).fit("laplace")
    fitted = pd.Series(hl.predictions(plain)["estimate"].to_numpy()).groupby(some["district"].to_numpy()).mean()
    found = hl.pooling(hl.Model("use ~ age + urban + (1 | district)", some))
    np.testing.assert_allclose(found.table["raw"], fitted.reindex(found.table.index), atol=1e-7)


def test_counts_weigh_by_their_trials() -> None:
    frame = hl.datasets.load("cbpp")
    found = hl.pooling(hl.Model("p(successes, size) ~ period + (1 | herd)", frame))
    totals = frame.groupby("herd")[["successes", "size"]].sum()
    np.testing.assert_allclose(found.table["raw"], totals["successes"] / totals["size"])
    complete = hl.Model("p(successes, size) ~ period", frame).fit("laplace")
    frame["expected"] = frame["size"] * hl.predictions(complete)["estimate"].to_numpy()
    np.testing.assert_allclose(found.table["complete"], frame.groupby("herd")["expected"].sum() / totals["size"])


def test_priors_go_with_a_fit_that_has_them() -> None:
    model = hl.Model(
        "y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"), priors={"beta": hl.priors.Normal(0, 0.01)}
    )
    held, free = hl.pooling(model, "map"), hl.pooling(model)
    assert held.complete is not None
    assert held.complete.diagnostics.engine == "MAP"
    assert abs(held.complete.estimate.beta[1]) < 0.05 < abs(free.complete.estimate.beta[1])  # type: ignore[union-attr]


def test_a_sampled_fit_gives_posterior_means(make_fit, clustered_rows) -> None:
    fit = make_fit("healed ~ dose + (1 | clinic) + (1 | reader)", clustered_rows(8, 12))
    found = hl.pooling(fit, group="reader", ci_prob=0.5)
    expected = hl.predictions(fit, by="reader", ci_prob=0.5)
    np.testing.assert_allclose(found.table["partial"], expected["mean"])
    np.testing.assert_allclose(found.table["eti50_lb"], expected["eti50_lb"])
    assert list(found.table.index) == ["Ann", "Bo", "Cleo", "Dee"]


def test_clusters_of_two_columns_keep_their_rows(make_fit) -> None:
    frame = hl.datasets.load("guimmun")
    fit = make_fit("immun ~ 1 + (1 | comm/mom)", frame)
    found = hl.pooling(fit, group="comm:mom")
    group = next(one for one in fit.model.design.groups if one.name == "comm:mom")
    sizes = np.bincount(group.index)
    np.testing.assert_array_equal(found.table["rows"], sizes)
    np.testing.assert_allclose(found.table["partial"], np.bincount(group.index, hl.predictions(fit)["mean"]) / sizes)
    comm, mom = str(found.table.index[7]).split(":")
    own = frame[(frame["comm"].astype(str) == comm) & (frame["mom"].astype(str) == mom)]
    assert found.table["rows"].iloc[7] == len(own)


def test_nothing_but_clusters() -> None:
    found = hl.pooling(hl.Model("use ~ 0 + (1 | district)", hl.datasets.load("contraception")))
    assert found.complete is None
    np.testing.assert_allclose(found.table["complete"], 0.5)


def test_what_is_shown(contraception: pd.DataFrame) -> None:
    found = hl.pooling(hl.Model("use ~ 1 + (1 | district)", contraception))
    assert "Pooling of 60 clusters of district: use = 1, by Laplace" in repr(found)
    assert "all together  0.392 (759 of 1,934 rows)" in repr(found)
    assert "and 50 more in .table" in repr(found)
    assert "<table" in found._repr_html_()
    assert "<strong>Pooling of 60 clusters" in found._repr_html_()


def test_errors(contraception: pd.DataFrame) -> None:
    model = hl.Model("use ~ age + (1 | district)", contraception)
    with pytest.raises(
        hl.errors.FitError, match="no grouping factor 'village' in the model; the only choice is 'district'"
    ):
        hl.pooling(model, group="village")
    with pytest.raises(hl.errors.FitError, match="no random effects"):
        hl.pooling(hl.Model("use ~ age", contraception))
    with pytest.raises(hl.errors.FitError, match="leave it out"):
        hl.pooling(model.fit("laplace"), "map")


def test_the_number_of_draws_is_checked_before_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = hl.Model("use ~ 1 + (1 | district)", hl.datasets.load("contraception"))
    monkeypatch.setattr(hl.Laplace, "run", lambda *_: pytest.fail("fitted"))
    with pytest.raises(hl.errors.PredictionError, match="num_draws"):
        hl.pooling(model, num_draws=0)
