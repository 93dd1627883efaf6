"""The arrays of the integrated density: levels of the first factor in blocks of as many rows, and quadrature nodes.

Clusters whose effects are worth integrating out have one row, or two or three. Their levels are sorted by the number of
rows, and a block of levels holds the first row of each level, then the second of each, and so on: every loop runs over
the levels of a block and becomes vector instructions, however few rows a level has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...numba_support.struct_by_address import by_address
from ..joint.arrays import Joint
from ..joint.attenuation import ATTENUATION
from ..joint.model_arrays import JointArrays
from ..joint.scale_variables import log_sd_at_mode
from ..kernels import binomial_residuals as residuals
from ..marginal.gauss_hermite import grid

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Rows times nodes handled together, so that their residuals stay in a fast cache.
BLOCK = 16_384
#: Levels with fewer rows than the others of their block get rows without trials; up to this share of a block's rows.
PADDING = 0.2
#: A block has at least this many levels, whatever the share of rows without trials.
FEWEST_LEVELS = 8


@by_address
class Blocks(NamedTuple):
    """Blocks of levels of the first factor, whose rows stand one row of every level after the other; and the nodes."""

    nodes: FloatArray  # (K,) of a rule for the standard normal distribution
    log_weights: FloatArray  # (K,) log weights, plus half of the squared nodes
    attenuation: FloatArray  # c^2 times the mean square of the column, and log sqrt(1 + c^2 s^2) at the centre
    origin: FloatArray  # (p,) o, with gamma0 = gamma_scale o: see `marginal_scale`
    level_start: IntArray  # (B + 1,)
    row_start: IntArray  # (B + 1,)
    kind: IntArray  # (B,) how many trials the rows of each block have: see `kernels.binomial_residuals`
    most: IntArray  # levels and rows of the largest blocks


@dataclass(frozen=True)
class IntegratedArrays:
    """The arrays of a model's integrated density.

    Attributes
    ----------
    joint : JointArrays
        With the rows and the first factor's levels in the order of the blocks, and rows without trials.
    blocks : Blocks
    """

    joint: JointArrays
    blocks: Blocks

    @property
    def n_dim(self) -> int:
        """Length of the sampler's position: the variables of the first factor's levels are integrated out."""
        return self.joint.n_dim - int(self.joint.arrays.variable_at[1])

    @property
    def nodes(self) -> int:
        """Number of quadrature nodes."""
        return len(self.blocks.nodes)

    def with_nodes(self, nodes: int) -> IntegratedArrays:
        """The same density by another number of nodes."""
        points, log_weights = _rule(nodes)
        return replace(self, blocks=self.blocks._replace(nodes=points, log_weights=log_weights))


def integrated_arrays(joint: JointArrays, nodes: int) -> IntegratedArrays:
    """The arrays of a joint density with its first factor's effects integrated out.

    Parameters
    ----------
    joint : JointArrays
        With one effect for each level of the first factor.
    nodes : int
    """
    arrays = joint.arrays
    n, p, J = len(arrays.y), len(arrays.gamma0), int(arrays.levels[0])
    sizes = np.maximum(np.diff(arrays.row_start), 1)
    order = np.argsort(sizes, kind="stable")
    level_start, heights = _blocks(sizes[order], nodes)
    # For each row of the blocks the row that stands there, n for one without trials.
    source = np.concatenate(
        [
            np.where(rank < sizes[levels], arrays.row_start[levels] + rank, n).ravel()
            for levels, rank in (
                (order[start:stop], np.arange(height)[:, None])
                for start, stop, height in zip(level_start[:-1], level_start[1:], heights, strict=True)
            )
        ]
    ).astype(np.int64)
    row_start = np.concatenate([[0], np.cumsum(np.diff(level_start) * heights)]).astype(np.int64)

    def rows[D: np.generic](values: npt.NDArray[D]) -> npt.NDArray[D]:
        columns = values.reshape(-1, n) if n else values.reshape(0, n)
        padded = np.concatenate([columns, np.zeros((len(columns), 1), dtype=values.dtype)], axis=1)
        return np.ascontiguousarray(padded[:, source]).ravel()

    def levels_of(values: FloatArray, each: int) -> FloatArray:
        of_first = values[: each * J].reshape(each, J)[:, order]
        return np.concatenate([of_first.ravel(), values[each * J :]])

    trials = rows(arrays.trials)
    place = np.empty(J, dtype=np.int64)
    place[order] = np.arange(J)
    permuted: Joint = arrays._replace(
        attenuation=np.zeros_like(arrays.attenuation),  # `marginal_scale` has another form of it
        attenuation0=np.array([0.0, 1.0]),
        y=rows(arrays.y),
        trials=trials,
        offset=rows(arrays.offset),
        X=rows(arrays.X),
        Z=rows(arrays.Z),
        weighted_Z=rows(arrays.weighted_Z) if len(arrays.q) > 1 else arrays.weighted_Z,
        level_of=rows(arrays.level_of),
        information=levels_of(arrays.information, 1),
        score=levels_of(arrays.score, 1),
        cross_information=levels_of(arrays.cross_information, p),
    )
    first = joint.starts.index(0)
    orders = tuple(place[one] if k == first else one for k, one in enumerate(joint.orders))
    points, log_weights = _rule(nodes)
    attenuation = ATTENUATION * float(np.mean(np.square(arrays.Z[:n])))
    at_mode = math.exp(log_sd_at_mode(arrays.centre[:1], arrays.growth[:1]).item())
    blocks = Blocks(
        nodes=points,
        log_weights=log_weights,
        attenuation=np.array([attenuation, 0.5 * math.log1p(attenuation * at_mode**2)]),
        origin=np.linalg.solve(arrays.gamma_scale.reshape(p, p), arrays.gamma0),
        level_start=level_start,
        row_start=row_start,
        kind=np.array(
            [
                _kind(np.asarray(trials[start:stop]), height)
                for start, stop, height in zip(row_start[:-1], row_start[1:], heights, strict=True)
            ],
            dtype=np.int64,
        ),
        most=np.array([np.diff(level_start).max(), np.diff(row_start).max()], dtype=np.int64),
    )
    return IntegratedArrays(JointArrays(permuted, orders, joint.starts, joint.effects_at), blocks)


def _rule(nodes: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and log weights for the standard normal distribution, from those for ``exp(-v^2)``."""
    points, log_weights = grid(nodes, 1)
    return np.ascontiguousarray(points[0]) * math.sqrt(2.0), log_weights - 0.5 * math.log(math.pi)


def _blocks(sizes: IntArray, nodes: int) -> tuple[IntArray, IntArray]:
    """Bounds of the blocks, and rows of their largest levels, from the levels' numbers of rows in increasing order."""
    bounds, heights, J = [0], [], len(sizes)
    rows = np.concatenate([[0], np.cumsum(sizes)])
    while bounds[-1] < J:
        start = bounds[-1]
        stops = np.arange(start + 1, min(J, start + max(BLOCK // nodes, 1)) + 1)  # no block has more levels
        height = sizes[stops - 1]
        needed = height * (stops - start)
        dense = (rows[stops] - rows[start] >= (1 - PADDING) * needed) | (stops - start <= FEWEST_LEVELS)
        good = np.flatnonzero(dense & (needed * nodes <= BLOCK))
        last = int(good[-1]) if len(good) else 0
        bounds.append(int(stops[last]))
        heights.append(int(height[last]))
    return np.array(bounds, dtype=np.int64), np.array(heights, dtype=np.int64)


def _kind(trials: FloatArray, height: int) -> int:
    """How many trials a block's rows have; products of as many as a level has must be numbers."""
    most = float(trials.max(initial=0.0))
    if most * height > residuals.MULTIPLIED_ROWS[residuals.ONE] or most > residuals.MOST_OF_FEW:
        return residuals.MANY
    return residuals.ONE if np.isin(trials, (0.0, 1.0)).all() else residuals.FEW
