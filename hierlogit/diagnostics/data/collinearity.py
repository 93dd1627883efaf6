"""How nearly the fixed-effect columns depend on each other: condition number and variance inflation by term."""

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

#: Condition number of scaled columns (Belsley, Kuh and Welsch 1980) and variance inflation that are called high.
HIGH_CONDITION, HIGH_INFLATION = 30.0, 10.0
#: Share of a column's variance in the weakest direction from which on the column takes part in it.
TAKES_PART = 0.5


@dataclass(frozen=True)
class Collinearity:
    """How the columns of a fixed part depend on each other.

    Attributes
    ----------
    columns : tuple of str
        All but the intercept.
    terms : tuple of str
        The term of each.
    condition : float
        Condition number of the columns, centred if there is an intercept, and scaled.
    weakest : tuple of str
        Columns that take part in the direction of least variation, by more than half of their coefficients' variance.
    inflation : mapping of str to float
        Generalised variance inflation factor of each term to the power ``1 / df``: that of one coefficient, on average.
    of_family : mapping of tuple of str to float
        The same for terms that share predictors, ``age`` and ``I(age**2)``, taken together.
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
        scaled = design.X[:, kept] - (design.X[:, kept].mean(axis=0) if design.has_intercept else 0.0)
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
    """Condition number, and the columns of which the smallest singular value makes most of the variance."""
    _, values, directions = np.linalg.svd(R)
    variance = (directions / values[:, None]) ** 2
    shares = variance[-1] / variance.sum(axis=0)
    return float(values[0] / values[-1]), [int(k) for k in np.flatnonzero(shares > TAKES_PART)]


def _places(terms: Sequence[str], chosen: Sequence[str]) -> list[int]:
    return [k for k, term in enumerate(terms) if term in chosen]


def inflation(R: FloatArray, chosen: Sequence[int]) -> float:
    """Generalised variance inflation factor of some columns against the others, to the power ``1 / df``.

    By how much the squared volume of the confidence region of their coefficients grows because of the others, taken to
    one coefficient; of one column the usual variance inflation factor.

    Parameters
    ----------
    R : ndarray, shape (k, p)
        The columns, or the triangular factor of them: only their inner products matter.
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
    own, rest = np.linalg.qr(R[:, list(chosen)])[0], np.linalg.qr(R[:, others])[0]
    # Sines of the angles between the two spaces: the determinants' ratio of Fox and Monette is their product, squared.
    sines = np.linalg.svd(own - rest @ (rest.T @ own), compute_uv=False)
    return float(np.exp(-2 * np.log(sines).mean()))


def _families(design: Design, terms: Sequence[str]) -> list[tuple[str, ...]]:
    """Gather terms that share predictors, directly or through others."""
    used = {term: set(predictors_of(design, term)) or {term} for term in terms}
    families: list[list[str]] = []
    for term in terms:
        kin = [family for family in families if any(used[term] & used[member] for member in family)]
        families = [family for family in families if family not in kin] + [[*(m for one in kin for m in one), term]]
    return [tuple(family) for family in families]


def collinearity_findings(found: Collinearity) -> Iterator[Finding]:
    """Say which predictors, or which terms of one predictor, are nearly linear combinations of others."""
    families = [family for family, value in found.of_family.items() if value > HIGH_INFLATION]
    terms = {term: value for term, value in found.inflation.items() if value > HIGH_INFLATION}
    weak_families = {family for family in found.of_family for k in _weak_terms(found) if k in family}
    high = found.condition > HIGH_CONDITION
    if not (families or terms or high):
        return
    between = bool(families) or (high and len(weak_families) > 1)
    shown = terms or {" + ".join(family): found.of_family[family] for family in families}
    inflated = ", ".join(f"'{term}' {value:,.0f}" for term, value in shown.items())
    evidence = f"Columns of the fixed part nearly depend on each other: condition number {found.condition:,.0f}"
    if found.weakest:
        evidence += f", above all {quoted_list(found.weakest)}"
    yield Finding(
        "collinearity",
        "warning" if between else "note",
        f"{evidence}{f'; variance inflation {inflated}' if inflated else ''}.",
        "The coefficients' own intervals are wide; what they say together is not touched. Leave out, or join, what "
        "measures the same."
        if between
        else "They are terms of the same predictors: read their coefficients together, by hl.predictions and "
        "hl.avg_slopes, or centre the predictors before powers and products of them are taken.",
    )


def _weak_terms(found: Collinearity) -> list[str]:
    return [term for column, term in zip(found.columns, found.terms, strict=True) if column in found.weakest]
