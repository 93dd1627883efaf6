"""Pairs of clusters with a known order, against all pairs one by one."""

from __future__ import annotations

import numpy as np
import pytest

from hierlogit.clusters import pairs
from hierlogit.clusters.pairs import ordered_pairs
from hierlogit.clusters.ranks import ranks_of


@pytest.mark.parametrize("clusters", [2, 7, 70])
def test_all_pairs_one_by_one(clusters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    effects = rng.normal(0, 1, clusters) + rng.normal(0, 0.7, (300, clusters)) + rng.normal(0, 1, (300, 1))
    every = [(j, k) for j in range(clusters) for k in range(j)]
    certain = [max(np.mean(effects[:, j] > effects[:, k]), np.mean(effects[:, j] < effects[:, k])) for j, k in every]
    expected = np.sum(np.array(certain) >= 0.945)
    assert ordered_pairs(ranks_of(effects), 0.945) == expected
    monkeypatch.setattr(pairs, "TILE", 5)
    assert ordered_pairs(ranks_of(effects), 0.945) == expected
