"""Ranks of clusters by draw, and their simultaneous intervals."""

from __future__ import annotations

import numpy as np
import pytest

from hierlogit.clusters import ranks as module
from hierlogit.clusters.ranks import RankSummaries, ranks_of
from hierlogit.summaries.intervals import Interval


def test_ranks_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    effects = np.random.default_rng(1).normal(size=(50, 9))
    expected = [[1 + np.sum(draw < value) for value in draw] for draw in effects]
    np.testing.assert_array_equal(ranks_of(effects), expected)
    monkeypatch.setattr(module, "CHUNK_SIZE", 30)
    np.testing.assert_array_equal(ranks_of(effects), expected)


def test_equal_effects_are_ranked_at_random() -> None:
    effects = np.zeros((4000, 4))
    effects[:, 3] = 1.0
    ranks = ranks_of(effects)
    assert np.all(ranks[:, 3] == 4)
    # A share of 1/3 has a standard error of 0.0075.
    shares = [[np.mean(ranks[:, j] == k) for k in (1, 2, 3)] for j in range(3)]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
    np.testing.assert_array_equal(np.sort(ranks, axis=1), np.tile([1, 2, 3, 4], (4000, 1)))
    np.testing.assert_array_equal(ranks_of(effects), ranks)


@pytest.mark.parametrize("prob", [0.5, 0.89, 0.99])
def test_simultaneous_intervals_hold_all_ranks_in_the_share_of_draws(
    prob: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    ranks = ranks_of(rng.normal(0, 1, 40) + rng.normal(0, 0.6, (2000, 40)))
    found = RankSummaries.of(ranks, Interval(prob, "eti"), 4)
    inside = ((found.first <= ranks) & (ranks <= found.last)).all(axis=1).mean()
    # Ends are whole ranks, so that several draws are the last to be taken in.
    assert prob <= inside < prob + 0.03
    assert np.all(found.first <= found.low)
    assert np.all(found.last >= found.high)
    monkeypatch.setattr(module, "SUMMARISED", 2000 * 7)
    again = RankSummaries.of(ranks, Interval(prob, "eti"), 4)
    for name in ("expected", "low", "high", "first", "last", "best", "worst"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
