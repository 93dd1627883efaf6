"""Where the sampler starts and by what it is scaled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.joint.scale_variables import log_sd_at_mode
from hierlogit.engines.nuts.adaptation_start import FEW_ROWS, NODES, around_the_mode

# Laplace's method is poor here, and few draws are enough.
pytestmark = pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")


def nested(rows: int, sds: tuple[float, float], seed: int = 3) -> pd.DataFrame:
    """Rows of 8 children in each of 20 towns, `rows` of each."""
    rng = np.random.default_rng(seed)
    child = np.repeat(np.arange(160), rows)
    town, x = child // 8, rng.normal(size=len(child))
    eta = 0.3 + 0.5 * x + sds[0] * rng.normal(size=20)[town] + sds[1] * rng.normal(size=160)[child]
    return pd.DataFrame({"y": rng.binomial(1, expit(eta)), "x": x, "town": town, "child": child})


def centres(model: hl.Model) -> np.ndarray:
    """Sds at the centre, in the order of the design's groups."""
    order = list(model.arrangement.factors)
    geometry = around_the_mode(model)
    return np.exp(log_sd_at_mode(geometry.centre, geometry.growth))[[order.index(k) for k in range(len(order))]]


def sds(fit: hl.results.Fit) -> list[float]:
    assert fit.estimate is not None
    return [float(L[0, 0]) for L in fit.estimate.cholesky.values()]


@pytest.mark.parametrize("rows", [FEW_ROWS - 1, FEW_ROWS])
def test_mode_is_found_by_quadrature_where_nested_levels_have_few_rows(rows: int) -> None:
    model = hl.Model("y ~ x + (1 | town/child)", nested(rows, (0.8, 2.0)))
    finer, laplace = sds(model.fit(hl.MAP(nodes=NODES))), sds(model.fit(hl.MAP()))
    assert finer[1] > 1.1 * laplace[1]
    assert centres(model) == pytest.approx(finer if rows < FEW_ROWS else laplace, rel=1e-3)


def test_mode_is_that_of_laplace_where_quadrature_cannot_be_done() -> None:
    data = nested(2, (0.8, 2.0))
    data["child"] = np.random.default_rng(1).permutation(data["child"])  # crossed with towns
    model = hl.Model("y ~ x + (1 | town) + (1 | child)", data)
    town, child = sds(model.fit(hl.MAP()))
    assert child < 0.01 < town
    found = centres(model)
    assert found[0] == pytest.approx(town, rel=1e-3)
    # An sd that vanishes is scaled by what the data allow, here nearly as much as the prior.
    assert 0.6 < found[1] < model.priors.sd["child"][0].quantile(0.5)


@pytest.mark.parametrize(
    ("prior", "passes"), [(pr.Exponential(1), True), (pr.HalfCauchy(1), True), (pr.Gamma(2, 4), False)]
)
def test_sds_that_are_hardly_told_from_zero_have_a_sign(prior: pr.Prior, passes: bool) -> None:
    def has_sign(sd: float) -> bool:
        model = hl.Model("y ~ x + (1 | child)", nested(10, (0.0, sd)), priors={"sd": prior})
        return bool(around_the_mode(model).growth[0] > 0)

    assert has_sign(0.1) == passes
    assert not has_sign(1.0)


def test_few_rows_that_do_not_differ_by_cluster() -> None:
    model = hl.Model("y ~ x + (1 | town/child)", nested(2, (0.0, 0.0)))
    assert np.isfinite(around_the_mode(model).centre).all()
    fit = model.fit(hl.NUTS(draws=50, tune=100, chains=2, seed=1, progress=False))
    assert fit.data["posterior"].sizes["draw"] == 50
