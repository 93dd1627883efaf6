"""Draws of fixed effects have t distributions where few clusters tell of them, and normal ones elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

import hierlogit as hl
from hierlogit.engines.maximum.t_tails import with_t_tails

DRAWS = 4000
#: An error of a test at this level is a fault of the code.
LEVEL = 1e-4


def _p_value(draws: np.ndarray, sd: float, df: float) -> float:
    return float(stats.kstest(draws / sd, stats.t(df).cdf if np.isfinite(df) else stats.norm.cdf).pvalue)


def test_each_level_has_its_own_tails() -> None:
    random = np.random.default_rng(3)
    # Two coefficients of the clusters, one of the rows, and an sd. The first owes most of its error to the rows.
    factor = np.array([[0.2, 5.0, 0.0, 0.1], [0.4, 0.1, 0.3, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5]])
    steps = random.standard_normal((DRAWS, 4))
    drawn = with_t_tails(steps, factor, np.array([4.0, 4.0, np.inf]), np.random.SeedSequence(1)) @ factor.T
    np.testing.assert_allclose(drawn[:, 2:], (steps @ factor.T)[:, 2:], atol=1e-12)
    assert _p_value(drawn[:, 1], float(np.linalg.norm(factor[1])), 4) > LEVEL
    assert _p_value(drawn[:, 1], float(np.linalg.norm(factor[1])), np.inf) < LEVEL
    centred = drawn[:, 0] - 5.0 * drawn[:, 2] - 0.2 * drawn[:, 3]
    assert _p_value(centred, 0.2, 4) > LEVEL
    assert stats.kurtosis(drawn[:, 0]) < 0.5  # nearly normal, as the error of the rows is


def test_normal_draws_stay_as_they_are() -> None:
    steps = np.random.default_rng(1).standard_normal((10, 3))
    assert with_t_tails(steps, np.eye(3), np.full(2, np.inf), np.random.SeedSequence(1)) is steps


def test_draws_agree_with_the_table_of_estimates() -> None:
    random = np.random.default_rng(5)
    cluster = np.repeat(np.arange(8), 25)
    rows = pd.DataFrame({"cluster": cluster, "arm": cluster % 2, "x": random.normal(50, 1, 200)})
    rows["y"] = random.binomial(1, 1 / (1 + np.exp(-(rows["arm"] + random.normal(0, 0.8, 8)[cluster]))))
    model = hl.Model("y ~ arm + x + (1 | cluster)", rows)
    fit = model.fit(hl.Laplace(seed=1, draws=8000))
    table = hl.summary(fit, ci_prob=0.95).loc["arm"]
    assert table["df"] == 6
    at = hl.comparisons(fit, "arm", newdata=rows.head(1), scale="link", clusters="typical", ci_prob=0.95).iloc[0]
    width = table["wald95_ub"] - table["wald95_lb"]
    assert abs((at["eti95_ub"] - at["eti95_lb"]) / width - 1) < 0.05
    # With normal draws, the same interval is narrower by the ratio of the quantiles, and only coefficients differ.
    normal = model.fit(hl.Laplace(seed=1, draws=8000, df="normal"))
    narrow = hl.comparisons(normal, "arm", newdata=rows.head(1), scale="link", clusters="typical", ci_prob=0.95).iloc[0]
    ratio = stats.t(6).ppf(0.975) / stats.norm.ppf(0.975)
    assert abs((at["eti95_ub"] - at["eti95_lb"]) / (narrow["eti95_ub"] - narrow["eti95_lb"]) / ratio - 1) < 0.05
    np.testing.assert_allclose(fit.posterior["sd_cluster"], normal.posterior["sd_cluster"], rtol=1e-12)
    assert fit.estimate is not None
    assert normal.estimate is not None
    np.testing.assert_allclose(fit.estimate.beta, normal.estimate.beta)
