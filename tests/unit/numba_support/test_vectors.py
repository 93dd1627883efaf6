"""Scratch of compiled code."""

from __future__ import annotations

import numpy as np

from hierlogit.numba_support.vectors import vector


def test_scratch_lies_apart() -> None:
    """No two arrays begin within four vector instructions of eight numbers each."""
    scratch = [vector(5) for _ in range(300)]
    assert np.diff(np.sort([one.ctypes.data for one in scratch])).min() > 4 * 8 * 8
    assert vector(5).shape == (5,)
