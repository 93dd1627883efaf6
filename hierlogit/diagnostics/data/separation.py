"""Separation of the two outcomes by the fixed part, which makes maximum-likelihood estimates infinite.

The outcomes are separated if there is a direction of the coefficients along which the linear predictor does not fall in
any row with an event, does not rise in any row with a non-event, and changes in some row: the likelihood then rises
without end (Albert and Anderson 1984, Biometrika 71: 1-10). Offsets do not change this, nor do random effects, whose
likelihood is an average of such likelihoods. The directions form a cone. Linear programs find out whether it contains
more than zero, how many rows are separated, and which coefficients grow in it (Konis 2007, Linear Programming
Algorithms for Detecting Separated Data in Binary Logistic Regression Models, thesis, University of Oxford).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...errors import EngineError
from ...fits.findings import Finding
from ...validation import SHOWN, quoted_list

FloatArray = npt.NDArray[np.float64]
Kind = Literal["overlap", "quasi-complete", "complete"]

#: Tolerance of a linear program, of a row on the wrong side, and the smallest change that counts, for columns and
#: directions of size one.
TOLERANCE, MISSED, MOVED = 1e-9, 1e-8, 1e-7
#: Kinds of estimates.
FINITE, UP, DOWN, EITHER = "finite", "+inf", "-inf", "+-inf"
#: Rows for each column in the first linear program, and rows that each further one adds.
BATCH = 20


@dataclass(frozen=True)
class Separation:
    """Separation of the outcomes by the fixed part.

    Attributes
    ----------
    kind : {"overlap", "quasi-complete", "complete"}
    estimates : tuple of str, length p
        Kind of maximum-likelihood estimate of each coefficient: ``"finite"``, ``"+inf"``, ``"-inf"``, or ``"+-inf"`` if
        both signs maximise the likelihood.
    rows : int
        Number of separated rows.
    """

    kind: Kind
    estimates: tuple[str, ...]
    rows: int

    @classmethod
    def of(cls, X: FloatArray, y: FloatArray, trials: FloatArray) -> Separation:
        """Separation of the outcomes of some rows.

        Parameters
        ----------
        X : ndarray, shape (n, p)
            Columns of full rank.
        y, trials : ndarray, shape (n,)
            Successes and trials.

        Examples
        --------
        >>> x = np.array([1.0, 2, 3, 3, 4, 5])
        >>> X = np.column_stack([np.ones(6), x])
        >>> Separation.of(X, np.array([0.0, 0, 0, 1, 1, 1]), np.ones(6))
        Separation(kind='quasi-complete', estimates=('-inf', '+inf'), rows=4)
        """
        p = X.shape[1]
        if p == 0:
            return cls("overlap", (), 0)
        distinct, member = np.unique(X, axis=0, return_inverse=True)
        has_event, has_other = (np.bincount(member, weights=counts) > 0 for counts in (y, trials - y))
        scaled, of_coefficients = _standardised(distinct)
        both, sign = has_event & has_other, np.where(has_event, 1.0, -1.0)
        free, rows = _null_space(scaled[both]), (scaled * sign[:, None])[~both]
        moved = _Cone(rows @ free).moved()
        if not moved.any():
            return cls("overlap", (FINITE,) * p, 0)
        separated = np.zeros(len(distinct), dtype=bool)
        separated[~both] = moved
        # Rows that no direction of the cone moves leave it fewer dimensions.
        free = free @ _null_space(rows[~moved] @ free)
        estimates = _Cone(rows[moved] @ free).estimates(of_coefficients @ free)
        return cls("complete" if separated.all() else "quasi-complete", estimates, int(separated[member].sum()))


def _standardised(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Orthogonal columns that span what X does, and rows that turn their coefficients into those of X, of length one.

    However near the columns of X are to each other, tolerances then mean the same in all directions.
    """
    size = np.sqrt(len(X))
    scale = np.linalg.norm(X, axis=0)
    Q, R = np.linalg.qr(X / scale)
    back = np.linalg.inv(R) / scale[:, None]
    return Q * size, back / np.linalg.norm(back, axis=1, keepdims=True)


def _null_space(rows: FloatArray) -> FloatArray:
    """Orthonormal columns that span the directions in which no row moves, shape (p, r)."""
    p = rows.shape[1]
    if not len(rows):
        return np.eye(p)
    R = np.linalg.qr(rows, mode="r")
    _, values, directions = np.linalg.svd(R)
    rank = int((values > MISSED).sum())
    null: FloatArray = directions[rank:].T
    return null


class _Cone:
    """Directions d with ``A d >= 0`` in every row.

    A linear program contains some of the rows; rows that its solution violates are added until there are none.
    """

    def __init__(self, A: FloatArray) -> None:
        self.A = A
        self.batch = BATCH * max(1, A.shape[1])
        self.seen = np.zeros(len(A), dtype=bool)
        # The rows are sorted: evenly spaced ones are diverse.
        self.seen[np.linspace(0, len(A) - 1, min(len(A), self.batch)).astype(np.intp)] = True

    def furthest(self, objective: FloatArray) -> FloatArray:
        """The direction in the cone, with entries from -1 to 1, that maximises `objective`."""
        from scipy.optimize import linprog

        tight: Any = {"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE}
        bounds: Any = (-1.0, 1.0)
        while True:
            seen = self.A[self.seen]
            solution = linprog(-objective, A_ub=-seen, b_ub=np.zeros(len(seen)), bounds=bounds, options=tight)
            if solution.x is None:
                raise EngineError(f"the search for separation failed in a linear program: {solution.message}")
            margins = self.A @ solution.x
            missed = np.flatnonzero((margins < -MISSED) & ~self.seen)
            if not len(missed):
                return np.asarray(solution.x, dtype=np.float64)
            self.seen[missed[np.argsort(margins[missed])[: self.batch]]] = True

    def moved(self) -> npt.NDArray[np.bool_]:
        """Rows in which some direction changes the linear predictor."""
        moved = np.zeros(len(self.A), dtype=bool)
        if not self.A.shape[1]:
            return moved
        while not moved.all():
            more = ~moved & (self.A @ self.furthest(self.A[~moved].sum(axis=0)) > MOVED)
            if not more.any():
                break
            moved |= more
        return moved

    def estimates(self, coefficients: FloatArray) -> tuple[str, ...]:
        """Kind of estimate of each coefficient, a linear function of directions; `coefficients` has shape (p, r)."""
        reached = np.zeros((2, len(coefficients)), dtype=bool)
        movable = np.linalg.norm(coefficients, axis=1) > MOVED
        for k in np.flatnonzero(movable):
            for side, sign in enumerate((1.0, -1.0)):
                if not reached[side, k]:
                    # The direction shows for all coefficients on which side they are unbounded.
                    values = coefficients @ self.furthest(sign * coefficients[k])
                    reached |= np.array([values > MOVED, values < -MOVED])
        words = {(False, False): FINITE, (True, False): UP, (False, True): DOWN, (True, True): EITHER}
        return tuple(words[bool(up), bool(down)] for up, down in reached.T)


def separation_findings(design: Design, separation: Separation) -> Iterator[Finding]:
    """A finding that names the coefficients with infinite estimates, if the outcomes are separated."""
    if separation.kind == "overlap":
        return
    complete = separation.kind == "complete"
    rows = "all" if complete else f"{separation.rows:,} of"
    yield Finding(
        "separation",
        "warning",
        f"The fixed part separates the outcomes of {rows} {design.n_rows:,} rows ({separation.kind} separation): the "
        f"maximum-likelihood estimate is infinite for {_infinite(design, separation)}.",
        "Use hl.MAP() or NUTS, whose priors keep the coefficients finite, or merge levels with a single outcome"
        + (", and check that no predictor is the outcome in another form." if complete else "."),
    )


def _infinite(design: Design, separation: Separation) -> str:
    where = dict(zip(design.fixed_effects, separation.estimates, strict=True))
    slopes = {label: estimate for label, estimate in where.items() if label != "Intercept" and estimate != FINITE}
    definite = [f"'{label}' ({estimate})" for label, estimate in slopes.items() if estimate != EITHER]
    either = [label for label, estimate in slopes.items() if estimate == EITHER]
    if not slopes:
        return "the intercept"
    shown = definite[:SHOWN] + ([f"{len(definite) - SHOWN} more"] if len(definite) > SHOWN else [])
    return " and ".join(filter(None, [", ".join(shown), f"{quoted_list(either)} (either sign)" if either else ""]))
