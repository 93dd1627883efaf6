"""`Fit` → `residuals`: what is left of each row's outcome, or of bins of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws
from ..effects.cluster_effects import cluster_choices
from ..effects.query import PredictionQuery
from ..errors import PredictionError
from ..validation import choice, quoted_list
from .calibration import fitted_probability

if TYPE_CHECKING:
    from ..design.outcome import Outcome
    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
TYPES = ("quantile", "binned", "pearson", "deviance")
#: Columns of a table of bins; a column of the rows of such a name gets another one.
OWN_COLUMNS = ("lower", "upper", "rows", "trials", "residual", "bound_lb", "bound_ub", "outside")
#: Probabilities, and uniform numbers of quantile residuals, stay this far from 0 and 1, where residuals are infinite.
EDGE = 1e-12


def residuals(
    fit: Fit,
    type: str = "quantile",
    *,
    clusters: str | Mapping[str, str] = "observed",
    by: str | None = None,
    bins: int | None = None,
    num_draws: int | None = None,
    seed: int | None = None,
) -> pd.DataFrame:
    """Residuals of the rows a model was fitted to, or of bins of them.

    Parameters
    ----------
    fit : Fit
    type : {"quantile", "binned", "pearson", "deviance"}
        ``"quantile"``: randomised quantile residuals. With F the predictive distribution of the row's successes y,
        ``u`` is drawn uniformly between F(y - 1) and F(y), and the residual is its standard normal quantile: normal if
        the model is right, for one trial as for many. ``"pearson"``: (y - n p) / sqrt(n p (1 - p)), for n trials of
        probability p. ``"deviance"``: the root of the row's share of the deviance, with the sign of y - n p.
        ``"binned"``: y / n - p averaged over rows of similar fitted probability, or of similar values of `by`, with the
        bounds that 95 % of the averages keep within if the model is right: two standard errors,
        ``2 sqrt(sum n p (1 - p)) / sum n``.
    clusters : {"observed", "new", "average", "typical"}, or dict of these by grouping factor
        Which cluster effects the fitted probabilities have. ``"observed"``: those of the row's own cluster, so that
        residuals are conditional on the clusters. ``"new"``: effects are drawn anew, as DHARMa does, so that residuals
        hold what the clusters differ by; rows of a cluster then have similar ones. See `predictions`.
    by : str, optional
        Of binned residuals: a column of the rows to bin by; numbers in bins of equal size, levels each for itself.
    bins : int, optional
        Of binned residuals: the square root of the number of rows if not given, 10 for fewer than 100 rows.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    seed : int, optional
        Repeats quantile residuals, and new clusters' effects, exactly.

    Returns
    -------
    pandas.DataFrame
        One row for each row, labelled as in the table: ``observed``, the share of events, ``trials``, ``fitted``, the
        event's probability, and ``residual``; of quantile residuals also ``uniform``. For ``"binned"`` one row for each
        bin: its values (``fitted`` or the column, the mean of numbers), ``lower`` and ``upper`` ends of these,
        ``rows``, ``trials``, ``residual``, ``bound_lb``, ``bound_ub`` and whether it is ``outside``.

    Raises
    ------
    PredictionError
        If an option is unknown, or goes with another kind.

    See Also
    --------
    hierlogit.plots.residuals : The picture of binned and quantile residuals.

    Notes
    -----
    ``fitted`` is the posterior mean probability, of a likelihood fit that at the maximum with the modes of the effects;
    quantile residuals average F over the draws where there is no maximum, or new clusters. Conditional residuals of
    rows whose cluster has few of them are too small, since the cluster's effect has seen them.

    References
    ----------
    Dunn and Smyth (1996), Journal of Computational and Graphical Statistics 5: 236-244, for quantile residuals.
    Hartig (2022), DHARMa: Residual Diagnostics for Hierarchical Regression Models, for new clusters.
    McCullagh and Nelder (1989), Generalized Linear Models, section 2.4, for Pearson and deviance residuals.
    Gelman and Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models, section 5.6, for bins.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> bool(abs(hl.residuals(fit, seed=1)["residual"].std() - 1) < 0.1)
    True
    >>> binned = hl.residuals(fit, "binned", by="age")  # the curve of age is missing
    >>> binned["outside"].to_numpy()[[0, 1, -2, -1]]
    array([ True,  True,  True,  True])
    """
    choice("type", type, TYPES, PredictionError)
    cluster_choices(fit.model, clusters)
    if type != "binned" and (by is not None or bins is not None):
        raise PredictionError(f"by= and bins= go with type='binned', not with type={type!r}.")
    outcome, labels = fit.model.design.outcome, fit.model.design.table.rows
    fitted = fitted_probability(fit, clusters, num_draws, seed)
    if type == "binned":
        return _binned(fit, fitted, by, bins)
    table = pd.DataFrame({"observed": outcome.y / outcome.trials, "trials": outcome.trials, "fitted": fitted}, labels)
    if type == "quantile":
        table["uniform"] = _uniform(fit, clusters, num_draws, seed)
        table["residual"] = _normal_quantile(table["uniform"].to_numpy())
    else:
        table["residual"] = (_pearson if type == "pearson" else _deviance)(outcome, fitted)
    return table


def _pearson(outcome: Outcome, p: FloatArray) -> FloatArray:
    p = np.clip(p, EDGE, 1 - EDGE)
    found: FloatArray = (outcome.y - outcome.trials * p) / np.sqrt(outcome.trials * p * (1 - p))
    return found


def _deviance(outcome: Outcome, p: FloatArray) -> FloatArray:
    from scipy.special import xlogy

    y, n, p = outcome.y, outcome.trials, np.clip(p, EDGE, 1 - EDGE)
    share = xlogy(y, y / (n * p)) + xlogy(n - y, (n - y) / (n * (1 - p)))
    found: FloatArray = np.sign(y - n * p) * np.sqrt(2 * np.maximum(share, 0.0))
    return found


def _uniform(fit: Fit, clusters: str | Mapping[str, str], num_draws: int | None, seed: int | None) -> FloatArray:
    """Randomised probability integral transform of each row's successes, shape (n,)."""
    from scipy.special import bdtr

    query = PredictionQuery.for_predictions(fit, clusters=clusters, num_draws=num_draws, seed=seed)
    outcome, rows = query.model.design.outcome, query.rows
    y, trials = outcome.y, outcome.trials.astype(np.int64)  # the function warns of numbers of trials that may be parts
    at_maximum = query.point is not None and not query.treatment.is_random(rows)
    used: Draws = query.point if at_maximum and query.point is not None else query.draws
    below, upto = np.zeros(len(rows)), np.zeros(len(rows))
    for part, some in used.chunks(len(rows)):
        p = query.treatment.of_part(part).predict(some, rows)
        upto += bdtr(y, trials, p).sum(axis=0)
        # No successes have nothing below them; the function is given a count it can take.
        below += np.where(y > 0, bdtr(np.maximum(y - 1, 0), trials, p), 0.0).sum(axis=0)
    # A stream of its own: the seed also draws the effects of new clusters.
    share = np.random.default_rng(None if seed is None else [seed, 2]).uniform(size=len(rows))
    found: FloatArray = (below + share * (upto - below)) / len(used)
    return found


def _normal_quantile(u: FloatArray) -> FloatArray:
    from scipy.special import ndtri

    found: FloatArray = ndtri(np.clip(u, EDGE, 1 - EDGE))
    return found


def _binned(fit: Fit, fitted: FloatArray, by: str | None, bins: int | None) -> pd.DataFrame:
    outcome, frame = fit.model.design.outcome, fit.model.design.table.frame
    if by is not None and by not in frame.columns:
        raise PredictionError(f"by={by!r} is no column of the model; it has {quoted_list(list(frame.columns))}.")
    if bins is not None and (isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 2):
        raise PredictionError(f"bins={bins!r} must be a whole number of at least 2.")
    values: Any = pd.Series(fitted) if by is None else frame[by]
    amounts = values.dtype.kind in "iuf" if by is None else by not in fit.model.design.level_columns
    numeric = amounts and not isinstance(values.dtype, pd.CategoricalDtype) and values.dtype != bool
    code = _equal_bins(values.to_numpy(dtype=np.float64), bins) if numeric else pd.factorize(values, sort=True)[0]
    trials = np.bincount(code, weights=outcome.trials)
    residual = np.bincount(code, weights=outcome.y - outcome.trials * fitted) / trials
    error = np.sqrt(np.bincount(code, weights=outcome.trials * fitted * (1 - fitted))) / trials
    grouped = values.reset_index(drop=True).groupby(code)
    name = "fitted" if by is None else f"{by}_in_data" if by in OWN_COLUMNS else by
    ends = {"lower": grouped.min(), "upper": grouped.max()} if numeric else {}
    table = pd.DataFrame({name: grouped.mean() if numeric else grouped.first(), **ends})
    table["rows"], table["trials"], table["residual"] = np.bincount(code), trials, residual
    table["bound_lb"], table["bound_ub"] = -2 * error, 2 * error
    table["outside"] = np.abs(residual) > 2 * error
    return table.reset_index(drop=True)


def _equal_bins(values: FloatArray, bins: int | None) -> npt.NDArray[np.intp]:
    """Bin of each value, of about equal numbers of rows; equal values share one."""
    rows = len(values)
    count = bins or (int(np.sqrt(rows)) if rows >= 100 else min(10, max(rows // 2, 1)))
    edges = np.unique(np.quantile(values, np.arange(1, count) / count))
    return np.unique(np.searchsorted(edges, values, side="left"), return_inverse=True)[1].astype(np.intp)
