"""Scratch of compiled code."""

from __future__ import annotations

import numpy as np

from hierlogit.numba_support.vectors import matrix, vector


def test_scratch_lies_apart() -> None:
    """No two arrays begin within four vector instructions of eight numbers each."""
    for make in (vector, lambda count: matrix(2, count)):
        scratch = [make(5) for _ in range(300)]
        assert np.diff(np.sort([one.ctypes.data for one in scratch])).min() > 4 * 8 * 8
    assert [one.shape for one in (vector(5), matrix(2, 5), matrix(3, 80))] == [(5,), (2, 5), (3, 80)]
    assert not np.any(matrix(3, 4))
