"""Model -> the geometry that its posterior is sampled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..density.geometry import Geometry, centred_by_information, non_centred
from ..density.marginal import LaplaceLikelihood
from .problem import Problem
from .search import climb
from .start import starting_point

if TYPE_CHECKING:
    from ..model import Model


def around_the_mode(model: Model) -> Geometry:
    """Centres, scales and local information from the mode of the marginal posterior by Laplace's method.

    Where that mode has no usable curvature, the non-centred form.
    """
    likelihood = LaplaceLikelihood(model.arrangement)
    problem = Problem(model, likelihood, penalised=True)
    point = climb(problem, *starting_point(problem))
    # The search may have ended with an evaluation elsewhere: once more at its end, from the modes of the last one.
    gamma = model.arrangement.triangular @ point.psi[: problem.p]
    settled = likelihood.evaluate(gamma, problem.flat_roots(point.psi)).settled
    try:
        found = centred_by_information(model, likelihood, gamma)
    except np.linalg.LinAlgError:
        return non_centred(model)
    parts = [found.spread, found.centre, found.width, *found.information, *found.pull, *found.coupling]
    if not settled or not all(np.all(np.isfinite(one)) for one in parts):
        return non_centred(model)
    return found


#: How `NUTS(parameterization=...)` names them.
GEOMETRIES = {"auto": around_the_mode, "noncentered": non_centred}
