"""Principal components of the random effects of a grouping factor, and directions without variance in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..validation import agree, number_of

FloatArray = npt.NDArray[np.float64]

#: Directions that together hold a smaller share of the variance than this are empty.
EMPTY = 0.005
#: A share of the variance this near to 1 is all of it.
ALL = 0.9995


@dataclass(frozen=True)
class PrincipalComponents:
    """Principal components of the random effects of one grouping factor.

    Attributes
    ----------
    effects : tuple of str, length q
    root : ndarray, shape (q, q)
        A matrix L with ``L L'`` the covariance matrix.
    sds : ndarray, shape (q,)
        Standard deviation of each component, the largest first.
    loadings : ndarray, shape (q, q)
        Unit vectors of the components, by column; the largest entry of each is positive.
    """

    effects: tuple[str, ...]
    root: FloatArray
    sds: FloatArray
    loadings: FloatArray

    @classmethod
    def of(cls, effects: Sequence[str], root: FloatArray) -> PrincipalComponents:
        """The components of a covariance matrix ``root root'``, as lme4's ``rePCA`` computes them."""
        vectors, sds, _ = np.linalg.svd(root)
        largest = np.abs(vectors).argmax(axis=0)
        return cls(tuple(effects), root, sds, vectors * np.sign(vectors[largest, range(len(largest))]))

    @property
    def shares(self) -> FloatArray:
        """Share of the variance in each component; zero if there is no variance."""
        variances = self.sds**2
        return np.asarray(variances / (variances.sum() or 1.0))

    @property
    def filled(self) -> int:
        """Number of components without which too much of the variance would be missing."""
        return int(np.sum(1.0 - np.cumsum(self.shares) >= EMPTY)) + 1 if self.sds[0] > 0 else 0

    def without_empty(self) -> FloatArray:
        """The lower triangular root of the covariance matrix without the variance in empty directions."""
        kept = self.loadings[:, : self.filled]
        root: FloatArray = np.linalg.qr((kept @ (kept.T @ self.root)).T, mode="r").T
        return root

    def described(self, group: str) -> str:
        """Which effects follow from the others of a factor, as a sentence; empty if no direction is empty.

        Examples
        --------
        >>> import numpy as np
        >>> root = np.array([[1.0, 0.0], [0.5, 0.0]])
        >>> PrincipalComponents.of(["Intercept", "x"], root).described("g")
        "Given the intercept, the slope of x adds nothing: all of the variance between 'g' lies in 1 of 2 directions."
        """
        q, filled = len(self.effects), self.filled
        if filled in (0, q):
            return ""
        share = float(self.shares[:filled].sum())
        amount = "all" if share > ALL else f"{share:.1%}"
        lies = f"{amount} of the variance between '{group}' lies in {filled} of {number_of(q, 'direction')}"
        kept = self._kept()
        added = [name for k, name in enumerate(self.effects) if k not in kept]
        if not added:
            return f"{lies[0].upper()}{lies[1:]}."
        given = _named([self.effects[k] for k in kept])
        return f"Given {given}, {_named(added)} {agree(added, 'adds', 'add')} nothing: {lies}."

    def _kept(self) -> list[int]:
        """Effects that are left when those that follow from the others are taken out, the last ones first."""
        covariance = self.root @ self.root.T
        total, kept = float(np.trace(covariance)), list(range(len(self.effects)))
        for k in reversed(range(len(self.effects))):
            rest = [j for j in kept if j != k]
            if _outside(covariance, rest) < EMPTY * total:
                kept = rest
        return kept


def _outside(covariance: FloatArray, kept: list[int]) -> float:
    """Variance of all effects that is left given those that are kept."""
    across = covariance[:, kept]
    explained = across @ np.linalg.pinv(covariance[np.ix_(kept, kept)], rcond=1e-10, hermitian=True) @ across.T
    return float(np.trace(covariance - explained))


def _named(effects: Sequence[str]) -> str:
    """Effects in words: ``the intercept and the slopes of x and time``."""
    slopes = [effect for effect in effects if effect != "Intercept"]
    named = ["the intercept"] if len(slopes) < len(effects) else []
    if slopes:
        listed = slopes[0] if len(slopes) == 1 else f"{', '.join(slopes[:-1])} and {slopes[-1]}"
        named.append(f"the {agree(slopes, 'slope', 'slopes')} of {listed}")
    return " and ".join(named)
