"""Collinearity of the fixed-effect columns: condition number, and variance inflation by term."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...fits.findings import Finding
from ...validation import quoted_list
from .within_between import predictors_of

FloatArray = npt.NDArray[np.float64]

#: High condition number of scaled columns (Belsley, Kuh and Welsch 1980), and high variance inflation.
HIGH_CONDITION, HIGH_INFLATION = 30.0, 10.0
#: A column is involved in the collinearity if the weakest direction makes more than this fraction of its variance.
INVOLVED = 0.5


@dataclass(frozen=True)
class Collinearity:
    """Collinearity of the columns of a fixed part.

    Attributes
    ----------
    columns : tuple of str
        All columns except the intercept.
    terms : tuple of str
        Term of each column.
    condition : float
        Condition number of the columns, scaled, and centred if there is an intercept.
    weakest : tuple of str
        Columns with more than half of the variance of their coefficients in the direction of least variation.
    inflation : mapping of str to float
        Generalised variance inflation factor of each term to the power ``1 / df``: that of one coefficient, on average.
    of_family : mapping of tuple of str to float
        The same for families of terms that share predictors, such as ``age`` and ``I(age**2)``.
    """

    columns: tuple[str, ...]
    terms: tuple[str, ...]
    condition: float
    weakest: tuple[str, ...]
    inflation: dict[str, float]
    of_family: dict[tuple[str, ...], float]

    @classmethod
    def of(cls, design: Design) -> Collinearity:
        """Look at the columns of a design."""
        kept = [k for k, label in enumerate(design.fixed_effects) if label != "Intercept"]
        columns, terms = (tuple(names[k] for k in kept) for names in (design.fixed_effects, design.fixed_terms))
        if not kept:
            return cls((), (), 1.0, (), {}, {})
        scaled = design.X[:, kept] - (design.column_means[kept] if design.has_intercept else 0.0)
        counts = design.table.row_counts
        scaled = scaled if counts is None else scaled * np.sqrt(counts)[:, None]
        R = np.linalg.qr(scaled / np.linalg.norm(scaled, axis=0), mode="r")
        condition, weakest = _weakest(R)
        families = _families(design, list(dict.fromkeys(terms)))
        return cls(
            columns,
            terms,
            condition,
            tuple(columns[k] for k in weakest),
            {term: inflation(R, _places(terms, (term,))) for term in dict.fromkeys(terms)},
            {family: inflation(R, _places(terms, family)) for family in families},
        )


def _weakest(R: FloatArray) -> tuple[float, list[int]]:
    """Condition number, and the columns whose variance is mostly due to the smallest singular value."""
    _, values, directions = np.linalg.svd(R)
    variance = (directions / values[:, None]) ** 2
    shares = variance[-1] / variance.sum(axis=0)
    return float(values[0] / values[-1]), [int(k) for k in np.flatnonzero(shares > INVOLVED)]


def _places(terms: Sequence[str], chosen: Sequence[str]) -> list[int]:
    return [k for k, term in enumerate(terms) if term in chosen]


def inflation(R: FloatArray, chosen: Sequence[int]) -> float:
    """Generalised variance inflation factor of some columns, given the others, to the power ``1 / df``.

    The factor by which the squared volume of the confidence region of their coefficients grows because of the others,
    per coefficient; for one column, the usual variance inflation factor.

    Parameters
    ----------
    R : ndarray, shape (k, p)
        The columns, or their triangular factor: only inner products matter.
    chosen : sequence of int

    References
    ----------
    Fox and Monette (1992), Journal of the American Statistical Association 87: 178-183.

    Examples
    --------
    >>> columns = np.array([[1.0, 0.0], [0.6, 0.8]]).T  # with a correlation of 0.6
    >>> round(inflation(columns, [0]), 4) == round(1 / (1 - 0.6**2), 4)
    True
    """
    others = [k for k in range(R.shape[1]) if k not in chosen]
    if not others:
        return 1.0
    basis, rest = np.linalg.qr(R[:, list(chosen)])[0], np.linalg.qr(R[:, others])[0]
    # The ratio of determinants of Fox and Monette is the squared product of the sines of the angles between the spaces.
    sines = np.linalg.svd(basis - rest @ (rest.T @ basis), compute_uv=False)
    return float(np.exp(-2 * np.log(sines).mean()))


def _families(design: Design, terms: Sequence[str]) -> list[tuple[str, ...]]:
    """Families of terms that share predictors, directly or through other terms."""
    used = {term: set(predictors_of(design, term)) or {term} for term in terms}
    families: list[list[str]] = []
    for term in terms:
        kin = [family for family in families if any(used[term] & used[member] for member in family)]
        families = [family for family in families if family not in kin] + [[*(m for one in kin for m in one), term]]
    return [tuple(family) for family in families]


def collinearity_findings(collinear: Collinearity) -> Iterator[Finding]:
    """Findings about predictors, or terms of one predictor, that are nearly linear combinations of others."""
    families = [family for family, value in collinear.of_family.items() if value > HIGH_INFLATION]
    terms = {term: value for term, value in collinear.inflation.items() if value > HIGH_INFLATION}
    weak_families = {family for family in collinear.of_family for k in _weak_terms(collinear) if k in family}
    high = collinear.condition > HIGH_CONDITION
    if not (families or terms or high):
        return
    between = bool(families) or (high and len(weak_families) > 1)
    shown = terms or {" + ".join(family): collinear.of_family[family] for family in families}
    inflated = ", ".join(f"'{term}' {value:,.0f}" for term, value in shown.items())
    evidence = f"Columns of the fixed part are nearly collinear: condition number {collinear.condition:,.0f}"
    if collinear.weakest:
        evidence += f", above all {quoted_list(collinear.weakest)}"
    yield Finding(
        "collinearity",
        "warning" if between else "note",
        f"{evidence}{f'; variance inflation {inflated}' if inflated else ''}.",
        "The intervals of single coefficients are wide; predictions are not affected. Leave out or combine predictors "
        "that measure the same thing."
        if between
        else "They are terms of the same predictors: interpret their coefficients together, with hl.predictions and "
        "hl.avg_slopes, or centre the predictors before taking powers and products.",
    )


def _weak_terms(collinear: Collinearity) -> list[str]:
    terms = zip(collinear.columns, collinear.terms, strict=True)
    return [term for column, term in terms if column in collinear.weakest]
