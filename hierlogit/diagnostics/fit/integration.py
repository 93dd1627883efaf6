"""Whether the random effects of a likelihood fit were integrated out well enough: estimates with more nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...engines.maximum.convergence import INTEGRATION_ERROR, largest_move
from ...engines.maximum.integrator import MOST_NODES, integrator
from ...engines.maximum.objective import Objective
from ...errors import EngineError
from .measures import CheckResult

if TYPE_CHECKING:
    from .refitted import ReferenceFit

#: Quadrature points per cluster that the comparison may take.
AFFORDABLE = 5000
FEWEST_NODES = 11
STATISTIC = "largest move of an estimate with more nodes, in standard errors"


def integration_check(anchor: ReferenceFit) -> CheckResult:
    """How far an estimate would move: one Newton step from the maximum, with the gradient of a finer quadrature."""
    estimate, design = anchor.estimate, anchor.model.design
    if not design.groups:
        return _not_made("the model has no random effects.")
    if not anchor.usable:
        return _not_made("the fit did not end at a maximum.")
    effects = sum(len(group.effects) for group in design.groups)
    # A root is rounded: 5000 ** (1 / 3) would lose a node if it were a whole number.
    nodes = min(max(2 * estimate.nodes + 1, FEWEST_NODES), MOST_NODES, int(AFFORDABLE ** (1 / effects) + 1e-9))
    if nodes <= estimate.nodes:
        return _not_made("more nodes would take too long.")
    try:
        finer = integrator(design, nodes)(anchor.model.arrangement)
    except EngineError:
        return _not_made("quadrature cannot do these random effects.")
    there = Objective(anchor.model, finer, penalised=estimate.penalised).evaluate(anchor.point)
    moved = largest_move(estimate.covariance, there.gradient)
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
            f"The random effects are integrated out too coarsely: {nodes} quadrature nodes move an estimate by about "
            f"{moved:.1f} standard errors"
        ),
        remedy=f"Use {engine}(nodes={max(25, nodes)}) or NUTS; hl.check_quadrature(fit) says in which clusters.",
    )


def _not_made(why: str) -> CheckResult:
    return CheckResult.not_made("integration_error", "", STATISTIC, why)
