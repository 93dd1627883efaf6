"""Model -> the geometry that its posterior is sampled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...density.joint.geometry import Geometry, centred_by_information, non_centred
from ...density.marginal.laplace import LaplaceLikelihood
from ...errors import EngineError
from ..maximum.integrator import integrator
from ..maximum.objective import Objective, Point
from ..maximum.optimizer import climb
from ..maximum.starting_values import directions, starting_point

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

#: Rows of a level, on average, below which Laplace's method puts sds far too low where factors are nested.
FEW_ROWS = 3
#: Quadrature nodes that then find the mode: more move it by less than its standard error.
NODES = 5


def around_the_mode(model: ModelSpec) -> Geometry:
    """Centres, scales and local information from the mode of the marginal posterior.

    The mode is that of Laplace's method, or of quadrature where a level of nested factors has few rows. Where it has no
    usable curvature, the non-centred form.
    """
    likelihood = LaplaceLikelihood(model.arrangement)
    problem = Objective(model, likelihood, penalised=True)
    point = climb(problem, *starting_point(problem))
    if _is_sparse(model):
        point = _mode_by_quadrature(model, problem, point)
    # The search may have ended with an evaluation elsewhere: once more at its end, from the modes of the last one.
    gamma = model.arrangement.triangular @ point.psi[: problem.p]
    converged = likelihood.evaluate(gamma, problem.flat_cholesky(point.psi)).converged
    try:
        found = centred_by_information(model, likelihood, gamma)
    except np.linalg.LinAlgError:
        return non_centred(model)
    parts = [found.gamma_scale, found.centre, found.width, *found.information, *found.score, *found.cross_information]
    if not converged or not all(np.all(np.isfinite(one)) for one in parts):
        return non_centred(model)
    return found


def _is_sparse(model: ModelSpec) -> bool:
    groups = model.design.groups
    return len(groups) == 2 and model.design.n_rows < FEW_ROWS * max(len(group.levels) for group in groups)


def _mode_by_quadrature(model: ModelSpec, problem: Objective, point: Point) -> Point:
    """The mode by quadrature from that of Laplace's method, which it is where quadrature cannot be done."""
    try:
        likelihood = integrator(model.design, NODES)(model.arrangement)
    except EngineError:
        return point
    scale = directions(problem, problem.evaluate(point.psi))
    finer = Objective(model, likelihood, penalised=True)
    return climb(finer, finer.evaluate(point.psi), scale)


#: How `NUTS(parameterization=...)` names them.
GEOMETRIES = {"auto": around_the_mode, "noncentered": non_centred}
