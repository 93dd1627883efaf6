"""Variances so large that probabilities are 0 or 1."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import hierlogit as hl
from hierlogit.errors import FitError
from hierlogit.variance.attenuation import nearest_coefficients


def test_probabilities_of_0_and_1_have_no_coefficients() -> None:
    X = np.column_stack([np.ones(4), [0.0, 0.0, 1.0, 1.0]])
    certain = np.array([[0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(FitError, match="no logistic regression fits the averaged probabilities"):
        nearest_coefficients(certain, X, np.zeros(4), np.ones(4), np.array([[-800.0, 1600.0]]))


def test_a_huge_sd_has_an_infinite_odds_ratio_and_no_warning_of_numpy(make_fit: Any) -> None:
    fit = make_fit("y ~ week + (1 | ID)", hl.datasets.load("bacteria"), draws=5)
    fit.posterior["sd_ID"].values[:] = 1e4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(hl.mor(fit)["mean"]).all()
