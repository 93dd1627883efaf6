"""Draws of fixed effects have t distributions where few clusters tell of them, and normal ones elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

import hierlogit as hl
from hierlogit.engines.maximum.t_tails import with_t_tails
from hierlogit.error_levels import combined_df

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


def test_degrees_of_freedom_combine_by_levels() -> None:
    factor = np.array([[1.0, 2.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.3]])
    df = np.array([5.0, 80.0])
    # The first coefficient, the second, and the first where it does not depend on the second.
    functions = np.column_stack([factor[0], factor[1], factor[0] - 4.0 * factor[1]])
    found = combined_df(functions, factor, df)
    np.testing.assert_allclose(found, [(1 + 4) ** 2 / (1**2 / 5 + 4**2 / 80), 80, 5])
    assert np.isinf(combined_df(functions, factor, np.full(2, np.inf))).all()


def test_tests_of_predictions_and_of_coefficients_agree() -> None:
    random = np.random.default_rng(2)
    cluster = np.repeat(np.arange(8), 40)
    rows = pd.DataFrame({"cluster": cluster, "arm": cluster % 2, "x": random.normal(size=320)})
    rows["x"] -= rows.groupby("cluster")["x"].transform("mean")
    rows["y"] = random.binomial(1, 1 / (1 + np.exp(-(rows["arm"] + rows["x"] + random.normal(0, 0.8, 8)[cluster]))))
    fit = hl.Model("y ~ arm + x + (1 | cluster)", rows).fit(hl.Laplace(seed=1, draws=8000))
    of_coefficients = hl.hypotheses(fit, ["arm = 0", "x = 0", "arm = x"]).set_index("hypothesis")
    assert of_coefficients["df"].tolist() == [6, 320 - 8 - 1, 6]
    table = hl.summary(fit)
    np.testing.assert_allclose(of_coefficients["p_value"].iloc[:2], table.loc[["arm", "x"], "p_value"], rtol=1e-6)
    options = {"scale": "link", "newdata": rows.head(1), "direction": True}
    typical = hl.comparisons(fit, ["arm", "x"], clusters="typical", **options)
    np.testing.assert_allclose(typical["t"], table.loc[["arm", "x"], "t"], rtol=1e-4)
    np.testing.assert_allclose(typical["df"], [6, 311], rtol=0.05)
    np.testing.assert_allclose(typical["p_value"], table.loc[["arm", "x"], "p_value"], rtol=0.05)
    # In observed clusters, draws of the effects are needed: the interval of the test is that of the draws.
    observed = hl.comparisons(fit, "arm", clusters="observed", ci_prob=0.95, **options).iloc[0]
    reach = stats.t(6).ppf(0.975) * observed["estimate"] / observed["t"]
    assert abs(2 * reach / (observed["eti95_ub"] - observed["eti95_lb"]) - 1) < 1e-6
    assert hl.hypotheses(fit, adjust="single-step")["p_value"].le(1).all()
