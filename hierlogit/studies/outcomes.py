"""Outcomes simulated at a maximum, with effects of clusters drawn anew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..design import Design
from ..estimate import Estimate

FloatArray = npt.NDArray[np.float64]


def simulated_outcome(design: Design, estimate: Estimate, random: np.random.Generator) -> FloatArray:
    """Successes of each row, shape (n,), of clusters whose effects are drawn from their distribution.

    Parameters
    ----------
    design : Design
    estimate : Estimate
        Its fixed effects and roots.
    random : numpy.random.Generator
    """
    from scipy.special import expit

    eta = design.X @ estimate.beta + design.offset
    for block in design.groups:
        effects = random.standard_normal((len(block.levels), len(block.effects))) @ estimate.roots[block.name].T
        eta += np.einsum("nq,nq->n", block.Z, effects[block.index])
    return random.binomial(design.outcome.trials.astype(np.int64), expit(eta)).astype(np.float64)


def generator(seed: int, number: int) -> np.random.Generator:
    """Random numbers of one replicate: the same whoever runs it, and in whatever order."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
