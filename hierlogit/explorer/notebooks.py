"""The sliders of a fit as an object in notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fits.arguments import refuse_pooled, require_fit
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from .from_fit import slider_model

if TYPE_CHECKING:
    from .widget import Explorer


@repeats_findings
def explore(fit: Fit, x: str | None = None, *, group: str | None = None) -> Explorer:
    """Sliders that show what the differences between clusters do, as a widget of notebooks.

    Sliders change the standard deviation between clusters, the correlation of intercept and slope, and the size of a
    cluster. Two drawings and a text follow them: how far the estimate of a cluster is drawn towards the mean
    (shrinkage), the intraclass correlation, the median odds ratio, and the curves of a typical cluster and of the
    population. They start at the fit, so that one sees what would change if its clusters differed more or less.

    Parameters
    ----------
    fit : Fit
    x : str, optional
        The predictor on the axis of the curves; if not given, that of the random slope, a numeric one, or any other.
        The others are at their mean or most frequent value, as in `datagrid`.
    group : str, optional
        The grouping factor; the first in the formula if not given. If more than two of its effects vary, the sliders
        change the first two; the others, and other factors, stay as they are.

    Returns
    -------
    Explorer
        The widget, whose attributes are the positions of the sliders (``sd``, ``sd_slope``, ``correlation``, ``size``)
        and what follows from them (``icc``, ``mor``, ``mean``, ``ratio``, ``lowest``, ``highest``). Where widgets are
        not shown, such as on a static page, it is a table.

    Raises
    ------
    PackageError
        If anywidget is not installed; ``pip install "hierlogit[widgets]"`` installs it.
    FitError
        If the model has no random effects, or no such grouping factor.
    PredictionError
        If `x` is not a predictor, or has too many levels to be drawn.

    See Also
    --------
    hierlogit.report : Has the same sliders, on a page that needs no Python.

    Notes
    -----
    The starting position is the estimate of a likelihood fit, or the posterior means. For the averages, training rows
    that are nearly alike are replaced by their mean, so that at most 400 are left. `ratio` is that of a logistic
    regression on the column of the random slope and the rest of the linear predictor.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> sliders = hl.explore(fit)
    >>> sliders.sd = 1.5  # or move the slider
    >>> sliders
    Sliders for the clusters of district
      sd of Intercept        1.50
      cluster size           26 rows
      ICC                    0.406
    ...
    """
    require_fit(fit)
    refuse_pooled(fit, "fit", "Sliders show the rows")
    model = slider_model(fit, x, group)
    from .widget import Explorer

    return Explorer(model)
