"""Whether more quadrature nodes would change the estimates of a likelihood fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...engines.maximum.convergence import INTEGRATION_ERROR, largest_move
from ...engines.maximum.integrator import MOST_NODES, integrator
from ...engines.maximum.objective import Objective
from ...errors import EngineError
from .measures import CheckResult

if TYPE_CHECKING:
    from ...engines.maximum.refitted import ReferenceFit

#: Quadrature points per cluster that the comparison may take.
AFFORDABLE = 5000
FEWEST_NODES = 11
STATISTIC = "largest move of an estimate with more nodes, in standard errors"


def integration_check(reference: ReferenceFit) -> CheckResult:
    """The largest move of an estimate in one Newton step with the gradient of a finer quadrature."""
    estimate, design = reference.estimate, reference.model.design
    if not design.groups:
        return _not_made("the model has no random effects.")
    if not reference.usable:
        return _not_made("the fit did not end at a maximum.")
    effects = sum(len(group.effects) for group in design.groups)
    # The small number makes up for rounding errors where the power is a whole number.
    nodes = min(max(2 * estimate.nodes + 1, FEWEST_NODES), MOST_NODES, int(AFFORDABLE ** (1 / effects) + 1e-9))
    if nodes <= estimate.nodes:
        return _not_made("more nodes would take too long.")
    try:
        finer = integrator(design, nodes)(reference.model.arrangement)
    except EngineError:
        return _not_made("quadrature cannot do these random effects.")
    fitted = reference.objective(reference.model.arrangement).evaluate(reference.point)
    point = Objective(reference.model, finer, penalised=estimate.penalised).evaluate(reference.point)
    moved = largest_move(estimate.model_covariance, point.gradient - fitted.gradient)
    engine = "hl.MAP" if estimate.penalised else "hl.AGQ"
    return CheckResult(
        check="integration_error",
        about="",
        statistic=STATISTIC,
        value=moved,
        expected=np.nan,
        p_value=np.nan,
        beyond=moved >= INTEGRATION_ERROR,
        evidence=(
            f"The random effects are not integrated out accurately enough: {nodes} quadrature nodes move an estimate "
            f"by about {moved:.1f} standard errors"
        ),
        remedy=f"Use {engine}(nodes={max(25, nodes)}) or NUTS; hl.check_quadrature(fit) shows in which clusters.",
    )


def _not_made(why: str) -> CheckResult:
    return CheckResult.not_made("integration_error", "", STATISTIC, why)
