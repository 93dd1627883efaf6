"""Plots of predictions, comparisons and slopes, of a fit under conditions or of a table that has been computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ..design.grouping import GroupBlock
from ..effects import comparisons as compared
from ..effects import predictions as predicted
from ..effects.cluster_choice import ClusterChoice, Clusters
from ..effects.conditions import Condition
from ..errors import PredictionError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..result_table import ResultTable
from ..summaries.intervals import DrawTable
from ..validation import agree, flag, kind_of, quoted_list
from .effect_figure import Extras, draw_figure
from .effect_layout import EffectLayout, EffectTable
from .raw_proportions import raw_proportions
from .style import AxesArray, require_axes

#: Draws for the thin lines of clusters.
LINE_DRAWS = 400


@repeats_findings
def predictions(
    result: Fit | ResultTable,
    condition: str | Sequence[str] | Mapping[str, Any] | None = None,
    *,
    by: str | Sequence[str] | bool | None = None,
    newdata: Any = None,
    clusters: Clusters | None = None,
    scale: str | None = None,
    weights: str | Sequence[float] | None = None,
    points: bool = False,
    rug: bool = False,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
    axes: Any = None,
) -> AxesArray:
    """Plot of predicted probabilities or log-odds with intervals, of a fit or of a table of predictions.

    Numbers on the axis have a curve with a band, or points with intervals if there are at most twelve of them.
    Categories have points with intervals; clusters and more than twelve levels are listed from top to bottom.

    Parameters
    ----------
    result : Fit or ResultTable
        A fit, or a table by `hierlogit.predictions` or `hierlogit.avg_predictions`, whose ``plot()`` is this function.
    condition : str, list of str or dict, optional
        One to three predictors: the one on the axis, the one shown by colours, and the one with a panel for each value.
        A numeric predictor is drawn from its smallest to its largest value on the axis, otherwise at its five-number
        summary; a categorical one at all levels. A dict gives values: a list, a function of the column,
        ``"threenum"`` (mean and one standard deviation on either side), ``"fivenum"``, ``"quartile"`` or ``"minmax"``,
        None for the usual ones. A single value keeps a predictor there; all others are at their mean or most frequent
        value, as in `datagrid`. For a table, names of its columns; if not given, they are found by their values.
    by : str, list of str, or True, optional
        In place of `condition`: averages of the rows' predictions over groups of rows with the same values in one to
        three columns.
    newdata : table, optional
        With `by`, the rows to average over; the training rows if not given.
    clusters : str, quantiles, or dict of these by grouping factor, optional
        Which cluster effects count, as for `hierlogit.predictions`. Under a condition ``"average"`` if not given, and
        ``"observed"`` for grouping factors that the condition names; with ``"observed"`` every other cluster has a thin
        line, up to 200 of them, beside the average over clusters. With `by` the clusters of the rows if not given.
        Quantiles, such as ``["low", "middle", "high"]``, have a line of their own style each.
    scale : {"response", "link"}, optional
        Probabilities, the default, or their logits.
    weights : str or sequence of float, optional
        With `by`, weights of the rows, as for `predictions`.
    points : bool
        Whether to draw proportions of events in the rows as well, with areas by their trials; numbers are in up to ten
        groups of about equal size. For fits on the scale of probabilities.
    rug : bool
        Whether ticks along a numeric axis show the values in the rows; for fits.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.
    seed : int, optional
        Makes the effects of new clusters reproducible.
    axes : matplotlib Axes or array of Axes, optional
        One for each panel; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (panels,)

    Raises
    ------
    PredictionError
        If a column is not a predictor of the model, or cannot be used in its place; if an option that is for fits is
        passed with a table.

    See Also
    --------
    hierlogit.predictions : Computes the values shown.
    hierlogit.plots.curves : A typical cluster, the population and all clusters in one plot.

    Notes
    -----
    Under a condition, predictors that it does not name have the same value everywhere, also those that belong to the
    clusters on the axis: with ``["item", "gender"]`` all items are drawn as items of one type. Averages of the rows, by
    ``by=["item", "gender"]``, keep the type of each item.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age * urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> len(hl.plots.predictions(fit, ["age", "urban"], points=True))
    1
    >>> len(hl.avg_predictions(fit, by="urban").plot())
    1
    """
    wanted = _Wanted(
        "predictions",
        predicted.predictions,
        {"scale": scale, "ci_prob": ci_prob, "ci_kind": ci_kind, "seed": seed},
        {"by": by, "newdata": newdata, "weights": weights},
        clusters,
    )
    points, rug = flag("points", points, PredictionError), flag("rug", rug, PredictionError)
    if points and scale == "link":
        raise PredictionError("points=True draws proportions, which have no link scale: leave scale= out.")
    return wanted.draw(result, condition, points=points, rug=rug, axes=axes)


@repeats_findings
def comparisons(
    result: Fit | ResultTable,
    variables: Any = None,
    condition: str | Sequence[str] | Mapping[str, Any] | None = None,
    *,
    comparison: str | Callable[..., Any] | None = None,
    by: str | Sequence[str] | bool | None = None,
    newdata: Any = None,
    clusters: Clusters | None = None,
    scale: str | None = None,
    weights: str | Sequence[float] | None = None,
    rug: bool = False,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
    axes: Any = None,
) -> AxesArray:
    """Plot of differences, ratios and other comparisons of predictions, of a fit or of a table of comparisons.

    Several contrasts have a panel each; with neither `condition` nor `by`, their averages are listed.
    The line at 0, or at 1 for ratios, is where there is no effect. Ratios have a logarithmic axis.

    Parameters
    ----------
    result : Fit or ResultTable
        A fit, or a table by `hierlogit.comparisons` or `hierlogit.avg_comparisons`, whose ``plot()`` is this function.
    variables : str, list of str or dict, optional
        Variables that are compared, with their contrasts, as for `hierlogit.comparisons`; all if not given.
    condition : str, list of str or dict, optional
        As for `predictions`.
    comparison : {"difference", "ratio", "lnratio", "oddsratio", "lnoddsratio"} or callable, optional
        As for `hierlogit.comparisons`; differences if not given.
    by, newdata, clusters, scale, weights, rug, ci_prob, ci_kind, seed, axes
        As for `predictions`.

    Returns
    -------
    ndarray of matplotlib Axes, shape (panels,)

    Raises
    ------
    PredictionError
        As for `predictions`.

    See Also
    --------
    hierlogit.comparisons : Computes the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age * urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> len(hl.plots.comparisons(fit, "urban", "age"))
    1
    """
    wanted = _Wanted(
        "comparisons",
        compared.comparisons,
        {
            "variables": variables,
            "comparison": comparison,
            "scale": scale,
            "ci_prob": ci_prob,
            "ci_kind": ci_kind,
            "seed": seed,
        },
        {"by": by, "newdata": newdata, "weights": weights},
        clusters,
    )
    return wanted.draw(result, condition, rug=flag("rug", rug, PredictionError), axes=axes)


@repeats_findings
def slopes(
    result: Fit | ResultTable,
    variables: str | Sequence[str] | None = None,
    condition: str | Sequence[str] | Mapping[str, Any] | None = None,
    *,
    slope: str | None = None,
    by: str | Sequence[str] | bool | None = None,
    newdata: Any = None,
    clusters: Clusters | None = None,
    scale: str | None = None,
    weights: str | Sequence[float] | None = None,
    rug: bool = False,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
    axes: Any = None,
) -> AxesArray:
    """Plot of slopes of predictions in numeric variables, of a fit or of a table of slopes.

    Several variables have a panel each; with neither `condition` nor `by`, their averages are listed.

    Parameters
    ----------
    result : Fit or ResultTable
        A fit, or a table by `hierlogit.slopes` or `hierlogit.avg_slopes`, whose ``plot()`` is this function.
    variables : str or list of str, optional
        Numeric variables; all of them if not given.
    condition : str, list of str or dict, optional
        As for `predictions`.
    slope : {"dydx", "eyex", "eydx", "dyex"}, optional
        As for `hierlogit.slopes`; the derivative if not given.
    by, newdata, clusters, scale, weights, rug, ci_prob, ci_kind, seed, axes
        As for `predictions`.

    Returns
    -------
    ndarray of matplotlib Axes, shape (panels,)

    Raises
    ------
    PredictionError
        As for `predictions`.

    See Also
    --------
    hierlogit.slopes : Computes the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age * urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> len(hl.plots.slopes(fit, "age", ["age", "urban"]))
    1
    """
    wanted = _Wanted(
        "slopes",
        compared.slopes,
        {
            "variables": variables,
            "slope": slope,
            "scale": scale,
            "ci_prob": ci_prob,
            "ci_kind": ci_kind,
            "seed": seed,
        },
        {"by": by, "newdata": newdata, "weights": weights},
        clusters,
    )
    return wanted.draw(result, condition, rug=flag("rug", rug, PredictionError), axes=axes)


@dataclass(frozen=True)
class _Wanted:
    """What is drawn: a function of fits, with its options as far as the user has given them.

    Attributes
    ----------
    name : str
    function : callable
    options : mapping of str to value
        None where an option is not given.
    of_rows : mapping of str to value
        Options for averages over rows: ``by``, ``newdata`` and ``weights``.
    clusters : str, mapping or None
    """

    name: str
    function: Callable[..., DrawTable]
    options: Mapping[str, Any]
    of_rows: Mapping[str, Any]
    clusters: Any

    @property
    def given(self) -> dict[str, Any]:
        """The options that are given."""
        return {name: value for name, value in self.options.items() if value is not None}

    def draw(self, result: Any, condition: Any, *, points: bool = False, rug: bool, axes: Any) -> AxesArray:
        """Draw a fit or a table."""
        if isinstance(result, ResultTable):
            self._refuse_options(points=points, rug=rug)
            table = EffectTable.of(result, self.name)
            return draw_figure(table, EffectLayout.of(table, condition), Extras(), axes)
        if not isinstance(result, Fit):
            raise PredictionError(
                f"result must be a fit, or a table by hl.{self.name} or hl.avg_{self.name}; got {kind_of(result)}."
            )
        require_fit(result)
        require_axes(axes)
        table, layout, extras = self._averages(result) if condition is None else self._conditional(result, condition)
        if points or rug:
            extras = replace(extras, **_of_data(result, table, layout, points=points, rug=rug))
        return draw_figure(table, layout, extras, axes)

    def _refuse_options(self, **flags: bool) -> None:
        given = {**self.given, **self.of_rows, "clusters": self.clusters}
        named = [name for name, value in given.items() if value is not None] + [
            name for name, on in flags.items() if on
        ]
        if named:
            raise PredictionError(
                f"{quoted_list(named)} {agree(named, 'is', 'are')} for fits, and result is a table, which has been "
                f"computed already: pass {agree(named, 'it', 'them')} to hl.{self.name}, or pass the fit."
            )

    def _averages(self, fit: Fit) -> tuple[EffectTable, EffectLayout, Extras]:
        """Averages over groups of rows."""
        by = self.of_rows["by"]
        if by is None or by is False:
            if self.name == "predictions":
                raise PredictionError(
                    "what is drawn is not given: pass condition=, predictors on the axis, as colours and as panels, or "
                    "by=, columns to average by."
                )
            by = True
        options = {name: value for name, value in self.of_rows.items() if value is not None}
        clusters = "observed" if self.clusters is None else self.clusters
        computed = self.function(fit, **{**self.given, **options, "by": by, "clusters": clusters})
        table = EffectTable.of(computed, self.name)
        named = None if by is True else [by] if isinstance(by, str) else list(by)
        return table, EffectLayout.of(table, named, "by"), Extras()

    def _conditional(self, fit: Fit, condition: Any) -> tuple[EffectTable, EffectLayout, Extras]:
        """Values at a grid of predictors, with thin lines for clusters where their effects count."""
        named = [name for name, value in self.of_rows.items() if value is not None and value is not False]
        if named:
            raise PredictionError(
                f"condition= makes the rows, and {quoted_list(named)} {agree(named, 'is', 'are')} for averages over "
                "rows: leave one of them out."
            )
        chosen = Condition.of(fit.model, condition)
        clusters = self._clusters(fit, chosen)
        treatments = ClusterChoice.of(fit.model, clusters).treatments
        lined = [group for group in fit.model.design.groups if _is_lined(group, chosen, treatments)]
        table = self._at(fit, chosen.grid(fit), _averaged(clusters, lined))
        missing = [name for name in chosen.varied if name not in table.frame]
        if missing:
            raise PredictionError(
                f"condition: {quoted_list(missing)} {agree(missing, 'is a column', 'are columns')} of clusters, which "
                "count with clusters='observed' only: leave it out, or clusters= at 'observed'."
            )
        lines = None
        if lined:
            lines = self._at(fit, chosen.grid(fit, lined), clusters, num_draws=LINE_DRAWS)
        return table, EffectLayout.of(table, list(chosen.varied)), Extras(lines)

    def _clusters(self, fit: Fit, chosen: Condition) -> Any:
        """Which cluster effects count: as given, or those of clusters that the condition names."""
        if self.clusters is not None:
            return self.clusters
        groups = fit.model.design.groups
        return {group.name: "observed" if {*group.columns} <= {*chosen.values} else "average" for group in groups}

    def _at(self, fit: Fit, grid: pd.DataFrame, clusters: Any, num_draws: int | None = None) -> EffectTable:
        draws = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
        some = None if num_draws is None else min(num_draws, draws)
        computed = self.function(fit, newdata=grid, clusters=clusters, num_draws=some, **self.given)
        return EffectTable.of(computed, self.name)


def _averaged(clusters: Any, factors: Sequence[GroupBlock]) -> Any:
    """The choice of clusters with the averages over these factors in place of their clusters."""
    if not factors:
        return clusters
    others = dict(clusters) if isinstance(clusters, Mapping) else {}
    return {**others, **{group.name: "average" for group in factors}}


def _is_lined(group: GroupBlock, chosen: Condition, treatments: Mapping[str, str]) -> bool:
    """Whether each cluster of a factor has a line of its own: if its effects count and the condition names none."""
    return treatments[group.name] == "observed" and not {*group.columns} <= {*chosen.values}


def _of_data(fit: Fit, table: EffectTable, layout: EffectLayout, *, points: bool, rug: bool) -> dict[str, Any]:
    """Proportions of events and values on the axis in the rows of the data."""
    frame, axis = fit.model.design.table.frame, layout.axis[0] if len(layout.axis) == 1 else None
    if axis is None or axis not in frame:
        raise PredictionError("points=True and rug=True need a predictor of the model on the axis.")
    numeric = table.is_amount(axis)
    if rug and not numeric:
        raise PredictionError(f"rug=True needs a numeric predictor on the axis; '{axis}' has levels.")
    others = [name for name in (layout.colour, layout.panel) if name in frame and not table.is_amount(str(name))]
    proportions = raw_proportions(fit, axis, numeric, [str(name) for name in others]) if points else None
    return {"proportions": proportions, "rug": frame if rug else None}
