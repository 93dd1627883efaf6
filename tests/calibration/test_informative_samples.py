"""Estimates from samples in which selection depends on the outcomes: biased without weights, right with them."""

from __future__ import annotations

import pytest

from .informative_samples import Population, study, summarised

REPLICATES = 200


@pytest.mark.slow
def test_weights_mend_the_bias_of_informative_samples() -> None:
    table = summarised(list(study(Population(pupils=300), REPLICATES, seed=1)))
    intercept = table.xs("Intercept", level="parameter")
    assert intercept.loc["unweighted", "bias"] > 1.0
    assert intercept.loc["unweighted", "coverage"] < 0.05
    for model in ("size", "effective"):
        weighted = table.xs(model, level="model")
        # What is left is the bias of the pseudo-likelihood in clusters of this size, a few hundredths.
        assert (weighted["bias"].abs() < 0.03 + 3 * weighted["mcse_bias"]).all()
        assert weighted["coverage"].between(0.89, 0.99).all()  # 0.95 with three Monte Carlo standard errors
        assert (weighted["mean_se"] / weighted["sd"]).between(0.85, 1.15).all()
