"""Standard errors of smooth functions of a likelihood fit by the delta method, from few parameter vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import Draws
from ..effects.comparisons import avg_comparisons
from ..engines.maximum.gaussian_draws import posterior_of
from ..engines.maximum.refit import maximum_of
from ..fits.fit import Fit
from ..fits.posterior import assemble
from ..summaries.intervals import DrawTable

FloatArray = npt.NDArray[np.float64]


def average_differences(fit: Fit, variables: list[str]) -> tuple[DrawTable, FloatArray]:
    """Average comparisons at the maximum, and their standard errors, shape (rows,).

    They are averages over the rows and, if there are any, over clusters, which need no effects of the clusters in the
    data. A table for each parameter vector takes the place of one for each of many draws.
    """
    clusters = "average" if fit.model.design.groups else "observed"
    table = avg_comparisons(_around(fit), variables, clusters=clusters)
    up, down = np.split(table.draws.to_numpy()[0], 2)
    standard_errors: FloatArray = np.sqrt((((up - down) / 2) ** 2).sum(axis=0))
    known = bool(np.isfinite(maximum_of(fit).covariance).all())
    return table, standard_errors if known else np.full_like(standard_errors, np.nan)


def _around(fit: Fit) -> Fit:
    """The fit with draws at one standard error to both sides of the maximum, along independent directions.

    Half of the difference of a function between the two sides is its derivative times the standard error, and the sum
    of squares over the directions is its variance.
    """
    model, estimate = fit.model, maximum_of(fit)
    points = Draws.around(estimate, step=1.0)
    effects = sum(modes.size for modes in estimate.modes.values())
    roots = [points.cholesky[group.name] for group in model.design.groups]
    posterior = posterior_of(model, points.beta, roots, np.zeros((len(points), effects)))
    return Fit(model, assemble(model, posterior, None, priors=False), fit.diagnostics, estimate)
