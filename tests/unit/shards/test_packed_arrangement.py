"""Arrangements in little memory, restored to the last bit."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.shards.packed_arrangement import PackedArrangement, PackedArray

SOME_NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 3.0, 200.0, 256.0, -1.0, 40000.0, 3e9, 0.1, np.inf, np.nan])


@given(
    array=st.one_of(
        arrays.arrays(np.float64, st.integers(0, 6), elements=SOME_NUMBERS),
        arrays.arrays(np.int64, st.integers(0, 6), elements=st.integers(-(2**40), 2**40) | st.integers(0, 3)),
        st.builds(np.full, st.integers(1, 6), SOME_NUMBERS),
    )
)
def test_arrays_come_back_to_the_last_bit(array: npt.NDArray[Any]) -> None:
    back = PackedArray.of(array).array()
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("array", "size"),
    [
        (np.zeros(1000), 8),
        (np.tile([0.0, 1.0], 500), 1000),
        (np.arange(1000), 2000),
        (np.arange(70000), 280000),
        (np.full(1000, 0.1) + np.arange(1000.0), 8000),
    ],
)
def test_small_whole_numbers_and_one_number_take_little_memory(array: npt.NDArray[Any], size: int) -> None:
    assert PackedArray.of(array).content.nbytes == size


def test_an_arrangement_comes_back() -> None:
    model = hl.Model("p(successes, size) ~ period + offset(0.1 * size) + (1 | herd)", hl.datasets.load("cbpp"))
    arrangement = model.arrangement
    back = PackedArrangement.of(arrangement).unpacked()
    for name, one in arrangement.row_index._asdict().items():
        assert getattr(back.row_index, name).tobytes("A") == one.tobytes("A"), name
    assert back.row_of.tolist() == arrangement.row_of.tolist()
    assert back.factors == arrangement.factors
