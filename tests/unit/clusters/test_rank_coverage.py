"""Coverage of the intervals of ranks in simulated studies."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.clusters.ranks import ranks_of

STUDIES, CLUSTERS, SIZE, SD = 200, 25, 40, 0.6


def simulated_fit(seed: int) -> tuple[hl.results.Fit, np.ndarray]:
    """A fit to clusters of equal size, and the true ranks of the clusters."""
    rng, index = np.random.default_rng(seed), np.repeat(np.arange(CLUSTERS), SIZE)
    effects, x = rng.normal(0, SD, CLUSTERS), rng.choice([-1.0, 0.0, 1.0], len(index))
    p = 1 / (1 + np.exp(1 - effects[index] - 0.5 * x))
    rows = pd.DataFrame({"y": (rng.uniform(size=len(index)) < p).astype(int), "x": x, "g": index})
    fit = hl.Model("y ~ x + (1 | g)", rows).fit(hl.Laplace(seed=seed, draws=1000))
    return fit, effects.argsort().argsort() + 1


@pytest.mark.slow
def test_intervals_of_ranks_hold_the_true_ranks() -> None:
    """Intervals of whole ranks hold a little more than asked for; the true ranks are inside as often as the draws."""
    probabilities = (0.5, 0.8, 0.95)
    found = np.empty((STUDIES, len(probabilities), 4))
    for study in range(STUDIES):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit, true = simulated_fit(study + 1)
        for k, prob in enumerate(probabilities):
            league = hl.league_table(fit, ci_prob=prob)
            table = league.table.loc[np.arange(CLUSTERS)]
            drawn = ranks_of(league.effects.to_numpy().reshape(-1, CLUSTERS))
            single, together = (
                [table[f"rank_{kind}{100 * prob:g}_{end}"].to_numpy() for end in ("lb", "ub")]
                for kind in ("eti", "simultaneous")
            )
            found[study, k, :2] = [np.mean((single[0] <= r) & (r <= single[1])) for r in (true, drawn)]
            found[study, k, 2] = np.all((together[0] <= true) & (true <= together[1]))
            found[study, k, 3] = np.mean(np.all((together[0] <= drawn) & (drawn <= together[1]), axis=1))
    for share, mass in ((found[..., 0], found[..., 1]), (found[..., 2], found[..., 3])):
        error = (share - mass).std(axis=0) / np.sqrt(STUDIES)
        difference = (share - mass).mean(axis=0)
        # Laplace's method and the maximum-likelihood sd, in place of the posterior, may cost a few hundredths.
        assert np.all(np.abs(difference) < 3 * error + 0.02), (share.mean(axis=0), mass.mean(axis=0))
        assert np.all(mass.mean(axis=0) >= probabilities)
