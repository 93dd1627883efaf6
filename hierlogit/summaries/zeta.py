"""Table of the signed roots of the likelihood-ratio statistic, zeta, along each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from ..errors import FitError
from ..fits.arguments import NO_LIKELIHOOD, refuse_pooled, require_unweighted
from ..fits.fit import Fit
from ..parallel.workers import check_executor
from ..pictures import Picture
from ..result_table import ResultTable
from ..validation import interval_probability, names, whole_number

if TYPE_CHECKING:
    from ..parallel.workers import AnyExecutor

MOST_POINTS = 1000


def profile(
    fit: Fit,
    parameters: Sequence[str] | str | None = None,
    *,
    points: int = 20,
    ci_prob: float = 0.99,
    executor: AnyExecutor | None = None,
) -> ResultTable:
    """Profile likelihood of each parameter: how much worse the model fits with the parameter held at other values.

    All other parameters are estimated again for each value. ``zeta`` is the signed square root of the likelihood-ratio
    statistic, ``sign(value - estimate) sqrt(2 (l(estimate) - l(value)))``: the interval of probability P holds the
    values with ``|zeta|`` below the standard normal quantile of ``(1 + P) / 2``. Where zeta is a straight line in the
    parameter, Wald's interval is as good; where it is curved, Wald's interval is misleading. For fits by MAP, the
    posterior density takes the place of the likelihood.

    Parameters
    ----------
    fit : Fit
        A fit by Laplace, AGQ or MAP.
    parameters : str or sequence of str, optional
        Labels of parameters, as in `summary`; all of them if not given.
    points : int
        Number of values of each parameter, at most 1,000; the estimate is one more.
    ci_prob : float
        The values reach from one end to the other of the interval of this probability.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the parameters over workers, as for `bootstrap`.

    Returns
    -------
    ResultTable
        Indexed by ``parameter``, with the columns ``value`` and ``zeta`` and a row for each value, in ascending order.
        Sds and correlations in which the likelihood is flat, and correlations of effects with an sd of zero, are left
        out.

    Raises
    ------
    FitError
        If the fit is by a sampler, maximised the restricted likelihood, or there is no such parameter.
    StudyError
        If the executor cannot run the searches.

    See Also
    --------
    hierlogit.plots.profile : Draws it.
    summary : Intervals, with ``interval="profile"``.

    References
    ----------
    Bates and Watts (1988), Nonlinear Regression Analysis and Its Applications, section 6.1. Bates, Maechler, Bolker and
    Walker (2015), Journal of Statistical Software 67 (1), section 5.1: zeta, for mixed models.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))
    >>> hl.profile(model.fit("laplace"), "sd_herd[Intercept]", points=4)
    Profile likelihood (logit scale)
      parameter           value    zeta
      sd_herd[Intercept]  0.262  -2.576
      sd_herd[Intercept]  0.452  -1.193
      sd_herd[Intercept]  0.642   0
      sd_herd[Intercept]  0.977   1.532
      sd_herd[Intercept]  1.311   2.576
    """
    require_unweighted(fit, "hl.profile", NO_LIKELIHOOD)
    refuse_pooled(fit, "fit", "A profile is of the likelihood", "hl.summary has Wald intervals.")
    points = whole_number("points", points, FitError, least=2, most=MOST_POINTS)
    prob = interval_probability("ci_prob", ci_prob, FitError)
    if fit.estimate is None:
        raise FitError(
            f"profile is for fits by hl.Laplace(), hl.AGQ() and hl.MAP(); this one is by {fit.diagnostics.engine}, "
            "whose posterior draws show the same: hl.summary(fit)."
        )
    check_executor(executor)
    from ..engines.maximum.profile import Profiler
    from .profiling import zeta_curves

    labels = list(Profiler(fit.model, fit.estimate).by_label())
    if parameters is not None:
        labels = names("parameters", parameters, labels, FitError, "parameter")
    curves = zeta_curves(fit.model, fit.estimate, labels, prob, points, executor)
    rows = [
        pd.DataFrame({"parameter": name, "value": one.values, "zeta": one.zeta})
        for name, one in curves.items()
        if one is not None
    ]
    if not rows:
        raise FitError("the likelihood is flat in all of these parameters, so that they have no profile.")
    what = "posterior density" if fit.estimate.penalised else "likelihood"
    table = pd.concat(rows).set_index("parameter")
    table.attrs = {"ci_prob": prob, "estimates": {name: one.estimate for name, one in curves.items() if one}}
    return ResultTable.of(table, f"Profile {what} (logit scale)", picture=Picture("profile"))
