"""Effects, coefficients and probabilities of clusters with intervals, as caterpillar plots show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..effects.datagrid import datagrid
from ..effects.predictions import predictions
from ..errors import FitError, PredictionError
from ..fits.fit import Fit
from ..result_table import ResultTable, is_end
from ..summaries.cluster_coefficients import coef
from ..summaries.cluster_picture import ClusterPicture
from ..summaries.intervals import Interval
from ..summaries.tables import ranef
from ..validation import agree, mapping, quoted_list, text, unknown_names
from .cluster_rows import constant_values, others_typical, rows_of_clusters
from .style import probability_label

#: Columns with the value of a cluster, in the order of preference.
CENTRES = ("mode", "estimate", "mean")


@dataclass(frozen=True)
class ClusterValues:
    """Values of the clusters of a factor with intervals.

    Attributes
    ----------
    factor, title : str
    table : pandas.DataFrame
        One row for each cluster, in the order of the data: the values, and the ends of their intervals.
    centre : str
        Column of `table` with the values.
    reference : float
        Where a line is drawn.
    excluded : str
        Name of the line.
    quantity : str
        What is on the axis, in one line or two.
    described : str
        The same in a sentence.
    """

    factor: str
    title: str
    table: pd.DataFrame
    centre: str
    reference: float
    excluded: str
    quantity: str
    described: str


def deviations(fit: Fit, group: str | None, effect: str | None, interval: Interval) -> list[ClusterValues]:
    """Deviations from the fixed effects, a panel for each effect."""
    fit.model.design.chosen_effects(group, effect)  # which refuses those that there are not
    return of_table(ranef(fit, group, ci_prob=interval.prob, ci_kind=interval.kind), None, effect)


def coefficients(fit: Fit, group: str | None, effect: str | None, interval: Interval) -> list[ClusterValues]:
    """Coefficients of the clusters, a panel for each that varies."""
    return of_table(coef(fit, group, ci_prob=interval.prob, ci_kind=interval.kind), None, effect)


def of_table(table: ResultTable, group: str | None, effect: str | None) -> list[ClusterValues]:
    """Deviations or coefficients in a table by `ranef` or `coef`, a panel for each effect.

    Raises
    ------
    FitError
        If the table is another, or has no such grouping factor or effect.
    """
    picture = table._picture
    centre = next((name for name in CENTRES if name in table), None)
    complete = sum(map(is_end, table.columns)) == 2 and list(table.index.names) == ["group", "level", "effect"]
    if not isinstance(picture, ClusterPicture) or centre is None or not complete or not len(table):
        raise FitError(
            "result is not a table by hl.ranef or hl.coef with its index, estimates and intervals. Pass such a table, "
            "or a fit."
        )
    pairs = list(dict.fromkeys((factor, name) for factor, _, name in table.index))
    if group is not None:
        _require("group", group, [factor for factor, _ in pairs], "grouping factor", "the table")
        pairs = [(factor, name) for factor, name in pairs if factor == group]
    if effect is not None:
        _require("effect", effect, [name for _, name in pairs], "coefficient", "the clusters")
        pairs = [(factor, name) for factor, name in pairs if name == effect]
    about = _about(picture)
    return [
        ClusterValues(
            factor, name, pd.DataFrame(table.xs((factor, name), level=("group", "effect"))), centre, *about(name)
        )
        for factor, name in pairs
    ]


def _require(option: str, value: str, known: list[str], what: str, where: str) -> None:
    if text(option, value, FitError) not in known:
        raise FitError(unknown_names(option, [value], list(dict.fromkeys(known)), what, where))


def _about(picture: ClusterPicture) -> Callable[[str], tuple[float, str, str, str]]:
    """Where the line of an effect is, with its name, what is on the axis, and the same in a sentence."""
    if picture.fixed is None:
        return lambda name: (0.0, "0", "Deviation on the logit scale", f"Effects '{name}' on the logit scale")
    fixed = dict(picture.fixed)
    return lambda name: (
        fixed.get(name, 0.0),
        "the fixed effect",
        "Coefficient on the logit scale",
        f"Coefficients '{name}' on the logit scale, about the fixed effect {fixed.get(name, 0):.2f}",
    )


def probabilities(fit: Fit, group: str | None, at: Any, interval: Interval) -> list[ClusterValues]:
    """Probabilities of the event in the clusters, a panel for each grouping factor."""
    factors = fit.model.design.chosen_groups(group)
    given = {} if at is None else mapping("at", at, PredictionError, "values by predictor, {'age': 30}")
    own = [name for name in given if name in fit.model.design.group_columns]
    if own:
        raise PredictionError(f"at: {quoted_list(own)} {agree(own, 'names', 'name')} clusters, which are all drawn.")
    grid = datagrid(fit, given)
    if len(grid) > 1:
        raise PredictionError("at: give one value for each predictor.")
    options: dict[str, Any] = {"ci_prob": interval.prob, "ci_kind": interval.kind}
    centre = "mean" if fit.estimate is None else "estimate"
    typical = float(predictions(fit, grid, clusters="typical")[centre].iloc[0])
    constant = constant_values(fit, grid, set())
    where, panels = f"at {constant}" if constant else "", []
    for factor in factors:
        rows = rows_of_clusters(fit, factor, grid, slice(None))
        table = pd.DataFrame(predictions(fit, rows, clusters=others_typical(fit, factor, "observed"), **options))
        table.index = pd.Index(factor.levels)
        label = probability_label(fit)
        described = f"{label}{f' {where}' if where else ''}, about that of a typical cluster, {typical:.2f}"
        quantity = f"{label}\n{where}" if where else label
        panels.append(
            ClusterValues(factor.name, factor.name, table, centre, typical, "the typical cluster", quantity, described)
        )
    return panels
