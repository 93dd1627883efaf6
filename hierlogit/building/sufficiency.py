"""What the rows can tell of the next step of a build-up, before it is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..design.grouping import GroupBlock
from ..diagnostics.data.check_data import check_data
from ..diagnostics.data.cluster_sizes import FEW, VERY_FEW
from ..diagnostics.data.random_slopes import effect_table, slope_findings
from ..fits.findings import Finding, gravest_first
from ..fits.identification import findings_of_design, single_trials
from ..model_spec import ModelSpec
from .plan import Plan, Slope, column_name

FloatArray = npt.NDArray[np.float64]


def level_obstacle(plan: Plan, group: GroupBlock, kept: Sequence[GroupBlock]) -> str:
    """Why the rows cannot tell the variance between the clusters of a factor; empty if they can.

    Parameters
    ----------
    plan : Plan
    group : GroupBlock
    kept : sequence of GroupBlock
        The levels that the model has already.
    """
    same = next((other for other in kept if group.same_clusters(other)), None)
    if same is not None:
        return f"the same clusters as {same.name}"
    if single_trials(plan.design, group):
        return "every cluster has a single trial, whose chance cannot be separated from differences between clusters"
    return ""


def informative_clusters(plan: Plan, slope: Slope) -> int:
    """Number of clusters that are informative about the variance of a slope.

    A predictor varies within such a cluster, which has more trials than random effects: with as many trials as effects,
    the effects of a cluster follow its outcomes, whatever their covariance matrix.
    """
    group, columns = plan.group(slope.group), columns_of(plan, slope)
    trials = np.bincount(group.index, weights=plan.design.outcome.trials, minlength=len(group.levels))
    varies = group.varies_within(columns).any(axis=1)
    return int(np.sum(varies & (trials > 1 + columns.shape[1])))


def columns_of(plan: Plan, slope: Slope) -> FloatArray:
    """The columns of a slope in the design of the largest model, shape (n, k)."""
    group, term = plan.group(slope.group), column_name(slope.term)
    of_group = [k for k, owner in enumerate(group.terms) if owner == term]
    if of_group:
        return group.Z[:, of_group]
    return plan.design.X[:, [k for k, owner in enumerate(plan.design.fixed_terms) if owner == term]]


def slope_obstacle(plan: Plan, slope: Slope) -> str:
    """Why the rows cannot tell the variance of a slope; empty if they can."""
    group = plan.group(slope.group)
    clusters, informative = len(group.levels), informative_clusters(plan, slope)
    if not group.varies_within(columns_of(plan, slope)).any():
        return f"constant within the clusters of {slope.group}"
    needed = max(VERY_FEW, min(FEW, clusters))
    if informative < needed:
        return (
            f"it varies within {informative:,} of {clusters:,} clusters of {slope.group} that have more trials than "
            f"random effects, and {needed:,} are needed"
        )
    return ""


def findings_of_intercepts(model: ModelSpec) -> tuple[Finding, ...]:
    """What the rows cannot tell of a model of intercepts and fixed effects, as `check_data` reports it."""
    return check_data(model).findings


def findings_of_slope(model: ModelSpec, slope: Slope) -> tuple[Finding, ...]:
    """What the rows cannot tell of a model because of its random slopes."""
    return gravest_first([*findings_of_design(model.design), *_of_group(model, slope.group)])


def _of_group(model: ModelSpec, name: str) -> Iterator[Finding]:
    group = next(group for group in model.design.groups if group.name == name)
    yield from slope_findings(group, effect_table(model.design))
