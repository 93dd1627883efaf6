"""The part of columns that others do not explain."""

from __future__ import annotations

import numpy as np
import pytest

from hierlogit.design.projection import orthogonal, unexplained


def test_what_others_span_is_left_out() -> None:
    random = np.random.default_rng(1)
    X = np.column_stack([np.ones(50), random.normal(size=(50, 2))])
    new = random.normal(size=50)
    both = unexplained(np.column_stack([X @ [1.0, 2.0, 3.0], new, 1e6 * new, X[:, 1]]), X)
    assert both.shape == (50, 1)
    np.testing.assert_allclose(X.T @ both, 0, atol=1e-10)
    assert (both**2).mean() == pytest.approx(1)
    left = new - X @ np.linalg.lstsq(X, new, rcond=None)[0]
    np.testing.assert_allclose(np.abs(both[:, 0] @ left), 50 * np.sqrt((left**2).mean()))
    assert unexplained(X[:, 1:], X).shape == (50, 0)
    assert unexplained(new[:, None], np.empty((50, 0))).shape == (50, 1)
    assert orthogonal(np.empty((50, 0))).shape == (50, 0)
