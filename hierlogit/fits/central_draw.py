"""The centre of a fit: its maximum or posterior means."""

from __future__ import annotations

from ..density.linear_predictor import Draws
from .fit import Fit


def central_draw(fit: Fit) -> Draws:
    """The maximum of a likelihood fit, or the posterior means of all parameters and effects, as a single draw."""
    if fit.estimate is not None:
        return Draws.at(fit.estimate)
    return Draws.of(fit.model, fit.posterior.mean(("chain", "draw")).expand_dims(("chain", "draw")))
