"""Objectives with one standard deviation or one correlation held, for profiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .objective import Objective, Point

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: A row of a Cholesky factor whose part across another one is a smaller share of it has no direction across.
NO_DIRECTION = 1e-12


class FixedSd(Objective):
    """An objective with one sd held: its row of the Cholesky factor keeps its direction and is given that length."""

    def __init__(self, objective: Objective, row: IntArray) -> None:
        self.__dict__.update(objective.__dict__)
        self._objective, self._row = objective, row
        self.sd = 0.0

    def evaluate(self, psi: FloatArray) -> Point:
        """Value and gradient at a vector, after its row is rescaled to the length that is held."""
        length = float(np.sqrt((psi[self._row] ** 2).sum()))
        direction = psi[self._row] / length
        held = psi.copy()
        held[self._row] = self.sd * direction
        point = self._objective.evaluate(held)
        gradient = point.gradient.copy()
        of_row = gradient[self._row]
        gradient[self._row] = self.sd / length * (of_row - direction * (direction @ of_row))
        # The vector keeps its length, which holds the direction, since the sd may be zero.
        return Point(psi.copy(), point.value, point.log_likelihood, gradient, point.converged)


class FixedCorrelation(Objective):
    """An objective with one correlation held: that of the effects of two rows of a Cholesky factor.

    A correlation is the cosine of the angle between two rows. Vectors have, in place of the second row, zero and the
    coordinates of its part at right angles to the first row, scaled to the length of the whole row. These coordinates
    are turned to the row by the reflection that takes the first axis to the direction of the first row.

    Parameters
    ----------
    objective : Objective
    first, second : ndarray of int
        Positions of the entries of the two rows, the shorter one first.
    psi : ndarray
        The vector of the estimate.
    """

    def __init__(self, objective: Objective, first: IntArray, second: IntArray, psi: FloatArray) -> None:
        self.__dict__.update(objective.__dict__)
        self._objective, self._first, self._second = objective, first, second
        self.correlation = 0.0
        self._axis = np.zeros(len(second))
        # Away from the first row, so that the reflection is far from degenerate.
        self._axis[0] = -np.copysign(1.0, psi[first[0]])

    def _direction(self, psi: FloatArray) -> tuple[FloatArray, float]:
        """Direction and length of the first row."""
        row = np.zeros(len(self._second))
        row[: len(self._first)] = psi[self._first]
        size = float(np.sqrt(row @ row))
        return row / size, size

    def coordinates(self, psi: FloatArray) -> FloatArray:
        """A vector of the estimate's parameters in the coordinates of this objective."""
        along, _ = self._direction(psi)
        row = psi[self._second]
        length, across = float(np.sqrt(row @ row)), row - along * (along @ row)
        part = float(np.sqrt(across @ across))
        # The last axis, which the shorter row does not have, where the correlation is 1.
        across = across / part if part > NO_DIRECTION * length else np.eye(len(row))[-1]
        changed = psi.copy()
        changed[self._second] = length * (across - _reflection_of(across, along - self._axis))
        changed[self._second[0]] = 0.0
        return changed

    def evaluate(self, psi: FloatArray) -> Point:
        """Value and gradient at a vector in the coordinates of this objective."""
        along, size = self._direction(psi)
        part = psi[self._second].copy()
        part[0] = 0.0
        length, sine = float(np.sqrt(part @ part)), float(np.sqrt(max(1.0 - self.correlation**2, 0.0)))
        normal = along - self._axis
        held = psi.copy()
        held[self._second] = length * self.correlation * along + sine * (part - _reflection_of(part, normal))
        point = self._objective.evaluate(held)
        gradient = point.gradient.copy()
        slope = gradient[self._second]
        gradient[self._second] = sine * (slope - _reflection_of(slope, normal))
        gradient[self._second] += self.correlation * float(along @ slope) / length * part
        gradient[self._second[0]] = 0.0
        by_direction = self.correlation * length * slope - sine * _slope_of_reflection(part, slope, normal)
        by_direction -= along * float(along @ by_direction)
        gradient[self._first] += by_direction[: len(self._first)] / size
        return Point(psi.copy(), point.value, point.log_likelihood, gradient, point.converged)


def _reflection_of(vector: FloatArray, normal: FloatArray) -> FloatArray:
    """What the reflection at the plane with this normal takes from a vector; nothing if the normal is zero."""
    size = float(normal @ normal)
    taken: FloatArray = (2.0 * float(normal @ vector) / size if size > 0 else 0.0) * normal
    return taken


def _slope_of_reflection(vector: FloatArray, slope: FloatArray, normal: FloatArray) -> FloatArray:
    """Gradient in the normal of the product of `slope` with what the reflection takes from `vector`."""
    size = float(normal @ normal)
    if size == 0:
        return np.zeros_like(normal)
    on_vector, on_slope = float(normal @ vector), float(normal @ slope)
    gradient: FloatArray = 2.0 / size * (on_vector * slope + on_slope * vector)
    gradient -= 4.0 * on_vector * on_slope / size**2 * normal
    return gradient
