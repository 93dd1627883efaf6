"""`Fit` → `residuals`: residuals of rows, or of bins of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..binomial import variance_factor
from ..density.linear_predictor import Draws
from ..density.outcome_likelihood import cumulative_probabilities
from ..design.row_counts import row_quantiles
from ..effects.cluster_choice import cluster_choices
from ..effects.query import PredictionQuery
from ..errors import PredictionError
from ..fits.arguments import NOT_THE_POPULATION, refuse_pooled, require_unweighted
from ..result_table import ResultTable
from ..validation import choice, names, seed_or_new, text, whole_number
from .fit.simulated_rows import FEWEST_REPLICATES, SimulatedRows
from .recalibration import fitted_probability

if TYPE_CHECKING:
    from ..design.outcome import Outcome
    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
#: Titles of the tables of residuals of rows.
TITLES = {"quantile": "Quantile residuals", "pearson": "Pearson residuals", "deviance": "Deviance residuals"}
TYPES = ("quantile", "binned", "pearson", "deviance")
#: Columns of a table of bins; a predictor with such a name is renamed.
OWN_COLUMNS = ("lower", "upper", "rows", "trials", "residual", "expected", "bound_lb", "bound_ub", "outside")
#: Least distance of probabilities and of uniform numbers from 0 and 1, where residuals are infinite.
EDGE = 1e-12


def residuals(
    fit: Fit,
    type: str = "quantile",
    *,
    clusters: str | Mapping[str, str] = "observed",
    by: str | None = None,
    bins: int | None = None,
    replicates: int = 100,
    num_draws: int | None = None,
    seed: int | None = None,
) -> ResultTable:
    """Residuals of the rows to which a model was fitted, or of bins of them.

    Parameters
    ----------
    fit : Fit
    type : {"quantile", "binned", "pearson", "deviance"}
        ``"quantile"``: randomised quantile residuals. With F the predictive distribution of the row's successes y,
        ``u`` is drawn uniformly between F(y - 1) and F(y), and the residual is its standard normal quantile: it has a
        normal distribution if the model is right, whatever the number of trials. ``"pearson"``:
        y - n p over its standard deviation, sqrt(n p (1 - p)) for binomial outcomes of n trials with probability p, and
        sqrt((phi + n) / (phi + 1)) times as much for beta-binomial ones. ``"deviance"``, for binomial outcomes: the
        square root of the row's contribution to the deviance, with the sign of y - n p. ``"binned"``: averages of
        y / n - p over rows with similar fitted probabilities, or similar values of `by`; if the model is right, about
        95 % of the averages are within the bounds, two standard deviations about the mean of the same averages in data
        simulated from the fit.
    clusters : {"observed", "new", "average", "typical"}, or dict of these by grouping factor
        Cluster effects of the fitted probabilities. ``"observed"``: those of the row's own cluster, so that residuals
        are conditional on the clusters. ``"new"``: drawn from their distribution, as DHARMa does, so that residuals
        include the differences between clusters, and are similar within a cluster. See `predictions`.
    by : str, optional
        For binned residuals, a column to bin by: numbers in bins of equal size, each level in a bin of its own.
    bins : int, optional
        For binned residuals, the number of bins; the square root of the number of rows if not given, and 10 for fewer
        than 100 rows.
    replicates : int
        For binned residuals, data sets to simulate for the bounds, at most as many as the fit has draws.
    num_draws : int, optional
        How many posterior draws to use for the probabilities, evenly spaced; all if not given.
    seed : int, optional
        Repeats quantile residuals, bounds, and the effects of new clusters, exactly.

    Returns
    -------
    ResultTable
        One row for each row, labelled as in the table: ``observed``, the share of events, ``trials``, ``fitted``, the
        probability of the event, and ``residual``; for quantile residuals also ``uniform``. For ``"binned"``, one row
        for each bin: the mean of ``fitted`` or of the column, or its level; ``lower`` and ``upper``, the range of
        numbers; ``rows``, ``trials``, ``residual``, ``expected``, the mean in simulated data, ``bound_lb``,
        ``bound_ub`` and whether it is ``outside``.

    Raises
    ------
    PredictionError
        If an option is not allowed, or does not apply to the type; or, for binned residuals, if the fit is not at a
        maximum from which simulated data can be fitted.

    See Also
    --------
    hierlogit.plots.residuals : Plot of binned and quantile residuals.

    Notes
    -----
    ``fitted`` is the posterior mean probability; for likelihood fits, the probability at the maximum with the
    conditional modes of the effects. Quantile residuals average F over the draws for fits by a sampler and for new
    clusters. Conditional residuals are too small in clusters with few rows, on which the cluster's effect depends: with
    the highest probabilities they are positive on average, and with the lowest negative, even if the model is right.
    The bounds of binned residuals account for this, as in `hl.check`: outcomes are simulated in clusters with new
    effects, and the model is fitted to them again. For a fit by a sampler, binned residuals are those at the mode of
    the marginal posterior, for the observed and the simulated data alike.

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
    >>> binned = hl.residuals(fit, "binned", by="age", seed=1)  # the curve of age is missing
    >>> binned["outside"].to_numpy()[[0, 1, -2, -1]]
    array([ True,  True,  True,  True])
    """
    choice("type", type, TYPES, PredictionError)
    if type == "binned":
        rows, wanted = rows_to_bin(fit, clusters, by, bins, replicates, num_draws, seed)
        return binned_residuals(rows, rows, wanted)
    _refuse_fits(fit)
    cluster_choices(fit.model, clusters)
    if type == "deviance" and fit.model.overdispersed:
        raise PredictionError(
            "type='deviance': the deviance compares with a model that fits every row, which for beta-binomial counts "
            "depends on phi. Use type='quantile' or type='pearson'."
        )
    if by is not None or bins is not None:
        raise PredictionError(f"by= and bins= are for type='binned', not for type='{type}': leave them out.")
    whole_number("replicates", replicates, PredictionError, least=FEWEST_REPLICATES)
    outcome, labels = fit.model.design.outcome, fit.model.design.table.rows
    fitted = fitted_probability(fit, clusters, num_draws, seed)
    table = pd.DataFrame({"observed": outcome.y / outcome.trials, "trials": outcome.trials, "fitted": fitted}, labels)
    if type == "quantile":
        table["uniform"] = _uniform(fit, clusters, num_draws, seed)
        table["residual"] = _normal_quantile(table["uniform"].to_numpy())
    elif type == "pearson":
        table["residual"] = _pearson(outcome, fitted) / np.sqrt(_variance_factor(fit, num_draws))
    else:
        table["residual"] = _deviance(outcome, fitted)
    return ResultTable.of(table, f"{TITLES[type]} of {fit.model.design.table.unit}")


def _refuse_fits(fit: Fit) -> None:
    require_unweighted(fit, "hl.residuals", NOT_THE_POPULATION)
    refuse_pooled(fit, "fit", "Residuals are of the rows")


@dataclass(frozen=True)
class Bins:
    """What rows are binned by, and into how many bins.

    Attributes
    ----------
    by : str or None
        A column of the rows; None for the fitted probability.
    number : int or None
        None to choose it by the number of rows.
    """

    by: str | None
    number: int | None


def rows_to_bin(
    fit: Fit,
    clusters: str | Mapping[str, str],
    by: str | None,
    bins: int | None,
    replicates: int,
    num_draws: int | None,
    seed: int | None,
) -> tuple[SimulatedRows, Bins]:
    """The data sets that binned residuals are compared with, and the bins, by the options of `residuals`.

    Raises
    ------
    PredictionError
        If an option is not allowed.
    """
    _refuse_fits(fit)
    cluster_choices(fit.model, clusters)
    if by is not None:
        (by,) = names(
            "by", text("by", by, PredictionError), list(fit.model.design.table.frame), PredictionError, "column"
        )
    replicates = whole_number("replicates", replicates, PredictionError, least=FEWEST_REPLICATES)
    number = None if bins is None else whole_number("bins", bins, PredictionError, least=2)
    rows = SimulatedRows.of(fit, clusters, num_draws, replicates, seed_or_new(seed, PredictionError))
    return rows, Bins(by, number)


def _variance_factor(fit: Fit, num_draws: int | None) -> FloatArray:
    """Variance of each row's outcome over the binomial one, at the maximum or averaged over the draws, shape (n,)."""
    query = PredictionQuery.for_predictions(fit, num_draws=num_draws)
    phi = (query.draws if query.point is None else query.point).phi
    factor: FloatArray = np.atleast_2d(variance_factor(query.model.design.outcome.trials, phi)).mean(axis=0)
    return factor


def _pearson(outcome: Outcome, p: FloatArray) -> FloatArray:
    p = np.clip(p, EDGE, 1 - EDGE)
    residual: FloatArray = (outcome.y - outcome.trials * p) / np.sqrt(outcome.trials * p * (1 - p))
    return residual


def _deviance(outcome: Outcome, p: FloatArray) -> FloatArray:
    from scipy.special import xlogy

    y, n, p = outcome.y, outcome.trials, np.clip(p, EDGE, 1 - EDGE)
    half_deviance = xlogy(y, y / (n * p)) + xlogy(n - y, (n - y) / (n * (1 - p)))
    residual: FloatArray = np.sign(y - n * p) * np.sqrt(2 * np.maximum(half_deviance, 0.0))
    return residual


def _uniform(fit: Fit, clusters: str | Mapping[str, str], num_draws: int | None, seed: int | None) -> FloatArray:
    """Randomised probability integral transform of each row's successes, shape (n,)."""
    query = PredictionQuery.for_predictions(fit, clusters=clusters, num_draws=num_draws, seed=seed)
    outcome, rows = query.model.design.outcome, query.place(query.rows)
    at_maximum = query.point is not None and not rows.new
    used: Draws = query.point if at_maximum and query.point is not None else query.draws
    below, upto = np.zeros(len(rows)), np.zeros(len(rows))
    for part, some in used.chunks(len(rows)):
        p = query.treatment.of_part(part).predict(some, rows)
        fewer, as_many = cumulative_probabilities(outcome.y, outcome.trials, p, some.phi)
        below += fewer.sum(axis=0)
        upto += as_many.sum(axis=0)
    # Another stream of random numbers than that of the effects of new clusters.
    share = np.random.default_rng(None if seed is None else [seed, 2]).uniform(size=len(rows))
    uniform: FloatArray = (below + share * (upto - below)) / len(used)
    return uniform


def quantile_residuals(
    y: FloatArray, trials: FloatArray, p: FloatArray, phi: float | None, random: np.random.Generator
) -> FloatArray:
    """Randomised quantile residuals of successes with known probabilities, shape (n,)."""
    below, upto = cumulative_probabilities(y, trials, p[None], None if phi is None else np.array([phi]))
    return _normal_quantile(below[0] + random.uniform(size=len(y)) * (upto[0] - below[0]))


def _normal_quantile(u: FloatArray) -> FloatArray:
    from scipy.special import ndtri

    quantile: FloatArray = ndtri(np.clip(u, EDGE, 1 - EDGE))
    return quantile


def binned_residuals(
    rows: SimulatedRows, data_sets: Iterable[tuple[FloatArray, FloatArray, float | None]], wanted: Bins
) -> ResultTable:
    """Average residuals of bins of rows, compared with those in simulated data sets, which are read once.

    Parameters
    ----------
    rows : SimulatedRows
    data_sets : iterable
        Those of `rows`.
    wanted : Bins
    """
    by, bins = wanted.by, wanted.number
    design, fitted, trials = rows.fit.model.design, rows.probability, rows.trials
    values: Any = pd.Series(fitted) if by is None else design.table.frame[by]
    amounts = values.dtype.kind in "iuf" if by is None else by not in design.level_columns
    numeric = amounts and not isinstance(values.dtype, pd.CategoricalDtype) and values.dtype != bool
    counts = design.table.row_counts
    code = (
        _equal_bins(values.to_numpy(dtype=np.float64), bins, counts) if numeric else pd.factorize(values, sort=True)[0]
    )
    grouped = values.reset_index(drop=True).groupby(code)
    name = "fitted" if by is None else f"{by}_in_data" if by in OWN_COLUMNS else by
    ends = {"lower": grouped.min(), "upper": grouped.max()} if numeric else {}
    table = pd.DataFrame({name: grouped.mean() if numeric else grouped.first(), **ends})
    table["rows"] = np.bincount(code, counts).astype(np.intp)
    table["trials"] = np.bincount(code, weights=trials)
    table["residual"] = _averages(code, design.outcome.y, trials, fitted)
    places = _places(code, trials)
    averages = []
    for probability, y, _ in data_sets:
        # Bins by the fitted probability are those of the simulated data, which ties can make fewer.
        own = code if by is not None else _equal_bins(probability, bins, counts)
        averages.append(np.interp(places, _places(own, trials), _averages(own, y, trials, probability)))
    expected, reach = np.mean(averages, axis=0), 2 * np.std(averages, axis=0, ddof=1)
    table["expected"], table["bound_lb"], table["bound_ub"] = expected, expected - reach, expected + reach
    table["outside"] = np.abs(table["residual"] - expected) > reach
    title = "Observed minus expected proportions in bins of rows"
    return ResultTable.of(table.reset_index(drop=True), title, data=[name, *ends])


def _averages(code: npt.NDArray[np.intp], y: FloatArray, trials: FloatArray, p: FloatArray) -> FloatArray:
    """Average residual of each bin."""
    return np.bincount(code, weights=y - trials * p) / np.bincount(code, weights=trials)


def _places(code: npt.NDArray[np.intp], trials: FloatArray) -> FloatArray:
    """Middle of each bin, as the share of the trials in the bins before it and in half of it."""
    size = np.bincount(code, weights=trials)
    middle: FloatArray = (np.cumsum(size) - size / 2) / size.sum()
    return middle


def _equal_bins(values: FloatArray, bins: int | None, counts: FloatArray | None) -> npt.NDArray[np.intp]:
    """Bin of each value; bins have about equal numbers of rows, and equal values are in one bin."""
    rows = len(values)
    count = bins or (int(np.sqrt(rows)) if rows >= 100 else min(10, max(rows // 2, 1)))
    edges = np.unique(row_quantiles(values, counts, np.arange(1, count) / count))
    return np.unique(np.searchsorted(edges, values, side="left"), return_inverse=True)[1].astype(np.intp)
