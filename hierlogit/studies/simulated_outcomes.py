"""Outcomes simulated from parameters, with cluster effects drawn anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..binomial import simulated_successes
from ..design.design import Design

FloatArray = npt.NDArray[np.float64]


class Parameters(Protocol):
    """Parameters to simulate from: an `Estimate`, or a `Population`."""

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        ...

    @property
    def cholesky(self) -> Mapping[str, FloatArray]:
        """By grouping factor, the Cholesky factor of the covariance matrix of its effects, shape (q, q)."""
        ...

    @property
    def phi(self) -> float | None:
        """Precision of beta-binomial outcomes; None for binomial ones."""
        ...


def simulated_outcome(design: Design, parameters: Parameters, random: np.random.Generator) -> FloatArray:
    """Simulated successes of each row, shape (n,), with cluster effects drawn from their distribution.

    Parameters
    ----------
    design : Design
    parameters : Parameters
    random : numpy.random.Generator
    """
    from scipy.special import expit

    eta = design.X @ parameters.beta + design.offset
    for group in design.groups:
        effects = random.standard_normal((len(group.levels), len(group.effects))) @ parameters.cholesky[group.name].T
        eta += np.einsum("nq,nq->n", group.Z, effects.take(group.index, axis=0))
    phi = None if parameters.phi is None else np.array(parameters.phi)
    return simulated_successes(expit(eta), design.outcome.trials, random, phi)


def generator(seed: int, *number: int) -> np.random.Generator:
    """Random number generator of one replicate, which does not depend on the worker or on the order of replicates."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=number))
