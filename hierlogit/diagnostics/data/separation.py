"""Whether the fixed part separates the two outcomes, so that maximum likelihood has infinite estimates.

A direction of the coefficients along which the linear predictor falls in no row with an event and rises in no row with
a non-event, and moves in some row, can be followed for ever: the likelihood rises all the way (Albert and Anderson
1984, Biometrika 71: 1-10). The same holds whatever is added to the linear predictor: offsets, and random effects, whose
likelihood is an average of such ones. All such directions form a cone. Linear programs tell whether it holds more than
zero, how many rows it moves, and which coefficients grow in it (Konis 2007, Linear Programming Algorithms for Detecting
Separated Data in Binary Logistic Regression Models, thesis, University of Oxford).
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

#: What a program may miss a bound by, a row may be on the wrong side by, and what counts as a move, for columns and
#: directions of size one.
TOLERANCE, MISSED, MOVED = 1e-9, 1e-8, 1e-7
#: How a table writes where the maximum lies.
FINITE, UP, DOWN, EITHER = "finite", "+inf", "-inf", "+-inf"
#: Rows that the first program looks at and that each further one adds, for each column.
BATCH = 20


@dataclass(frozen=True)
class Separation:
    """How far the fixed part separates the outcomes.

    Attributes
    ----------
    kind : {"overlap", "quasi-complete", "complete"}
    estimates : tuple of str, length p
        Where the maximum of the likelihood lies in each coefficient: ``"finite"``, ``"+inf"``, ``"-inf"``, or
        ``"+-inf"`` where the likelihood reaches its bound both ways.
    rows : int
        Rows that are separated.
    """

    kind: Kind
    estimates: tuple[str, ...]
    rows: int

    @classmethod
    def of(cls, X: FloatArray, y: FloatArray, trials: FloatArray) -> Separation:
        """Look at rows.

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

    Programs see some of the rows, and those that they miss are added until none is missed.
    """

    def __init__(self, A: FloatArray) -> None:
        self.A = A
        self.batch = BATCH * max(1, A.shape[1])
        self.seen = np.zeros(len(A), dtype=bool)
        # Evenly spaced over rows that are sorted: of all kinds.
        self.seen[np.linspace(0, len(A) - 1, min(len(A), self.batch)).astype(np.intp)] = True

    def furthest(self, objective: FloatArray) -> FloatArray:
        """The direction in the cone, with entries up to 1, that goes furthest along `objective`."""
        from scipy.optimize import linprog

        tight: Any = {"primal_feasibility_tolerance": TOLERANCE, "dual_feasibility_tolerance": TOLERANCE}
        bounds: Any = (-1.0, 1.0)
        while True:
            seen = self.A[self.seen]
            found = linprog(-objective, A_ub=-seen, b_ub=np.zeros(len(seen)), bounds=bounds, options=tight)
            if found.x is None:
                raise EngineError(
                    f"the linear program that looks for separation ended without an answer: {found.message}"
                )
            margins = self.A @ found.x
            missed = np.flatnonzero((margins < -MISSED) & ~self.seen)
            if not len(missed):
                return np.asarray(found.x, dtype=np.float64)
            self.seen[missed[np.argsort(margins[missed])[: self.batch]]] = True

    def moved(self) -> npt.NDArray[np.bool_]:
        """Rows in which some direction moves the linear predictor."""
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
        """Where each coefficient, a linear function of directions, can go; `coefficients` has shape (p, r)."""
        reached = np.zeros((2, len(coefficients)), dtype=bool)
        movable = np.linalg.norm(coefficients, axis=1) > MOVED
        for k in np.flatnonzero(movable):
            for side, sign in enumerate((1.0, -1.0)):
                if not reached[side, k]:
                    # What this direction does to the others needs no program of its own.
                    values = coefficients @ self.furthest(sign * coefficients[k])
                    reached |= np.array([values > MOVED, values < -MOVED])
        words = {(False, False): FINITE, (True, False): UP, (False, True): DOWN, (True, True): EITHER}
        return tuple(words[bool(up), bool(down)] for up, down in reached.T)


def separation_findings(design: Design, found: Separation) -> Iterator[Finding]:
    """Say which coefficients have no finite maximum, and why."""
    if found.kind == "overlap":
        return
    complete = found.kind == "complete"
    yield Finding(
        "separation",
        "warning",
        f"The fixed part separates the outcomes of {'all' if complete else f'{found.rows:,} of'} {design.n_rows:,} "
        f"rows ({found.kind} separation): the likelihood has its maximum at infinity in {_infinite(design, found)}.",
        "Use hl.MAP() or NUTS, whose priors bound the coefficients; or merge levels that have one outcome only"
        + (", and ask whether a predictor is the outcome in another form." if complete else "."),
    )


def _infinite(design: Design, found: Separation) -> str:
    where = dict(zip(design.fixed_effects, found.estimates, strict=True))
    slopes = {label: estimate for label, estimate in where.items() if label != "Intercept" and estimate != FINITE}
    definite = [f"'{label}' ({estimate})" for label, estimate in slopes.items() if estimate != EITHER]
    either = [label for label, estimate in slopes.items() if estimate == EITHER]
    if not slopes:
        return "the intercept"
    shown = definite[:SHOWN] + ([f"{len(definite) - SHOWN} more"] if len(definite) > SHOWN else [])
    return " and ".join(filter(None, [", ".join(shown), f"{quoted_list(either)} (either way)" if either else ""]))
