"""Chebyshev moments against the polynomials, whatever is evaluated at once."""

from __future__ import annotations

import numpy as np
import pytest

from hierlogit.variance import row_averages


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 31])
@pytest.mark.parametrize(("draws", "n", "together"), [(3, 1, 8192), (2, 40, 8192), (3, 40, 16), (5, 40, 100)])
def test_moments_of_chebyshev_polynomials(
    count: int, draws: int, n: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_averages, "TOGETHER", together)
    random = np.random.default_rng(count)
    x, share = random.uniform(-1, 1, (draws, n)), random.dirichlet(np.ones(n))
    expected = np.cos(np.arange(count)[:, None] * np.arccos(x)[:, None]) @ share
    np.testing.assert_allclose(row_averages._chebyshev_moments(x, share, count), expected, atol=1e-12)
