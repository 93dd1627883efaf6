"""The native sampler against PyMC's own, which shares neither its density nor its geometry: five models."""

from __future__ import annotations

import numpy as np
import pytest

import hierlogit as hl
from hierlogit.fits.posterior import parameter_draws

pytestmark = pytest.mark.slow

MODELS = {
    "contraception": "use ~ age + I(age**2) + urban + livch + (1 + urban | district)",
    "toenail": "outcome ~ treatment * time + (1 | patientID)",
    "cbpp": "cbind(successes, size - successes) ~ period + (1 | herd)",
    "bacteria": "y ~ trt + week + (1 + week || ID)",
    "verbagg": "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)",
}
#: Differences of about forty means and sds, in standard errors: 4.5 is passed by chance once in 4,000 runs.
MOST = 4.5


@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")
@pytest.mark.parametrize("table", MODELS)
def test_means_and_sds_agree(table: str) -> None:
    import arviz_stats

    model = hl.Model(MODELS[table], hl.datasets.load(table))
    results = []
    for engine in (hl.NUTS(draws=3000, seed=1, progress=False), hl.NUTS(seed=2, backend="pymc", progress=False)):
        draws = parameter_draws(model, model.fit(engine).posterior).to_dataset(name="value")
        errors = [arviz_stats.mcse(draws, method=method)["value"].to_numpy() for method in ("mean", "sd")]
        over = ("chain", "draw")
        results.append((draws.mean(over)["value"].to_numpy(), draws.std(over)["value"].to_numpy(), *errors))
    (mean, sd, mean_error, sd_error), (their_mean, their_sd, their_mean_error, their_sd_error) = results
    assert np.abs((mean - their_mean) / np.hypot(mean_error, their_mean_error)).max() < MOST
    assert np.abs((sd - their_sd) / np.hypot(sd_error, their_sd_error)).max() < MOST
