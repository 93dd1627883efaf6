"""The canonical Cholesky factor of a covariance matrix: the same matrix, one form for all its factors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierlogit.engines.maximum.optimizer import canonical_cholesky

#: Either exactly zero or of a size that does not vanish beside the others.
numbers = st.sampled_from([0.0, 0.0, 1.0, -2.0]) | st.floats(0.05, 5) | st.floats(-5, -0.05)


@st.composite
def cholesky(draw: st.DrawFn, singular: bool = False) -> np.ndarray:
    q = draw(st.integers(1, 4))
    L = np.zeros((q, q))
    for a in range(q):
        for b in range(a + 1):
            L[a, b] = draw(numbers)
    if singular:
        k = draw(st.integers(0, q - 1))
        L[k, k] = 0.0
    return L


def check(L: np.ndarray, found: np.ndarray) -> None:
    sigma = L @ L.T
    np.testing.assert_allclose(found @ found.T, sigma, rtol=1e-10, atol=1e-10 * max(1.0, sigma.max()))
    np.testing.assert_array_equal(found, np.tril(found))
    assert np.all(np.diag(found) >= 0)
    for j in np.flatnonzero(np.diag(found) == 0):
        np.testing.assert_array_equal(found[j:, j], 0.0)


@given(cholesky())
def test_the_matrix_is_kept(L: np.ndarray) -> None:
    check(L, canonical_cholesky(L))


@given(cholesky(singular=True))
def test_singular_matrices_are_kept(L: np.ndarray) -> None:
    found = canonical_cholesky(L)
    check(L, found)
    # As many pivots as the matrix has dimensions, where those are told apart from rounding.
    sizes = np.linalg.svd(L, compute_uv=False) / max(np.abs(L).max(), 1e-300)
    if not np.any((sizes > 1e-12) & (sizes < 1e-3)):
        assert np.count_nonzero(np.diag(found)) == np.count_nonzero(sizes >= 1e-3)


@given(cholesky(), st.lists(st.sampled_from([-1.0, 1.0]), min_size=4, max_size=4))
def test_signs_of_columns_do_not_matter(L: np.ndarray, signs: list[float]) -> None:
    one, other = canonical_cholesky(L), canonical_cholesky(L * np.array(signs[: len(L)]))
    np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)


@given(cholesky())
def test_a_canonical_root_stays_as_it_is(L: np.ndarray) -> None:
    once = canonical_cholesky(L)
    np.testing.assert_allclose(canonical_cholesky(once), once, rtol=1e-7, atol=1e-7)


@given(cholesky())
def test_the_argument_is_not_changed(L: np.ndarray) -> None:
    copy = L.copy()
    canonical_cholesky(L)
    np.testing.assert_array_equal(L, copy)


@pytest.mark.parametrize(
    ("L", "expected"),
    [
        ([[2.0]], [[2.0]]),
        ([[-2.0]], [[2.0]]),
        ([[0.0]], [[0.0]]),
        ([[-1.0, 0.0], [2.0, -3.0]], [[1.0, 0.0], [-2.0, 3.0]]),
        ([[1.0, 0.0], [2.0, -3.0]], [[1.0, 0.0], [2.0, 3.0]]),
        ([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 5.0]]),
        ([[0.0, 0.0], [-3.0, 0.0]], [[0.0, 0.0], [0.0, 3.0]]),
        ([[-3.0, 0.0], [1.0, 0.0]], [[3.0, 0.0], [-1.0, 0.0]]),
        ([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
        # The second is a multiple of the first, the third has a direction of its own.
        (
            [[2.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [1.0, 3.0, 4.0]],
            [[2.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [1.0, 0.0, 5.0]],
        ),
        # The first does not spread; the other two are as they were, one place further.
        (
            [[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [5.0, 10.0, 0.0]],
            [[0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 11.0, 2.0]],
        ),
        # All three are multiples of one.
        (
            [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [-4.0, 0.0, 0.0]],
            [[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, -4.0, 0.0]],
        ),
    ],
)
def test_examples(L: list[list[float]], expected: list[list[float]]) -> None:
    found = canonical_cholesky(np.array(L))
    check(np.array(L), found)
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("size", [1e-8, 1e-3, 1.0, 1e6])
def test_units_do_not_matter(size: float) -> None:
    L = np.array([[1.0, 0.0, 0.0], [-1.3, 0.0, 0.0], [0.7, 0.4, -0.9]])
    np.testing.assert_allclose(canonical_cholesky(size * L) / size, canonical_cholesky(L), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("own", [1e-1, 1.3e-2, 1e-3, 3e-4])
def test_what_rounding_leaves_is_no_pivot(own: float) -> None:
    # The third is a combination of the first two, one of which hardly has a direction of its own.
    found = canonical_cholesky(np.array([[1.1, 0.0, 0.0], [1.3, own, 0.0], [2.2, 3.0, 0.0]]))
    assert found[2, 2] == 0.0
    assert found[1, 1] == pytest.approx(own, rel=1e-6)
