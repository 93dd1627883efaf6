"""Draws of the parameters -> draws of the random effects from their exact distribution given them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.marginal.conditional_draws import draw_nested, draw_several, draw_single
from ...density.marginal.gauss_hermite import grid
from ...density.marginal.work import first_columns, make_work
from ...progress import progress as shown

if TYPE_CHECKING:
    from ...design.arrangement import Arrangement

FloatArray = npt.NDArray[np.float64]

#: Draws of the parameters handled in one call: several threads get equal shares, and an interruption does not wait.
TOGETHER = 25


def conditional_effects(
    arrangement: Arrangement,
    gammas: FloatArray,
    cholesky: FloatArray,
    nodes: int,
    seed: np.random.SeedSequence,
    *,
    cores: int,
    progress: bool,
) -> FloatArray:
    """Standardised effects, in the order of the arrangement, shape (draws, effects).

    Parameters
    ----------
    arrangement : Arrangement
        Of one grouping factor, or of two nested ones with one effect each; or without random effects.
    gammas : ndarray, shape (draws, p)
        Coefficients of the basis of the fixed effects.
    cholesky : ndarray, shape (draws, entries)
        Flat Cholesky factors.
    nodes : int
        Quadrature nodes for the inner effects of nested factors.
    seed : numpy.random.SeedSequence
    cores : int
        Threads.
    progress : bool

    Raises
    ------
    KeyboardInterrupt
        Soon after an interruption.
    """
    r = arrangement.row_index
    count, columns = len(gammas), first_columns(r) + int(r.col_start[-1])
    u, stop = np.zeros((count, columns)), np.zeros(1, dtype=np.uint64)
    if not columns:
        return u
    states = seed.generate_state(count, np.uint64).astype(np.uint64)[:, None]
    points, log_weights = grid(nodes, 1)
    points, log_weights = np.ascontiguousarray(points[0]), log_weights - log_weights.max()
    interrupted = threading.Event()

    def draw(start: int) -> None:
        part = slice(start, min(start + TOGETHER, count))
        if interrupted.is_set():
            return
        if len(r.q) > 1:
            draw_nested(r, gammas[part], cholesky[part], points, log_weights, states[part], u[part], stop)
        elif r.q[0] == 1:
            draw_single(r, gammas[part], cholesky[part], states[part], u[part], stop)
        else:
            draw_several(r, make_work(r), gammas[part], cholesky[part], states[part], u[part], stop)

    starts = range(0, count, TOGETHER)
    with ThreadPoolExecutor(cores) as executor:
        try:
            done = executor.map(draw, starts)
            for _ in shown(done, "Drawing cluster effects", len(starts)) if progress else done:
                pass
        finally:
            interrupted.set()
            stop[0] = 1
    return u
