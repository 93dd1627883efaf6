"""Coverage of the intervals of ranks in simulated studies."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl

STUDIES, CLUSTERS, SIZE, SD = 200, 25, 40, 0.6


def coverage(studies: int, prob: float, first_seed: int = 1) -> tuple[float, float]:
    """Shares of ranks in their intervals, and of studies with all ranks in their simultaneous intervals."""
    single, together = [], []
    index = np.repeat(np.arange(CLUSTERS), SIZE)
    for seed in range(first_seed, first_seed + studies):
        rng = np.random.default_rng(seed)
        effects, x = rng.normal(0, SD, CLUSTERS), rng.normal(size=len(index))
        p = 1 / (1 + np.exp(1 - effects[index] - 0.5 * x))
        rows = pd.DataFrame({"y": (rng.uniform(size=len(index)) < p).astype(int), "x": x, "g": index})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = hl.Model("y ~ x + (1 | g)", rows).fit(hl.Laplace(seed=seed, draws=1000))
            table = hl.league_table(fit, ci_prob=prob).table.loc[np.arange(CLUSTERS)]
        ranks = effects.argsort().argsort() + 1
        low, high = (table[name] for name in table if str(name).startswith("rank_eti"))
        single.append(np.mean((low <= ranks) & (ranks <= high)))
        low, high = (table[name] for name in table if str(name).startswith("rank_simultaneous"))
        together.append(np.all((low <= ranks) & (ranks <= high)))
    return float(np.mean(single)), float(np.mean(together))


@pytest.mark.slow
@pytest.mark.parametrize("prob", [0.8, 0.95])
def test_intervals_of_ranks_hold_the_true_ranks(prob: float) -> None:
    single, together = coverage(STUDIES, prob)
    # Whole ranks are wider than the interval asked for. Monte Carlo errors are 0.01 of the first share, and 0.03 of
    # the second.
    assert prob - 0.02 < single < prob + 0.07
    assert together > prob - 0.05
