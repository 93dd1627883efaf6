"""Standard deviations of design columns, and the check that no column depends linearly on others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import DesignError
from ..validation import quoted_list

FloatArray = npt.NDArray[np.float64]

#: A column depends on the previous ones if the norm of its residual is below this share of its own norm.
RANK_TOLERANCE = 1e-10


def column_sds(columns: FloatArray) -> FloatArray:
    """Standard deviation of each column, 1 for columns that do not vary; shape (p,)."""
    sds = columns.std(axis=0, ddof=1) if len(columns) > 1 else np.zeros(columns.shape[1])
    constant = sds <= 1e-12 * np.abs(columns).max(axis=0, initial=0.0)
    return np.where(constant, 1.0, sds)


def refuse_dependent(columns: FloatArray, labels: Sequence[str], where: str) -> None:
    """Check that no column is a linear combination of others.

    Raises
    ------
    DesignError
        If one is; the message names the column and the others.
    """
    norms = np.linalg.norm(columns, axis=0)
    independent: list[int] = []
    basis = np.empty_like(columns, order="F")
    for j, label in enumerate(labels):
        column = columns[:, j] / (norms[j] or 1.0)
        before = basis[:, : len(independent)]
        rest = column - before @ (before.T @ column)
        rest -= before @ (before.T @ rest)  # two passes are enough (Giraud, Langou and Rozloznik 2005)
        size = float(np.linalg.norm(rest))
        if size > RANK_TOLERANCE:
            basis[:, len(independent)] = rest / size
            independent.append(j)
            continue
        share = (
            np.linalg.lstsq(columns[:, independent] / norms[independent], column, rcond=None)[0]
            if independent
            else np.empty(0)
        )
        others = [labels[k] for k, value in zip(independent, share, strict=True) if abs(value) > 1e-7]
        description = f"a linear combination of {quoted_list(others)}" if others else "zero in every row"
        raise DesignError(
            f"in {where}, the column '{label}' is {description}, so its effect is not identified. Leave "
            f"{'one of these terms' if others else 'it'} out of the formula."
        )
