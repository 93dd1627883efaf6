"""Accuracy of the integration: the log-likelihood of every cluster with more quadrature nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..engines.maximum.convergence import INTEGRATION_ERROR, largest_move
from ..engines.maximum.integrator import MOST_NODES, integrator, likelihood_at
from ..engines.maximum.objective import Objective
from ..errors import EngineError, FitError
from ..fits.arguments import refuse_pooled, require_fit
from ..fits.fit import Fit
from ..result_table import ResultTable
from ..validation import number_of, whole_number

if TYPE_CHECKING:
    from ..estimate import Estimate
    from ..model_spec import ModelSpec


def check_quadrature(fit: Fit, nodes: int | None = None) -> ResultTable:
    """Change of each cluster's log-likelihood when the random effects are integrated with more nodes.

    The parameters stay those of the fit. Large changes show that Laplace's method, or the number of nodes, is not
    accurate enough for these clusters, which have few rows or large effects.

    Parameters
    ----------
    fit : Fit
        By a likelihood engine.
    nodes : int, optional
        Nodes to compare with; twice those of the fit plus one, at least 11, if not given.

    Returns
    -------
    ResultTable
        Indexed by the level of the grouping factor, of nested factors by that of the outer one; columns ``rows``,
        ``log_likelihood`` as fitted, ``finer`` with more nodes, and ``change``, largest changes first. The binomial
        coefficients are left out. ``table.attrs`` has ``nodes``, the sum of the changes as ``total_change``, and
        ``largest_move``: by how many standard errors an estimate would move at most, in one Newton step. The title
        says whether the integration is accurate: from half a standard error on it is not.

    Raises
    ------
    FitError
        If the fit is not by a likelihood engine.
    EngineError
        If quadrature cannot do the model's random effects.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("outcome ~ treatment * time + (1 | patientID)", hl.datasets.load("toenail"))
    >>> table = hl.check_quadrature(model.fit(hl.AGQ(nodes=25)), nodes=50)
    >>> abs(table.attrs["total_change"]) < 0.1
    True
    """
    require_fit(fit)
    refuse_pooled(fit, "fit", "The error of quadrature is in the likelihood")
    if fit.estimate is None:
        raise FitError(
            "check_quadrature is for fits by hl.Laplace(), hl.AGQ() and hl.MAP(); this one is by "
            f"{fit.diagnostics.engine}, which has no estimate to integrate at."
        )
    usual = min(max(2 * fit.estimate.nodes + 1, 11), MOST_NODES)
    finer = usual if nodes is None else whole_number("nodes", nodes, EngineError, least=1, most=MOST_NODES)
    design = fit.model.design
    # Refuses random effects that quadrature cannot integrate out, before anything is computed.
    integrator(design, max(finer, 2))
    outer = min(design.groups, key=lambda group: len(group.levels))
    parts = fit.model.arrangement.parts_of(design.groups.index(outer))
    values = [likelihood_at(fit.model, fit.estimate, k).values[parts] for k in (fit.estimate.nodes, max(finer, 2))]
    table = pd.DataFrame(
        {
            "rows": outer.rows_of_clusters,
            "log_likelihood": values[0],
            "finer": values[1],
        },
        index=pd.Index(outer.levels, name=outer.name),
    )
    table["change"] = table["finer"] - table["log_likelihood"]
    moved = _largest_move(fit.model, fit.estimate, max(finer, 2))
    table.attrs = {"nodes": finer, "total_change": float(table["change"].sum()), "largest_move": moved}
    table = table.reindex(table["change"].abs().sort_values(ascending=False, kind="stable").index)
    title = f"Log-likelihood by cluster, as fitted and with {number_of(finer, 'node')}"
    return ResultTable.of(table, f"{title}: {_verdict(moved)}")


def _largest_move(model: ModelSpec, estimate: Estimate, nodes: int) -> float:
    """Standard errors by which one Newton step with the gradient of a finer quadrature moves an estimate at most."""
    if not np.all(np.isfinite(estimate.model_covariance)):
        return np.nan
    gradients = []
    for count in (estimate.nodes, nodes):
        objective = Objective(model, integrator(model.design, count)(model.arrangement), penalised=estimate.penalised)
        gradients.append(objective.evaluate(objective.at(estimate)).gradient)
    return largest_move(estimate.model_covariance, gradients[1] - gradients[0])


def _verdict(moved: float) -> str:
    if not np.isfinite(moved):
        return "the fit is not at a maximum"
    enough = "not accurate" if moved >= INTEGRATION_ERROR else "accurate"
    return f"{enough}, an estimate would move by at most {moved:.2g} standard errors"
