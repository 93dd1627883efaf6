"""Only what is read is computed."""

from __future__ import annotations

import numpy as np
import pytest

from hierlogit.lazy_draws import lazy_variable


@pytest.mark.parametrize(
    "key", [(1, 2), (slice(None), 3), ([2, 0], slice(1, 6, 2)), (slice(2, None, -1), [0, 0, 4]), (..., -1)], ids=str
)
def test_parts_are_those_of_the_whole(key: tuple[object, ...]) -> None:
    whole = np.arange(18).reshape(3, 6)
    lazy = lazy_variable(("a", "b"), (3, 6), lambda a, b: whole[np.ix_(a, b)], np.int64)
    read = lazy[key].values
    assert read.dtype == np.int64
    np.testing.assert_array_equal(read, whole[key])


def test_nothing_else_is_computed() -> None:
    seen: list[tuple[list[int], list[int]]] = []

    def compute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        seen.append((a.tolist(), b.tolist()))
        return np.zeros((len(a), len(b)))

    lazy = lazy_variable(("a", "b"), (10**6, 10**6), compute)
    assert not seen
    assert lazy[5, 3:5].values.tolist() == [0.0, 0.0]
    assert seen == [([5], [3, 4])]
