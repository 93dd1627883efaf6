"""Validation on new clusters: against refits and scores by hand, and what must hold whatever the data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

import hierlogit as hl
from hierlogit.diagnostics.new_clusters.cluster_measures import MEASURES, measures_of
from hierlogit.diagnostics.new_clusters.meta_analysis import RandomEffects
from hierlogit.engines.maximum.refit import Refitter
from hierlogit.errors import ConvergenceWarning, FitError, PredictionError
from hierlogit.model_comparison.leave_out import sampled_again

FORMULA = "y ~ x + (1 | g)"


def rows(clusters: int = 10, size: int = 20, seed: int = 2, sd: float = 0.7) -> pd.DataFrame:
    """Clusters of different sizes, in two regions, with visits that cross them."""
    random = np.random.default_rng(seed)
    sizes = random.integers(size // 2, 2 * size, clusters)
    g = np.repeat([f"c{k:02}" for k in range(clusters)], sizes)
    x = random.normal(size=len(g)).round(3)
    eta = x - 0.3 + np.repeat(random.normal(0, sd, clusters), sizes)
    visit = random.integers(1, 4, len(g))
    frame = pd.DataFrame({"g": g, "x": x, "visit": visit, "y": (random.uniform(size=len(g)) < expit(eta)).astype(int)})
    return frame.assign(region=np.where(frame["g"] < "c05", "north", "south"))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return rows()


@pytest.fixture(scope="module")
def fit(frame: pd.DataFrame) -> hl.results.Fit:
    return hl.Model(FORMULA, frame).fit(hl.Laplace(seed=1))


@pytest.fixture(scope="module")
def found(fit: hl.results.Fit) -> hl.results.Validation:
    return hl.validate(fit)


def by_hand(frame: pd.DataFrame, out: pd.Series[bool], clusters: str, formula: str = FORMULA) -> Any:
    """Predictions of some rows by a model of the others."""
    again = hl.Model(formula, frame[~out]).fit(hl.Laplace(seed=1))
    return hl.predictions(again, frame[out], clusters=clusters)["estimate"].to_numpy()


# ---- what is left out, and how it is predicted -----------------------------------------------------------------------


@pytest.mark.parametrize("clusters", ["average", "typical"])
def test_clusters_are_predicted_by_models_of_the_others(
    frame: pd.DataFrame, fit: hl.results.Fit, clusters: str
) -> None:
    predicted = hl.validate(fit, clusters=clusters).predictions
    for label in ("c00", "c06"):
        out = frame["g"] == label
        np.testing.assert_allclose(predicted.loc[out, "probability"], by_hand(frame, out, clusters), atol=2e-5)
    assert (predicted["cluster"] == frame["g"]).all()
    assert (predicted["y"] == frame["y"]).all()


def test_folds_of_clusters_are_left_out_together(frame: pd.DataFrame, fit: hl.results.Fit) -> None:
    found = hl.validate(fit, folds=3, seed=4)
    folds = found.table["fold"]
    assert sorted(folds.value_counts()) == [3, 3, 4]
    assert (found.predictions["fold"] == folds.loc[frame["g"]].to_numpy()).all()
    out = frame["g"].isin(folds.index[folds == 2])
    np.testing.assert_allclose(found.predictions.loc[out, "probability"], by_hand(frame, out, "average"), atol=2e-5)
    pd.testing.assert_frame_equal(hl.validate(fit, folds=3, seed=4).table, found.table)
    assert not hl.validate(fit, folds=3, seed=5).table["fold"].equals(folds)


def test_a_coarser_column_that_is_not_in_the_formula(frame: pd.DataFrame, fit: hl.results.Fit) -> None:
    longer = pd.concat([frame["region"].iloc[::-1], pd.Series(["west"], index=[10_000])])
    found = hl.validate(fit, longer)
    assert found.group == "group"
    assert hl.validate(fit, longer.rename("region")).group == "region"
    assert list(found.table.index) == ["north", "south"]
    out = frame["region"] == "south"
    np.testing.assert_allclose(found.predictions.loc[out, "probability"], by_hand(frame, out, "average"), atol=2e-5)
    listed = hl.validate(fit, list(frame["region"]))
    pd.testing.assert_frame_equal(listed.table, found.table)
    with pytest.raises(FitError, match=r"'region' has no value in 1 row"):
        hl.validate(fit, frame["region"].mask(frame.index == 3))
    with pytest.raises(FitError, match="2 values and the model"):
        hl.validate(fit, ["a", "b"])
    with pytest.raises(FitError, match="only one value"):
        hl.validate(fit, ["a"] * len(frame))


def test_known_effects_are_used_where_rows_of_the_clusters_remain(frame: pd.DataFrame, fit: hl.results.Fit) -> None:
    found = hl.validate(fit, frame["visit"], clusters="observed")
    out = frame["visit"] == 2
    np.testing.assert_allclose(found.predictions.loc[out, "probability"], by_hand(frame, out, "observed"), atol=2e-5)
    with pytest.raises(PredictionError, match=r"'g' is 'observed', but no rows of 'c00'.* remain when region"):
        hl.validate(fit, frame["region"], clusters="observed")
    with pytest.raises(PredictionError, match="drawn at random cannot be validated"):
        hl.validate(fit, clusters="new")
    assert hl.validate(fit, clusters={}).clusters == {"g": "average"}


def test_small_clusters_can_stay_in_every_fit(frame: pd.DataFrame, fit: hl.results.Fit) -> None:
    events = frame.groupby("g")["y"].agg(["sum", "count"])
    least = np.minimum(events["sum"], events["count"] - events["sum"])
    found = hl.validate(fit, least_events=8)
    kept = found.table["status"] == "kept"
    assert 0 < kept.sum() < 10
    assert (kept == (least < 8)).all()
    assert found.table.loc[kept, "auc"].isna().all()
    assert found.table.loc[kept, "events"].equals(events.loc[kept, "sum"].rename("events"))
    assert found.predictions["probability"].isna().equals(frame["g"].isin(found.table.index[kept]))
    assert "kept: in every fit" in repr(found)
    # What is compared are the same rows, and clusters that were to be validated.
    p, y = hl.predictions(fit, clusters="average")["estimate"].to_numpy(), frame["y"].to_numpy()
    of_others = ~frame["g"].isin(found.table.index[kept]).to_numpy()
    assert found.performance.loc["brier", "apparent"] == pytest.approx(((y - p)[of_others] ** 2).mean())
    assert list(found.pooled.loc["brier", ["clusters", "not_estimable"]]) == [10 - kept.sum(), 0]
    with pytest.raises(PredictionError, match="none of 10 clusters of g has as many"):
        hl.validate(fit, least_events=1000)
    with pytest.raises(PredictionError, match="there are only 10 clusters to divide"):
        hl.validate(fit, folds=11)


def test_rows_of_another_table(frame: pd.DataFrame, fit: hl.results.Fit) -> None:
    other = rows(6, seed=9).assign(g=lambda t: t["g"].str.replace("c0", "new"))
    other.loc[3, "y"] = np.nan
    with pytest.warns(hl.errors.DataWarning, match="1 of .* has missing values"):
        found = hl.validate(fit, data=other)
    complete = other.dropna()
    expected = hl.predictions(fit, complete, clusters="average")["estimate"]
    np.testing.assert_allclose(found.predictions["probability"], expected)
    assert list(found.predictions.index) == list(complete.index)
    assert list(found.table["rows"]) == list(complete.groupby("g").size())
    assert (found.table["status"] == "converged").all()
    apparent = hl.scores(fit, clusters="average").set_index("score")["estimate"]
    np.testing.assert_allclose(found.performance.loc[["brier", "auc"], "apparent"], apparent[["brier", "auc"]])
    again = hl.validate(fit, "region", data=frame)
    assert list(again.table.index) == ["north", "south"]
    assert "10 of 10 clusters are in the training data" in repr(hl.validate(fit, data=frame))
    with pytest.raises(PredictionError, match="lack the column 'hospital'"):
        hl.validate(fit, "hospital", data=complete)
    with pytest.raises(PredictionError, match="'folds' is for clusters that are left out"):
        hl.validate(fit, data=complete, folds=2)


# ---- measures --------------------------------------------------------------------------------------------------------


def test_measures_by_hand(found: hl.results.Validation) -> None:
    each = found.predictions.groupby("cluster")
    for label, part in each:
        p, y = part["probability"].to_numpy(), part["y"].to_numpy()
        row = found.table.loc[label]
        pairs = p[y == 1][:, None] - p[y == 0][None]
        assert row["auc"] == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
        assert row["oe"] == pytest.approx(y.sum() / p.sum())
        assert row["oe_se"] == pytest.approx(row["oe"] * np.sqrt((p * (1 - p)).sum()) / p.sum())
        errors = (y - p) ** 2
        assert (row["brier"], row["brier_se"]) == pytest.approx((errors.mean(), errors.std(ddof=1) / np.sqrt(len(p))))
        logs = -np.log(np.where(y == 1, p, 1 - p))
        assert row["log_score"] == pytest.approx(logs.mean())
        # Scores of both regressions are zero at the estimates.
        large = expit(logit(p) + row["calibration_intercept"])
        assert large.sum() == pytest.approx(y.sum())
        assert row["calibration_intercept_se"] == pytest.approx((large * (1 - large)).sum() ** -0.5)
    np.testing.assert_allclose(found.performance["apparent"] - found.performance["validated"],
                               found.performance["optimism"])  # fmt: skip
    p, y = (found.predictions[name].to_numpy() for name in ("probability", "y"))
    assert found.performance.loc["brier", "validated"] == pytest.approx(((y - p) ** 2).mean())


def test_pooled_on_the_scale_of_each_measure(found: hl.results.Validation) -> None:
    brier, error = found.table["brier"].to_numpy(), found.table["brier_se"].to_numpy()
    pooled, row = RandomEffects.of(np.log(brier), error / brier), found.pooled.loc["brier"]
    assert row["estimate"] == pytest.approx(np.exp(pooled.mean))
    ends = row[["prediction89_lb", "prediction89_ub"]].to_numpy(dtype=np.float64)
    np.testing.assert_allclose(ends, np.exp(pooled.prediction_interval(0.89)))
    ratio = RandomEffects.of(
        np.log(found.table["oe"].to_numpy()), (found.table["oe_se"] / found.table["oe"]).to_numpy()
    )
    assert found.pooled.loc["oe", "estimate"] == pytest.approx(np.exp(ratio.mean))
    assert found.pooled.loc["oe", "tau"] == pytest.approx(ratio.tau)
    assert found.pooled["scale"].to_dict()["oe"] == "log"


def test_clusters_without_both_outcomes_are_counted() -> None:
    p, y = np.array([0.2, 0.3, 0.6, 0.5, 0.4, 0.8]), np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    index = np.array([0, 0, 1, 1, 2, 2])
    table = measures_of(p, y, np.ones(6), index, 4)
    assert table["rows"].tolist() == [2, 2, 2, 0]
    assert np.isnan(table["auc"]).tolist() == [True, False, True, True]
    assert np.isnan(table["calibration_intercept"]).tolist() == [True, False, True, True]
    assert np.isnan(table["calibration_slope"]).all()  # separated, or the same outcome
    assert table["oe"].tolist()[:3] == pytest.approx([0, 1 / 1.1, 2 / 1.2])
    assert np.isfinite(table["brier"]).tolist() == [True, True, True, False]
    frame = rows(6, 12)
    frame.loc[frame["g"] == "c01", "y"] = 0
    found = hl.validate(hl.Model(FORMULA, frame).fit(hl.Laplace(seed=1)))
    assert list(found.pooled.loc["auc", ["clusters", "not_estimable"]]) == [5, 1]
    # The regression of all rows has the cluster without events too.
    assert list(found.pooled.loc["calibration_intercept", ["clusters", "not_estimable"]]) == [6, 1]
    large = hl.Model(
        "y ~ 1 + offset(eta) + (1 | cluster)", found.predictions.assign(eta=logit(found.predictions["probability"]))
    )
    by_hand = large.fit("laplace").estimate
    assert by_hand is not None
    row = found.pooled.loc["calibration_intercept"]
    assert [row["estimate"], row["tau"]] == pytest.approx([by_hand.beta[0], by_hand.sd("cluster")[0]], abs=1e-5)
    assert (found.pooled["clusters"] + found.pooled["not_pooled"] == 6).all()
    assert "auc in 1" in " ".join(repr(found).split())
    assert len(found.table) == 6


def test_few_clusters_have_no_interval_for_a_new_one() -> None:
    one, two = (
        RandomEffects.of(np.array([0.3]), np.array([0.1])),
        RandomEffects.of(np.array([0.3, 0.5]), np.full(2, 0.1)),
    )
    assert one.mean == 0.3
    assert np.isnan([one.tau, *one.interval(0.9), *one.prediction_interval(0.9)]).all()
    assert np.isfinite(two.interval(0.9)).all()
    assert np.isnan(two.prediction_interval(0.9)).all()


def test_clusters_whose_rows_score_alike_have_no_error() -> None:
    # The mean of 21 squares of this number differs from each by rounding.
    p = np.append(np.full(21, 0.3466595), [0.2, 0.6, 0.3, 0.7])
    y = np.append(np.zeros(21), [0.0, 1.0, 1.0, 0.0])
    index = np.repeat([0, 1, 2], [21, 2, 2])
    table = measures_of(p, y, np.ones(25), index, 3)
    assert table["brier_se"].tolist()[0] == 0
    assert table["log_score_se"].tolist()[0] == 0
    assert (table["brier_se"][1:] > 0).any()


def test_trials_of_rows_count_one_by_one() -> None:
    herds = hl.datasets.load("cbpp")
    fit = hl.Model("p(successes, size) ~ period + (1 | herd)", herds).fit(hl.Laplace(seed=1))
    table = hl.validate(fit).table
    assert table["trials"].tolist() == herds.groupby("herd")["size"].sum().tolist()
    assert table["events"].tolist() == herds.groupby("herd")["successes"].sum().tolist()


def test_what_no_cluster_tells_is_not_pooled(fit: hl.results.Fit, frame: pd.DataFrame) -> None:
    silent = hl.validate(fit, data=frame.assign(y=0))
    assert silent.pooled["estimate"].isna().to_dict() == {name: name not in ("brier", "log_score") for name in MEASURES}
    assert (silent.pooled.loc[["calibration_slope", "auc", "oe"], "not_pooled"] == 10).all()
    assert len(silent.plot()) == 3
    assert len(hl.plots.validation_curves(silent)) == 1
    # Predictions that are the same for all rows of a cluster.
    constant = hl.validate(hl.Model("y ~ 1 + (1 | g)", frame).fit(hl.Laplace(seed=1)))
    assert np.isnan(constant.pooled["estimate"]["calibration_slope"])
    weighted = hl.Model(FORMULA, frame.assign(w=2.0), weights=hl.SamplingWeights("w")).fit("laplace")
    with pytest.raises(FitError, match=r"hl\.validate takes no sampling weights"):
        hl.validate(weighted)


# ---- fits by a sampler, failures, interruptions ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def sampled(frame: pd.DataFrame) -> hl.results.Fit:
    return hl.Model(FORMULA, frame).fit(hl.NUTS(seed=1, progress=False))


def test_weighted_draws_predict_as_sampling_again(frame: pd.DataFrame, sampled: hl.results.Fit) -> None:
    found = hl.validate(sampled, refit=False)
    assert (found.table["pareto_k"] < 0.7).all()
    assert (found.table["status"] == "converged").all()
    whole = hl.predictions(sampled, clusters="average")["mean"]
    change = (found.predictions["probability"] - whole.to_numpy()).abs()
    out = frame["g"] == frame.loc[change.idxmax(), "g"]
    expected = hl.predictions(sampled_again(sampled, out.to_numpy()), frame[out], clusters="average")["mean"]
    np.testing.assert_allclose(found.predictions.loc[out, "probability"], expected, atol=0.008)
    assert np.abs(whole[out] - expected).max() > 0.02


def test_unreliable_weights_are_sampled_again(
    frame: pd.DataFrame, sampled: hl.results.Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierlogit.diagnostics.new_clusters.unseen_clusters.khat_threshold", lambda _: -9.0)
    north = frame["region"]
    unreliable = hl.validate(sampled, north, refit=False)
    assert (unreliable.table["status"] == "check").all()
    assert "weights of draws are unreliable" in repr(unreliable)
    again = hl.validate(sampled, north)
    assert again.table["pareto_k"].isna().all()
    assert (again.table["status"] == "converged").all()
    out = north == "south"
    expected = hl.predictions(sampled_again(sampled, out.to_numpy()), frame[out], clusters="average")["mean"]
    np.testing.assert_allclose(again.predictions.loc[out, "probability"], expected)


def test_clusters_without_which_there_is_no_fit_are_said() -> None:
    frame = rows(6, 12)
    treated = frame["g"] == "c02"  # the only cluster with this level
    frame["arm"] = np.where(treated, "new", "old")
    fit = hl.Model("y ~ x + arm + (1 | g)", frame).fit(hl.Laplace(seed=1))
    found = hl.validate(fit)
    assert found.table.loc["c02", "status"] == "failed"
    assert list(found.failures) == ["c02"]
    assert found.predictions["probability"].isna().equals(treated)
    assert found.pooled.loc["brier", "not_estimable"] == 1
    assert "1 of 6 fits without clusters" in repr(found)
    with pytest.raises(FitError, match=r"no fit without 'c02': .* hl.validate has the scores"):
        hl.scores(fit, group="g")


def interrupt_after(fits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after a number of fits without clusters."""
    without = Refitter.without
    done: list[Any] = []

    def interrupted(self: Refitter, out: Any) -> Any:
        if len(done) == fits:
            raise KeyboardInterrupt
        done.append(out)
        return without(self, out)

    monkeypatch.setattr(Refitter, "without", interrupted)


def test_executors_and_interruptions(
    fit: hl.results.Fit, found: hl.results.Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(2) as executor:
        pd.testing.assert_frame_equal(hl.validate(fit, executor=executor).table, found.table)
    interrupt_after(4, monkeypatch)
    partly = hl.validate(fit)
    done = partly.table["status"] == "converged"
    assert done.sum() == 4
    assert (partly.table.loc[~done, "status"] == "interrupted").all()
    pd.testing.assert_frame_equal(partly.table[done], found.table[done])
    assert "interrupted before" in repr(partly)
    interrupt_after(0, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        hl.validate(fit)


# ---- scores and calibration of all rows ------------------------------------------------------------------------------


def test_scores_of_clusters_left_out(fit: hl.results.Fit, found: hl.results.Validation) -> None:
    table = hl.scores(fit, group="g")
    new = table[table["sample"] == "new clusters"].set_index("score")
    np.testing.assert_allclose(new.loc[["brier", "log_score", "auc"], "estimate"],
                               found.performance.loc[["brier", "log_score", "auc"], "validated"])  # fmt: skip
    errors = (found.predictions["y"] - found.predictions["probability"]) ** 2
    deviations = (errors - errors.mean()).groupby(found.predictions["cluster"]).sum()
    assert new.loc["brier", "sd"] == pytest.approx(np.sqrt(10 / 9 * (deviations**2).sum()) / len(errors))
    training = hl.scores(fit).set_index("score")["estimate"]
    assert (table[table["sample"] == "training"].set_index("score")["estimate"] == training).all()
    folded = hl.scores(fit, group="g", folds=2, seed=3)
    by_folds = hl.validate(fit, folds=2, seed=3).performance.loc["auc", "validated"]
    assert folded.loc[(folded["score"] == "auc") & (folded["sample"] == "new clusters"), "estimate"].item() == by_folds
    with pytest.raises(PredictionError, match="loo=True leaves out rows"):
        hl.scores(fit, group="g", loo=True)
    with pytest.raises(PredictionError, match="name the clusters"):
        hl.scores(fit, folds=2)


def test_calibration_of_clusters_left_out(fit: hl.results.Fit, found: hl.results.Validation) -> None:
    table = hl.calibration(fit, group="g", replicates=20, seed=1)
    np.testing.assert_array_equal(table["fitted"], np.unique(found.predictions["probability"]))
    assert table.attrs["brier"] == pytest.approx(found.performance.loc["brier", "validated"])
    assert table["trials"].sum() == len(found.predictions)
    with pytest.raises(PredictionError, match="name the clusters"):
        hl.calibration(fit, folds=2)


def test_a_fit_that_is_not_at_a_maximum_is_refused() -> None:
    frame = rows(6, 12).assign(z=lambda t: t["y"] + 0.0)
    with pytest.warns(ConvergenceWarning):
        separated = hl.Model("y ~ z + (1 | g)", frame).fit(hl.Laplace(seed=1))
    with pytest.raises(FitError, match="no maximum to start from"):
        hl.validate(separated)


def test_every_measure_is_named_once(found: hl.results.Validation) -> None:
    assert list(found.pooled.index) == list(MEASURES) == list(found.performance.index)


# ---- the interval for a new cluster ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_interval_for_a_new_cluster_contains_its_value() -> None:
    """Shares of new clusters whose values are in the intervals of 100 simulated studies of 30 clusters."""
    random, inside = np.random.default_rng(8), []

    def simulated(clusters: int, size: int) -> pd.DataFrame:
        effects, slopes = random.normal(0, 0.6, clusters), random.normal(1, 0.3, clusters)
        g, x = np.repeat(np.arange(clusters), size), random.normal(size=clusters * size)
        p = expit(effects[g] + slopes[g] * x - 0.5)
        return pd.DataFrame({"g": g, "x": x, "y": (random.uniform(size=len(x)) < p).astype(int)})

    for _ in range(100):
        fit = hl.Model(FORMULA, simulated(30, 100)).fit(hl.Laplace(seed=1))
        found = hl.validate(fit, folds=10, seed=1)
        # New clusters so large that their measures are known.
        true = hl.validate(fit, data=simulated(10, 5000)).table[list(MEASURES)]
        low, high = (found.pooled[f"prediction89_{end}"] for end in ("lb", "ub"))
        inside.append(((true > low) & (true < high)).mean())
    shares = pd.DataFrame(inside).mean()
    assert ((shares > 0.84) & (shares < 0.94)).all(), shares.to_dict()


def test_folds_are_repeated_by_the_seed_that_the_result_keeps(fit: hl.results.Fit) -> None:
    drawn = hl.validate(fit, folds=3)
    again = hl.validate(fit, folds=3, seed=drawn.seed)
    np.testing.assert_array_equal(drawn.table["fold"], again.table["fold"])
    assert f"seed of the folds  {drawn.seed}" in repr(drawn)
    assert hl.validate(fit).seed is None
    assert "seed" not in repr(hl.validate(fit))
    for verb in (hl.scores, hl.calibration):
        table = verb(fit, group="g", folds=3)
        pd.testing.assert_frame_equal(
            pd.DataFrame(table), pd.DataFrame(verb(fit, group="g", folds=3, seed=table.attrs["seed"]))
        )
