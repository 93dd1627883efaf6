"""Pairs of clusters and simultaneous intervals of ranks, against all pairs one by one."""

from __future__ import annotations

import numpy as np
import pytest

from hierlogit.clusters import pairs
from hierlogit.clusters.pairs import ordered_pairs, simultaneous_ranks
from hierlogit.clusters.ranks import ranks_of


@pytest.mark.parametrize("clusters", [2, 7, 70])
def test_all_pairs_one_by_one(clusters: int) -> None:
    rng = np.random.default_rng(3)
    effects = rng.normal(0, 1, clusters) + rng.normal(0, 0.7, (300, clusters)) + rng.normal(0, 1, (300, 1))
    every = [(j, k) for j in range(clusters) for k in range(j)]
    certain = [max(np.mean(effects[:, j] > effects[:, k]), np.mean(effects[:, j] < effects[:, k])) for j, k in every]
    assert ordered_pairs(ranks_of(effects), 0.945) == np.sum(np.array(certain) >= 0.945)

    differences = np.column_stack([effects[:, j] - effects[:, k] for j, k in every])
    centre, sd = differences.mean(axis=0), differences.std(axis=0, ddof=1)
    largest = np.sort(np.abs((differences - centre) / sd).max(axis=1))
    critical = largest[int(np.ceil(0.9 * 300)) - 1]
    low, high = np.ones(clusters), np.full(clusters, clusters)
    for (j, k), mean, reach in zip(every, centre, critical * sd, strict=True):
        if mean > reach:  # k is surely below j
            low[j] += 1
            high[k] -= 1
        elif mean < -reach:
            low[k] += 1
            high[j] -= 1
    found = simultaneous_ranks(effects, 0.9)
    np.testing.assert_array_equal(found, [low, high])


def test_tiles_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    effects = np.random.default_rng(4).normal(size=(200, 50)) + np.linspace(0, 6, 50)
    whole = ordered_pairs(ranks_of(effects), 0.9), *simultaneous_ranks(effects, 0.9)
    monkeypatch.setattr(pairs, "TILE", 7)
    np.testing.assert_array_equal(np.concatenate(simultaneous_ranks(effects, 0.9)), np.concatenate(whole[1:]))
    assert ordered_pairs(ranks_of(effects), 0.9) == whole[0]


def test_clusters_that_move_together_and_constant_effects() -> None:
    together = np.random.default_rng(5).normal(size=(400, 1)) + np.array([0.0, 0.1, 0.2])
    low, high = simultaneous_ranks(together, 0.95)  # their differences do not vary at all
    np.testing.assert_array_equal([low, high], [[1, 2, 3], [1, 2, 3]])
    low, high = simultaneous_ranks(np.zeros((50, 4)), 0.95)
    np.testing.assert_array_equal([low, high], [[1] * 4, [4] * 4])
    assert ordered_pairs(ranks_of(np.zeros((50, 4))), 0.945) == 0
