"""Many logistic regressions at once: each as if alone, and separated ones disturb no others."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from hierlogit.variance.logistic_regressions import logistic_regressions

X = np.column_stack([np.ones(7), 1000 + np.arange(7.0), [1.0, 0, 0, 1, 0, 1, 1]])
TRIALS = np.array([3.0, 5, 4, 6, 2, 5, 4])
OFFSET = np.linspace(-0.4, 0.3, 7)
COUNTS = np.array([[1.0, 3, 2, 2, 1, 4, 3], [2, 1, 1, 5, 2, 3, 0]])


def test_estimates_maximise_the_likelihood() -> None:
    found = logistic_regressions(COUNTS / TRIALS, X, OFFSET, TRIALS, np.zeros((2, 3)))
    assert found.finite.all()
    centred = X - [0, 1003, 0]
    for counts, coefficients, errors in zip(COUNTS, found.coefficients, found.standard_errors(), strict=True):

        def minus_log_likelihood(beta: np.ndarray, counts: np.ndarray = counts) -> float:
            eta = OFFSET + centred @ beta
            return float((TRIALS * np.logaddexp(0, eta) - counts * eta).sum())

        best = minimize(minus_log_likelihood, np.zeros(3), options={"gtol": 1e-8})
        np.testing.assert_allclose(coefficients[1:], best.x[1:], atol=1e-5)
        p = 1 / (1 + np.exp(-OFFSET - X @ coefficients))
        information = (X * (TRIALS * p * (1 - p))[:, None]).T @ X
        np.testing.assert_allclose(errors, np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-4)


def test_separated_outcomes_disturb_no_others() -> None:
    none, split = np.zeros(7), np.where(X[:, 2] == 1, TRIALS, 0)
    found = logistic_regressions(
        np.array([COUNTS[0], none, split, COUNTS[1]]) / TRIALS, X, OFFSET, TRIALS, np.zeros((4, 3))
    )
    alone = logistic_regressions(COUNTS / TRIALS, X, OFFSET, TRIALS, np.zeros((2, 3)))
    assert found.finite.tolist() == [True, False, False, True]
    np.testing.assert_allclose(found.coefficients[[0, 3]], alone.coefficients, rtol=1e-9)
    # Tests of what is infinite are not significant, as in all software.
    assert np.all(np.abs(found.coefficients[[1, 2]] / found.standard_errors()[[1, 2]]) < 0.01)
