"""Entries of arrays and loops over ranges in compiled code, compared with Python and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierlogit.numba_support.compile import exact_kernel
from hierlogit.numba_support.vectors import view

FloatArray = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]
WHOLE = st.integers(-12, 12)


@exact_kernel
def to(stop: int, out: FloatArray) -> int:
    count = 0
    for i in range(stop):
        out[count] = i
        count += 1
    return count


@exact_kernel
def between(start: int, stop: int, out: FloatArray) -> int:
    count = 0
    for i in range(start, stop):
        out[count] = i
        count += 1
    return count


@exact_kernel
def down(start: int, stop: int, out: FloatArray) -> int:
    count = 0
    for i in range(start, stop, -1):
        out[count] = i
        count += 1
    return count


@exact_kernel
def by_threes(start: int, stop: int, out: FloatArray) -> int:
    count = 0
    for i in range(start, stop, 3):
        out[count] = i
        count += 1
    return count


@exact_kernel
def down_by_twos(start: int, stop: int, out: FloatArray) -> int:
    count = 0
    for i in range(start, stop, -2):
        out[count] = i
        count += 1
    return count


@exact_kernel
def by(start: int, stop: int, step: int, out: FloatArray) -> int:
    count = 0
    for i in range(start, stop, step):
        out[count] = i
        count += 1
    return count


@exact_kernel
def until(stop: int, enough: int) -> int:
    """A loop that is left and one that goes on early, inside another one."""
    total = 0
    for i in range(stop):
        for j in range(i, stop):
            if j - i > enough:
                break
            if (i + j) % 2:
                continue
            total += i * j + 1
    return total


@exact_kernel
def collatz(start: int, least: int, out: FloatArray) -> int:
    """Variables that are set in some branches only, swapped, and set again in later turns."""
    highest, before, at = least, 0, start
    steps = 0
    while at > 1:
        if at % 2:
            after = 3 * at + 1
            highest = max(highest, after)
        else:
            after = at // 2
        before, at = at, after
        for k in range(3):
            share = float(k) * before
            if k == 2:
                out[0] += share
        steps += 1
    out[1] = float(before)
    return steps * 10_000 + highest


@given(start=st.integers(1, 60), least=WHOLE)
def test_variables_of_loops_and_branches(start: int, least: int) -> None:
    out, expected = np.zeros(2), np.zeros(2)
    assert collatz(start, least, out) == collatz.py_func(start, least, expected)  # type: ignore[attr-defined]
    assert out.tolist() == expected.tolist()


@given(start=WHOLE, stop=WHOLE)
def test_ranges_with_constant_steps(start: int, stop: int) -> None:
    for function, arguments in (
        (to, (stop,)),
        (between, (start, stop)),
        (down, (start, stop, -1)),
        (by_threes, (start, stop, 3)),
        (down_by_twos, (start, stop, -2)),
    ):
        out = np.full(30, np.nan)
        count = function(*arguments[:2], out)
        assert out[:count].tolist() == list(range(*arguments))
        assert np.isnan(out[count:]).all()


@given(start=WHOLE, stop=WHOLE, step=WHOLE.filter(bool))
def test_ranges_with_a_computed_step(start: int, stop: int, step: int) -> None:
    out = np.full(30, np.nan)
    count = by(start, stop, step, out)
    assert out[:count].tolist() == list(range(start, stop, step))


def test_a_step_of_zero_raises() -> None:
    with pytest.raises(ValueError, match="must not be zero"):
        by(0, 3, 0, np.empty(3))


@given(stop=WHOLE, enough=WHOLE)
def test_loops_that_are_left(stop: int, enough: int) -> None:
    assert until(stop, enough) == until.py_func(stop, enough)  # type: ignore[attr-defined]


@exact_kernel
def entry(values: AnyArray, place: int) -> Any:
    return values[place]


@exact_kernel
def set_entry(values: AnyArray, place: int, value: Any) -> int:
    values[place] = value
    return len(values)


@exact_kernel
def ends(values: AnyArray) -> tuple[Any, Any]:
    return values[0], values[-1]


ARRAYS = [
    np.array([0.5, -1.0, 3.25]),
    np.array([5, -7, 2]),
    np.array([5, 7, 2], dtype=np.int32),
    np.array([True, False, True]),
    np.arange(9.0)[::3],
    np.asfortranarray(np.arange(6.0).reshape(3, 2))[:, 1],
]


@pytest.mark.parametrize("values", ARRAYS, ids=lambda values: f"{values.dtype}, {values.strides}")
def test_entries(values: AnyArray) -> None:
    for place in range(-3, 3):
        assert entry(values, place) == values[place]
        changed, expected = values.copy(), values.copy()
        assert set_entry(changed, place, 1) == 3
        expected[place] = 1
        assert (changed == expected).all()
        assert entry(values, np.uint64(abs(place) % 3)) == values[abs(place) % 3]
    assert ends(values) == (values[0], values[-1])


def test_a_row_of_a_matrix_is_an_array() -> None:
    matrix = np.arange(6.0).reshape(2, 3)
    assert entry(matrix, -1).tolist() == [3.0, 4.0, 5.0]
    set_entry(matrix, 0, 7.0)
    assert matrix.tolist() == [[7.0, 7.0, 7.0], [3.0, 4.0, 5.0]]


@exact_kernel
def about_a_view(values: FloatArray, start: int, stop: int) -> tuple[int, int, int, int, float, float]:
    some = view(values, start, stop)
    return len(some), some.size, some.itemsize, some.strides[0], some.sum(), some[-1]


def test_a_view_has_all_that_an_array_has() -> None:
    assert about_a_view(np.arange(6.0), 1, 4) == (3, 3, 8, 8, 6.0, 3.0)


@exact_kernel
def replaced(values: FloatArray, own: bool) -> FloatArray:
    """A view or memory of its own, by the same name: only references to the second are counted."""
    out = view(values, 0, 2)
    for _ in range(3):
        if own:
            out = out * 2.0
    return out.copy()


def test_views_and_arrays_by_one_name() -> None:
    for _ in range(100):
        assert replaced(np.arange(3.0), True).tolist() == [0.0, 8.0]
        assert replaced(np.arange(3.0), False).tolist() == [0.0, 1.0]
