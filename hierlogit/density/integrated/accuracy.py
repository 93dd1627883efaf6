"""How many quadrature nodes the integrated density needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from .arrays import IntegratedArrays, integrated_arrays
from .log_density import evaluate

if TYPE_CHECKING:
    from ..joint.model_arrays import JointArrays

FloatArray = npt.NDArray[np.float64]

#: Numbers of nodes that are tried, each against twice as many.
LADDER = (5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
#: Positions of the first factor's sd, on which the error of the quadrature depends most: it grows with the sd. Standard
#: normal draws are hardly beyond 3, but where data tell little of the sd, its posterior is wider than that.
OF_SD = np.arange(-6.0, 7.0)
#: Nodes by which the posterior density at these positions is computed, which need not be accurate.
ROUGH = 32
#: Positions of everything else at each of them.
DRAWS = 4
#: Largest sd of the differences between log densities. No posterior mean moves by more than about this share of its
#: sd: the covariance of a parameter with the density's relative error is at most the product of their sds.
TOLERANCE = 0.02


def fewest_nodes(joint: JointArrays) -> tuple[IntegratedArrays, IntegratedArrays]:
    """The integrated density with as few nodes as do, and the finer rule by which its error is known.

    Rules are compared where draws are to be expected: at positions `OF_SD` of the first factor's sd, weighted by their
    posterior density, and at standard normal ones of everything else. If no number of nodes is enough, the largest is
    taken.

    Parameters
    ----------
    joint : JointArrays
        With one effect for each level of the first factor.

    Returns
    -------
    arrays, finer : IntegratedArrays
    """
    rough, sd = integrated_arrays(joint, ROUGH), len(joint.arrays.gamma0)
    along = np.zeros((len(OF_SD), rough.n_dim))
    positions = np.random.default_rng(0).standard_normal((DRAWS * len(OF_SD), rough.n_dim))
    along[:, sd], positions[:, sd] = OF_SD, np.tile(OF_SD, DRAWS)
    weights = np.tile(softmax(_log_densities(rough, along)), DRAWS) / DRAWS
    values: dict[int, FloatArray] = {}
    for nodes in LADDER:
        for one in (nodes, 2 * nodes):
            if one not in values:
                values[one] = _log_densities(rough.with_nodes(one), positions)
        difference = values[nodes] - values[2 * nodes]
        if math.sqrt(weights @ (difference - weights @ difference) ** 2) <= TOLERANCE:
            break
    chosen = integrated_arrays(joint, nodes)
    return chosen, chosen.with_nodes(2 * nodes)


def _log_densities(arrays: IntegratedArrays, positions: FloatArray) -> FloatArray:
    gradient = np.empty(arrays.n_dim)
    return np.array([evaluate(arrays.joint.arrays, arrays.blocks, x, gradient) for x in positions])
