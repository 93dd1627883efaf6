"""Frequency weights as repeated rows, scaled sampling weights, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import DataWarning, DesignError


def counted() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": [0, 1, 0, 1, 1, 0],
            "x": [0.5, 1.0, 1.5, 0.0, 2.0, 1.0],
            "g": ["a", "a", "b", "b", "b", "c"],
            "n": [3, 2, 1, 4, 2, 0],
        },
        index=list("uvwxyz"),
    )


def nested() -> pd.DataFrame:
    """Three schools of two classes of two pupils each, with weights at every level."""
    school = np.repeat(["s1", "s2", "s3"], 4)
    classes = np.repeat(["c1", "c2", "c3", "c4", "c5", "c6"], 2)
    return pd.DataFrame(
        {
            "y": [0, 1] * 6,
            "school": school,
            "classroom": classes,
            "w": [1.0, 3.0, 2.0, 2.0, 1.0, 1.0, 5.0, 1.0, 4.0, 2.0, 1.0, 9.0],
            "wc": np.repeat([1.0, 3.0, 2.0, 2.0, 4.0, 1.0], 2),
            "ws": np.repeat([10.0, 20.0, 30.0], 4),
        }
    )


def test_rows_are_repeated_and_rows_counted_zero_times_are_left_out() -> None:
    model = hl.Model("y ~ x + (1 | g)", counted(), weights=hl.FrequencyWeights("n"))
    assert model.design.n_rows == 12
    np.testing.assert_array_equal(model.design.outcome.y, np.repeat([0, 1, 0, 1, 1], [3, 2, 1, 4, 2]))
    assert list(model.design.groups[0].levels) == ["a", "b"]
    assert model.design.table.unused_levels == {"g": ("c",)}
    assert model.design.table.counted == "12 (5 rows of the table, counted by 'n'; 1 more dropped, with weight zero)"
    assert "n" not in model.design.table.frame
    assert model.weights == hl.FrequencyWeights("n")


def test_counts_that_the_formula_uses_stay_a_column() -> None:
    model = hl.Model("y ~ n + (1 | g)", counted(), weights=hl.FrequencyWeights("n"))
    np.testing.assert_array_equal(model.design.table.frame["n"], np.repeat([3, 2, 1, 4, 2], [3, 2, 1, 4, 2]))


def test_rows_keep_their_labels_if_none_is_repeated() -> None:
    once = counted().assign(n=[1, 1, 1, 1, 0, 0])
    model = hl.Model("y ~ x + (1 | g)", once, weights=hl.FrequencyWeights("n"))
    assert list(model.design.table.rows) == list("uvwx")


def test_weights_survive_pickling_and_show_what_was_written() -> None:
    model = hl.Model("y ~ x + (1 | g)", counted(), weights=hl.FrequencyWeights("n"))
    again = pickle.loads(pickle.dumps(model))
    assert again.weights == model.weights
    assert again.design.table.counted == model.design.table.counted
    weights = hl.SamplingWeights("w", clusters={"school": "ws"}, scaling="effective")
    assert pickle.loads(pickle.dumps(weights)) == weights
    assert repr(weights) == "SamplingWeights(rows='w', clusters={'school': 'ws'}, scaling='effective')"
    assert repr(hl.SamplingWeights("w")) == "SamplingWeights(rows='w')"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("n", r"does not say what the weights mean: hl.FrequencyWeights\('n'\) if each row stands for"),
        ([1, 2, 3, 4, 5, 6], r"got list. Put the weights into a column 'w'"),
        (hl.FrequencyWeights("m"), "lacks the column 'm'"),
        (hl.FrequencyWeights("half"), r"has 5 other values, such as 1.5. If they are weights of a sample"),
        (hl.FrequencyWeights("less"), "1 weight in 'less' is negative, such as -1"),
        (hl.FrequencyWeights("g"), "the weights in 'g' must be numbers; the column holds text"),
        (hl.FrequencyWeights("none"), "all frequency weights in 'none' are zero"),
        (hl.SamplingWeights("none"), "all weights in 'none' are zero"),
        (hl.SamplingWeights("less"), "1 weight in 'less' is negative"),
        (hl.SamplingWeights(clusters={"h": "n"}), "there is no grouping factor 'h'"),
        (hl.SamplingWeights(clusters={"g": "half"}), r"differ between rows of the same cluster in 2 clusters of 'g'"),
    ],
)
def test_other_weights_are_refused(weights: Any, message: str) -> None:
    rows = counted().assign(half=[1.5, 0.5, 1.5, 2.5, 3.5, 1], less=[1, 1, 1, 1, 1, -1], none=[0, 0, 0, 0, 0, 0])
    with pytest.raises(DesignError, match=message):
        hl.Model("y ~ x + (1 | g)", rows, weights=weights)


def test_nothing_to_weight() -> None:
    with pytest.raises(DesignError, match="name a column with weights of rows"):
        hl.SamplingWeights()


def test_size_scaling_adds_up_to_the_number_of_rows_and_of_clusters() -> None:
    weights = hl.SamplingWeights("w", clusters={"school": "ws", "school:classroom": "wc"})
    sampling = hl.Model("y ~ 1 + (1 | school/classroom)", nested(), weights=weights).design.sampling
    assert sampling is not None
    np.testing.assert_allclose(sampling.rows[:4], [0.5, 1.5, 1, 1])
    np.testing.assert_allclose(sampling.clusters["school:classroom"], [0.5, 1.5, 1, 1, 1.6, 0.4])
    np.testing.assert_allclose(sampling.clusters["school"], [0.5, 1, 1.5])
    np.testing.assert_allclose(sampling.population[:4], [10, 30, 60, 60])
    assert sampling.top == "school"
    assert sampling.inner == ("school:classroom",)


def test_effective_scaling_adds_up_to_the_effective_number() -> None:
    weights = hl.SamplingWeights("w", scaling="effective")
    sampling = hl.Model("y ~ 1 + (1 | classroom)", nested(), weights=weights).design.sampling
    assert sampling is not None
    w = nested()["w"].to_numpy().reshape(6, 2)
    np.testing.assert_allclose(sampling.rows.reshape(6, 2).sum(axis=1), w.sum(axis=1) ** 2 / (w**2).sum(axis=1))
    assert sampling.inner == ()


def test_a_factor_common_to_the_weights_of_a_cluster_does_not_matter() -> None:
    rows = nested().assign(whole=lambda frame: frame["w"] * frame["ws"])
    one, two = (
        hl.Model("y ~ 1 + (1 | school)", rows, weights=hl.SamplingWeights(name, clusters={"school": "ws"}))
        for name in ("w", "whole")
    )
    assert one.design.sampling is not None
    assert two.design.sampling is not None
    np.testing.assert_allclose(one.design.sampling.rows, two.design.sampling.rows)


def test_trials_count_as_rows_of_the_same_weight() -> None:
    grouped = pd.DataFrame({"k": [1, 2, 1, 1], "m": [3, 2, 2, 4], "g": [0, 0, 1, 1], "w": [1.0, 4.0, 2.0, 3.0]})
    single = grouped.loc[grouped.index.repeat(grouped["m"])].reset_index(drop=True)
    single["y"] = np.concatenate([[1, 0, 0], [1, 1], [1, 0], [1, 0, 0, 0]])
    for scaling in ("size", "effective"):
        weights = hl.SamplingWeights("w", scaling=scaling)
        counts = hl.Model("p(k, m) ~ 1 + (1 | g)", grouped, weights=weights).design.sampling
        rows = hl.Model("y ~ 1 + (1 | g)", single, weights=weights).design.sampling
        assert counts is not None
        assert rows is not None
        np.testing.assert_allclose(np.repeat(counts.rows, grouped["m"]), rows.rows)


def test_crossed_factors_are_refused() -> None:
    rows = nested().assign(item=np.tile(["i1", "i2"], 6))
    with pytest.raises(DesignError, match="'classroom' and 'item' are crossed|'item' and 'classroom' are crossed"):
        hl.Model("y ~ 1 + (1 | classroom) + (1 | item)", rows, weights=hl.SamplingWeights("w"))


def test_missing_counts_are_not_to_be_imputed() -> None:
    frame = pd.DataFrame({"y": [0, 1] * 10, "x": np.arange(20.0), "n": [np.nan] * 5 + [2.0] * 15})
    with pytest.warns(DataWarning, match=r"missing values in n \(5\) and were dropped") as caught:
        hl.Model("y ~ x", frame, weights=hl.FrequencyWeights("n"))
    assert not any("hl.fit_imputed" in str(one.message) for one in caught)
    with pytest.warns(DataWarning, match=r"missing values in x \(5\) and were dropped.* hl\.fit_imputed"):
        hl.Model("y ~ x", frame.assign(x=frame["x"].mask(frame["n"].isna()), n=2), weights=hl.FrequencyWeights("n"))


@pytest.mark.parametrize("extreme", [1e200, 1e-300, 5e-324, 1.7e308])
def test_weights_whose_products_cannot_be_computed_are_refused(extreme: float) -> None:
    frame = counted().assign(w=[1.0, 2.0, extreme, 1.0, 2.0, 1.0])
    for weights in (hl.SamplingWeights("w", scaling="effective"), hl.SamplingWeights("w", {"g": "w"})):
        with pytest.raises(DesignError, match=r"1 weight in 'w' is neither zero nor between 1e-100 and 1e\+100"):
            hl.Model("y ~ x + (1 | g)", frame, weights=weights)


def test_counts_beyond_all_numbers_of_rows_are_refused_and_nearly_whole_ones_rounded() -> None:
    for huge in (2**63 - 1, 2**62, 2**53, 1e30):
        frame = counted().assign(n=[huge, huge, huge, huge, 1, 1])
        with pytest.raises(DesignError, match=r"the frequency weights in 'n' add up to .* rows, which are too many"):
            hl.Model("y ~ x", frame, weights=hl.FrequencyWeights("n"))
    frame = counted()
    rounded = hl.Model("y ~ x", frame.assign(n=frame["n"] + 1e-9), weights=hl.FrequencyWeights("n"))
    assert rounded.design.n_rows == frame["n"].sum()
