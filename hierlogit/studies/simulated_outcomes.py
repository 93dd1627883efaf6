"""Outcomes simulated at a maximum, with effects of clusters drawn anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..binomial import simulated_successes
from ..design.design import Design

FloatArray = npt.NDArray[np.float64]


class Parameters(Protocol):
    """What outcomes are simulated from: an `Estimate`, or what is assumed of a population."""

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        ...

    @property
    def cholesky(self) -> Mapping[str, FloatArray]:
        """By grouping factor, the Cholesky factor of the covariance matrix of its effects, shape (q, q)."""
        ...


def simulated_outcome(design: Design, parameters: Parameters, random: np.random.Generator) -> FloatArray:
    """Successes of each row, shape (n,), of clusters whose effects are drawn from their distribution.

    Parameters
    ----------
    design : Design
    parameters : Parameters
    random : numpy.random.Generator
    """
    from scipy.special import expit

    eta = design.X @ parameters.beta + design.offset
    for block in design.groups:
        effects = random.standard_normal((len(block.levels), len(block.effects))) @ parameters.cholesky[block.name].T
        eta += np.einsum("nq,nq->n", block.Z, effects[block.index])
    return simulated_successes(expit(eta), design.outcome.trials, random)


def generator(seed: int, *number: int) -> np.random.Generator:
    """Random numbers of one replicate: the same whoever runs it, and in whatever order."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=number))
