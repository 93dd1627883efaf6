"""What the sliders show of a fit: how its results depend on the differences between the clusters of one factor."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import ceil, exp, floor, log10, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from ..effects.numerics.population_average import average_probability
from ..errors import FitError, PredictionError
from ..priors.elicitation import LOG_ODDS_RATIO_PER_SD
from ..validation import real_number, whole_number
from ..variance.attenuation import nearest_coefficients
from ..variance.by_factor import LOGISTIC_VARIANCE

FloatArray = npt.NDArray[np.float64]

#: Upper end of the sliders for sds, for a column with an sd of 1, the number of their steps, the step of the slider for
#: correlations, and the largest cluster.
UPPER_END, STEPS, STEP, LARGEST_SIZE = 4.0, 400, 0.01, 100
#: Points of the trapezoidal rule over the effect of a cluster, in sds: a large one without events is far from the mean.
REACH, NODES = 12.0, 481
#: Attributes of a position with the sds of the two effects.
SDS = ("sd", "sd_slope")


@dataclass(frozen=True)
class Position:
    """Where the sliders are.

    Attributes
    ----------
    sd : float
        Standard deviation of the first effect, in log-odds.
    sd_slope : float
        That of the second effect; 0 if only one effect varies.
    correlation : float
        Of the two effects.
    size : int
        Rows in a cluster.
    """

    sd: float
    sd_slope: float
    correlation: float
    size: int

    @property
    def covariance(self) -> FloatArray:
        """Covariance matrix of the two effects, shape (2, 2)."""
        shared = self.correlation * self.sd * self.sd_slope
        return np.array([[self.sd**2, shared], [shared, self.sd_slope**2]])

    def variance(self, z: FloatArray) -> FloatArray:
        """``z'Sigma z`` of each row, shape (n,); `z` has shape (n, 2)."""
        found: FloatArray = np.einsum("na,ab,nb->n", z, self.covariance, z)
        return found


@dataclass(frozen=True)
class Points:
    """Rows in a typical cluster, and what makes them vary over clusters.

    Attributes
    ----------
    eta : ndarray, shape (n,)
        Log-odds in a typical cluster.
    z : ndarray, shape (n, 2)
        Columns of the two effects whose covariance matrix the sliders change.
    rest : ndarray, shape (n,)
        Variance of the log-odds over clusters that the sliders do not change.
    """

    eta: FloatArray
    z: FloatArray
    rest: FloatArray

    def sd(self, position: Position) -> FloatArray:
        """Standard deviation of the log-odds over clusters, shape (n,)."""
        found: FloatArray = np.sqrt(np.maximum(position.variance(self.z) + self.rest, 0.0))
        return found

    def average(self, position: Position) -> FloatArray:
        """Probability averaged over clusters, shape (n,)."""
        return average_probability(self.eta, self.sd(position))

    def plain(self) -> dict[str, list[float]]:
        """As lists for JavaScript."""
        arrays = {"eta": self.eta, "first": self.z[:, 0], "second": self.z[:, 1], "rest": self.rest}
        return {name: _rounded(values) for name, values in arrays.items()}


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of the curves.

    Attributes
    ----------
    name : str
    numeric : bool
        Whether values lie between the ticks, which otherwise are levels.
    places : ndarray, shape (n,)
        Places of the points of the curves, from 0 to 1.
    ticks : tuple of (float, str)
        Places and labels of the ticks.
    """

    name: str
    numeric: bool
    places: FloatArray
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class SliderModel:
    """The part of a fit that the sliders show, at the estimates or posterior means.

    Attributes
    ----------
    group, event, unit : str
        The grouping factor, the event and what a cluster has: ``rows`` or ``trials``.
    effects : tuple of str
        Labels of the one or two effects whose standard deviations the sliders change.
    ends : tuple of float
        Upper ends of the sliders for these standard deviations.
    start : Position
        The fit itself.
    moments : ndarray, shape (2, 2)
        Means of the products of the effects' columns over the trials of the training rows.
    own, others : float
        Mean variance over clusters that the sliders do not change: of this factor's other effects, and of the other
        factors.
    rows : Points
        The training rows, those that are nearly alike as one.
    weights : ndarray, shape (n,)
        Trials of these rows.
    columns : ndarray, shape (n, k)
        Standardised columns of a logistic regression on these rows, without the intercept.
    coefficients : ndarray, shape (k,)
        Conditional coefficients of these columns.
    focus : str
        The fixed effect whose coefficient is the first of these; empty if it is that of all of them together.
    axis : Axis
    curve : Points
        Rows along the axis.
    """

    group: str
    event: str
    unit: str
    effects: tuple[str, ...]
    ends: tuple[float, ...]
    start: Position
    moments: FloatArray
    own: float
    others: float
    rows: Points
    weights: FloatArray
    columns: FloatArray
    coefficients: FloatArray
    focus: str
    axis: Axis
    curve: Points

    @cached_property
    def level(self) -> float:
        """Mean log-odds of the rows in a typical cluster."""
        return float(self.weights @ self.rows.eta / self.weights.sum())

    def between(self, position: Position) -> float:
        """Mean variance between the clusters of the factor, as `icc` and `mor` take it."""
        return max(float(np.sum(position.covariance * self.moments)) + self.own, 0.0)

    def results(self, position: Position) -> dict[str, float | None]:
        """What follows from a position of the sliders, by name.

        The names are those of the attributes of `Explorer`.
        """
        between = self.between(position)
        lowest, highest = self._extremes(position)
        return {
            "icc": between / (between + self.others + LOGISTIC_VARIANCE),
            "mor": _median_odds_ratio(between),
            "mean": float(self.weights @ self.rows.average(position) / self.weights.sum()),
            "ratio": self._ratio(position),
            "lowest": lowest,
            "highest": highest,
        }

    def _ratio(self, position: Position) -> float | None:
        """Population-averaged coefficient over the conditional one; None if there is none, or no finite one."""
        if not self.columns.shape[1]:
            return None
        X = np.column_stack([np.ones(len(self.columns)), self.columns])
        start = np.concatenate([[self.level], self.coefficients])
        try:
            found = nearest_coefficients(
                self.rows.average(position)[None], X, np.zeros(len(X)), self.weights, start[None]
            )
        except FitError:
            return None
        return float(found[0, 1] / self.coefficients[0])

    def _extremes(self, position: Position) -> tuple[float, float]:
        """Estimated probability of an average cluster in which the event was never seen, and where it always was."""
        from scipy.special import expit, log_expit, softmax

        z = np.linspace(-REACH, REACH, NODES)
        eta = self.level + np.sqrt(self.between(position)) * z
        never, always = (softmax(position.size * log_expit(sign * eta) - z**2 / 2) for sign in (-1, 1))
        return float(never @ expit(eta)), float(always @ expit(eta))

    def checked(self, **values: Any) -> Position:
        """The start with some values changed.

        Raises
        ------
        PredictionError
            If a value is out of range.
        """
        for name, end in zip(SDS, self.ends, strict=False):
            if name in values:
                values[name] = _within(name, values[name], 0.0, end)
        if "correlation" in values:
            values["correlation"] = _within("correlation", values["correlation"], -1.0, 1.0)
        if "size" in values:
            values["size"] = whole_number("size", values["size"], PredictionError, least=1, most=LARGEST_SIZE)
        if len(self.effects) == 1 and (values.get("sd_slope") or values.get("correlation")):
            raise PredictionError(
                f"sd_slope and correlation are 0: {self.effects[0]} is the only effect that varies over the clusters "
                f"of '{self.group}'. Fit a model with a random slope to vary them."
            )
        return replace(self.start, **values)

    def plain(self) -> dict[str, Any]:
        """All that the script needs, as numbers, texts and lists."""
        return {
            "group": self.group,
            "event": self.event,
            "unit": self.unit,
            "sliders": self._sliders(),
            "start": asdict(self.start),
            "moments": _rounded(self.moments[[0, 0, 1], [0, 1, 1]]),
            "own": self.own,
            "others": self.others,
            "level": self.level,
            "rows": self.rows.plain(),
            "weights": _rounded(self.weights),
            "columns": [_rounded(column) for column in self.columns.T],
            "coefficients": _rounded(self.coefficients),
            "focus": self.focus,
            "axis": asdict(self.axis) | {"places": _rounded(self.axis.places)},
            "curve": self.curve.plain(),
        }

    def _sliders(self) -> list[dict[str, Any]]:
        """Name, label, range, step and decimals of each slider."""
        single = self.effects == ("Intercept",)
        found = []
        for name, effect, end in zip(SDS, self.effects, self.ends, strict=False):
            label = "Standard deviation between clusters" if single else f"Standard deviation of {effect}"
            found.append(_slider(name, label, 0, end, end / STEPS))
        if len(self.effects) > 1:
            found.append(_slider("correlation", "Correlation of the two", -1, 1, STEP))
        return [*found, _slider("size", f"{self.unit.capitalize()} in a cluster", 1, LARGEST_SIZE, 1)]


def _median_odds_ratio(between: float) -> float | None:
    """Median odds ratio of a variance between clusters; None if it is too large for a floating-point number."""
    try:
        return exp(LOG_ODDS_RATIO_PER_SD * sqrt(between))
    except OverflowError:
        return None


def _slider(name: str, label: str, low: float, high: float, step: float) -> dict[str, Any]:
    decimals = max(-floor(log10(step) + 1e-9), 0)
    return {"name": name, "label": label, "min": low, "max": high, "step": step, "decimals": decimals}


def upper_end(column_sd: float, sd: float) -> float:
    """Upper end of the slider for the sd of an effect, a round number.

    Examples
    --------
    >>> upper_end(1, 0.62), upper_end(9.01, 0.0128), upper_end(1, 4.2)
    (4.0, 0.5, 9.0)
    """
    end = max(UPPER_END / column_sd, 2 * sd)
    unit = 10.0 ** floor(log10(end))
    return float(f"{ceil(end / unit - 1e-9) * unit:.6g}")


def _within(name: str, value: object, low: float, high: float) -> float:
    found = real_number(name, value, PredictionError)
    if not low <= found <= high:
        raise PredictionError(f"{name}={found:g} must be from {low:g} to {high:g}.")
    return found


def _rounded(values: FloatArray) -> list[float]:
    """Numbers with six digits, which are more than a picture shows."""
    return [float(f"{value:.6g}") for value in values]
