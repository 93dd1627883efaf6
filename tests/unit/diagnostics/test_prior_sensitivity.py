"""Power-scaling: posteriors that are known as functions of the power, and conflicts that were planted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit.diagnostics.fit.prior_sensitivity import OF_ONE_SD, prior_checks, sensitivities


def test_sensitivity_of_a_posterior_that_moves_by_a_known_amount() -> None:
    """A standard normal posterior under a prior of slope s: twice the prior moves it by s, in ArviZ's measure."""
    import arviz_stats

    x = np.random.default_rng(1).normal(size=(4, 5000))
    for slope in (0.2, 1.0):
        tree = xr.DataTree.from_dict(
            {
                "posterior": xr.Dataset({"x": (("chain", "draw"), x)}),
                "log_prior": xr.Dataset({"x": (("chain", "draw"), slope * x)}),
            }
        )
        # The measure is of the change with the binary logarithm of the power.
        found = float(arviz_stats.psense(tree, group="prior")["x"]) / (slope * np.log(2))
        assert found == pytest.approx(OF_ONE_SD, rel=0.03)


def planted(sd: float, mean: float = 0.0, rows: int = 400) -> Any:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"x": random.normal(size=rows), "g": np.arange(rows) % 20})
    frame["y"] = random.binomial(1, 1 / (1 + np.exp(-frame["x"])))
    model = hl.Model("y ~ x + (1 | g)", frame, priors={"x": hl.priors.Normal(mean, sd)})
    return model.fit(hl.MAP(draws=4000, seed=1))


def test_a_prior_far_from_the_data_is_in_conflict() -> None:
    conflict, sensitive = prior_checks(planted(0.15))
    assert conflict.beyond
    assert conflict.severity == "warning"
    assert "Priors and data disagree about 'x'" in conflict.evidence
    assert f"up to about {conflict.value / OF_ONE_SD:.1f} posterior sds" in conflict.evidence
    assert "hl.summary(fit)" in conflict.remedy
    assert "'x'" not in sensitive.evidence  # said once
    fine, _ = prior_checks(planted(2.5))
    assert fine.value < 0.02
    assert not fine.beyond


def test_a_mild_pull_is_a_note() -> None:
    conflict, sensitive = prior_checks(planted(0.3))
    assert 0.05 < conflict.value < OF_ONE_SD
    assert not conflict.beyond
    assert sensitive.beyond
    assert sensitive.severity == "note"
    assert "The priors matter for 'x'" in sensitive.evidence
    assert "almost no information" not in sensitive.evidence


def test_where_the_data_say_nothing_the_prior_decides() -> None:
    """A column that is zero in all rows but one."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"x": [1.0, *np.zeros(39)], "y": random.integers(0, 2, 40)})
    fit = hl.Model("y ~ x", frame, priors={"x": hl.priors.Normal(0, 0.3)}).fit(hl.MAP(draws=4000, seed=1))
    conflict, sensitive = prior_checks(fit)
    assert not conflict.beyond
    assert sensitive.beyond
    assert sensitive.severity == "note"
    assert "the data carry almost no information about 'x'" in sensitive.evidence
    found = sensitivities(fit)
    at = found.names.index("x")
    assert found.to_likelihood[at] < 0.05 < found.to_prior[at]


def test_the_likelihood_counts_as_arviz_counts_it(make_fit, clustered_rows) -> None:
    """Rows summed part by part against all of them in the log_likelihood group."""
    import arviz_stats

    fit = make_fit("healed ~ dose + (1 + dose | clinic)", clustered_rows(8, 10))
    found = sensitivities(fit)
    direct = arviz_stats.psense(fit.data, var_names=["beta"], group="likelihood")["beta"].to_numpy()
    np.testing.assert_allclose(found.to_likelihood[: len(direct)], direct, rtol=1e-6)
    prior = arviz_stats.psense(fit.data, var_names=["beta"], group="prior")["beta"].to_numpy()
    np.testing.assert_allclose(found.to_prior[: len(prior)], prior, rtol=1e-6)
    assert found.names[:2] == ["Intercept", "dose"]


def test_maximum_likelihood_has_no_priors() -> None:
    fit: Any = SimpleNamespace(data=SimpleNamespace(children={}))
    for one in prior_checks(fit):
        assert np.isnan(one.value)
        assert "without priors" in one.evidence
