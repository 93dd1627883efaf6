"""How many quadrature nodes the integrated density needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .arrays import IntegratedArrays, integrated_arrays
from .log_density import evaluate

if TYPE_CHECKING:
    from ..joint.model_arrays import JointArrays

FloatArray = npt.NDArray[np.float64]

#: Numbers of nodes that are tried, each against twice as many.
LADDER = (5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
#: Positions at which the rules are compared.
POSITIONS = 16
#: Sd of the positions of the first factor's sd, whose posterior is wider than the normal approximation to it. The error
#: of the quadrature grows with the sd.
SPREAD = 2.0
#: Largest sd of the differences between log densities. No posterior mean moves by more than about this share of its
#: sd: the covariance of a parameter with the density's relative error is at most the product of their sds.
TOLERANCE = 0.01


def fewest_nodes(joint: JointArrays) -> tuple[IntegratedArrays, IntegratedArrays]:
    """The integrated density with as few nodes as do, and the finer rule by which its error is known.

    Rules are compared where draws are to be expected, at positions that are standard normal but for `SPREAD`. If no
    number of nodes is enough, the largest is taken.

    Parameters
    ----------
    joint : JointArrays
        With one effect for each level of the first factor.

    Returns
    -------
    arrays, finer : IntegratedArrays
    """
    values: dict[int, FloatArray] = {}
    positions = np.random.default_rng(0).standard_normal((POSITIONS, integrated_arrays(joint, 1).n_dim))
    positions[:, len(joint.arrays.gamma0)] *= SPREAD
    for nodes in LADDER:
        for one in (nodes, 2 * nodes):
            if one not in values:
                values[one] = _log_densities(integrated_arrays(joint, one), positions)
        if np.std(values[nodes] - values[2 * nodes]) <= TOLERANCE:
            break
    chosen = integrated_arrays(joint, nodes)
    return chosen, chosen.with_nodes(2 * nodes)


def _log_densities(arrays: IntegratedArrays, positions: FloatArray) -> FloatArray:
    gradient = np.empty(arrays.n_dim)
    return np.array([evaluate(arrays.joint.arrays, arrays.blocks, x, gradient) for x in positions])
