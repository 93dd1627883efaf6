"""Model -> the geometry in which its posterior is sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...density.joint.geometry import Geometry, centred_by_information, non_centred, with_log_phi
from ...density.marginal.overdispersed_laplace import OverdispersedLaplace, laplace_likelihood
from ...errors import EngineError
from ..maximum.integrator import integrator
from ..maximum.objective import LIKELY, Objective, Point
from ..maximum.optimizer import climb
from ..maximum.starting_values import directions, starting_point

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

#: Where there is one factor, or two nested ones, and levels have fewer rows than this, on average, Laplace's method is
#: far off for the sds.
FEW_ROWS = 3
#: Quadrature nodes that are then used to find the mode: more move it by less than its standard error.
NODES = 5
#: Half the step of the difference that gives the curvature in log phi, and the largest width of log phi.
HALF_STEP, WIDEST_LOG_PHI = 0.3, 2.0


def around_the_mode(model: ModelSpec, share_of_first: float | None = None) -> Geometry:
    """Centres, scales and local information from the mode of the marginal posterior.

    The mode is that of Laplace's method, or of quadrature where levels of one factor, or of nested ones, have few rows.
    If its curvature is not usable, the geometry is the non-centred one.

    Parameters
    ----------
    model : Model
    share_of_first : float, optional
        Share of the rows' information by which the effects of the arrangement's first factor are centred, if it is
        another than that of the others.
    """
    likelihood = laplace_likelihood(model.arrangement)
    objective = Objective(model, likelihood, penalised=True)
    point = climb(objective, *starting_point(objective))
    if _is_sparse(model):
        point = _mode_by_quadrature(model, objective, point)
    # The last evaluation of the search may have been at another point.
    gamma = model.arrangement.triangular @ point.psi[: objective.p]
    converged = likelihood.evaluate(gamma, objective.flat_cholesky(point.psi)).converged
    if isinstance(likelihood, OverdispersedLaplace):
        likelihood.raise_weights()
    try:
        geometry = centred_by_information(model, likelihood, gamma, share_of_first=share_of_first)
        if model.overdispersed:
            geometry = with_log_phi(model, geometry, *_log_phi(objective, point))
    except np.linalg.LinAlgError:
        return non_centred(model)
    scales = [geometry.gamma_scale, geometry.centre, geometry.width]
    arrays = [*scales, *geometry.information, *geometry.score, *geometry.cross_information]
    if not converged or not all(np.all(np.isfinite(array)) for array in arrays):
        return non_centred(model)
    return geometry


def _log_phi(objective: Objective, point: Point) -> tuple[float, float]:
    """Log phi at a point, not far above its prior, and a width from the curvature of the objective in it."""
    psi, sides = point.psi.copy(), []
    prior = objective.model.priors.phi
    assert prior is not None
    mode = float(min(-2.0 * np.log(abs(psi[-1])), np.log(prior.quantile(LIKELY[1]))))
    for side in (-HALF_STEP, HALF_STEP):
        psi[-1] = np.exp(-0.5 * (mode + side))
        sides.append(-0.5 * psi[-1] * float(objective.evaluate(psi).gradient[-1]))
    curvature = (sides[0] - sides[1]) / (2 * HALF_STEP)
    objective.evaluate(point.psi)  # so that the work arrays hold it
    return mode, float(1.0 / np.sqrt(max(curvature, WIDEST_LOG_PHI**-2)))


def _is_sparse(model: ModelSpec) -> bool:
    groups = model.design.groups
    return len(groups) in (1, 2) and model.design.n_observations < FEW_ROWS * max(len(group.levels) for group in groups)


def _mode_by_quadrature(model: ModelSpec, objective: Objective, point: Point) -> Point:
    """The mode by quadrature, or that of Laplace's method if quadrature cannot integrate out the random effects."""
    try:
        likelihood = integrator(model.design, NODES)(model.arrangement)
    except EngineError:
        return point
    scale = directions(objective, objective.evaluate(point.psi))
    finer = Objective(model, likelihood, penalised=True)
    return climb(finer, finer.evaluate(point.psi), scale)


def start_of(model: ModelSpec, parameterization: str, *, integrated: bool) -> Geometry:
    """The geometry for a value of `NUTS(parameterization=...)`.

    Where the first factor's effects are integrated out, quadrature nodes are placed by all of the rows' information
    about them, since nothing moves in their variables.
    """
    if parameterization == "noncentered":
        return non_centred(model)
    return around_the_mode(model, 1.0 if integrated else None)
