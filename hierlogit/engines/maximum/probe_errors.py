"""How far random vectors leave the log-likelihood and the estimates uncertain, where H is not factorised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...density.marginal.iterative_part import PROBES, IterativePart
from ...fits.findings import Finding

if TYPE_CHECKING:
    from .search_result import SearchResult

#: The vectors are divided into so many sets, whose gradients are compared.
SETS = 4
#: An error above this share of a standard error is a warning.
LARGE_ERROR = 0.2


def probe_errors(result: SearchResult) -> list[Finding]:
    """A finding about log-determinants that are estimated."""
    objective, optimum, laplace = result.objective, result.optimum, result.laplace
    parts = [part for part in laplace.parts_without_schur if isinstance(part, IterativePart)]
    if not parts or not optimum.positive_definite:
        return []
    variance = sum(float(part.log_dets.var(ddof=1)) for part in parts) / PROBES
    psi = optimum.point.psi
    at = (laplace.arrangement.triangular @ psi[: objective.p], objective.flat_cholesky(psi))
    gradients = []
    for one in [*(slice(k, None, SETS) for k in range(SETS)), slice(None)]:  # at last all of them again
        for part in parts:
            part.use_probes(one)
        gradients.append(objective.gradient_of(laplace.evaluate(*at)))
    shifts = np.array(gradients[:-1]) @ optimum.covariance
    errors = np.sqrt(np.diag(optimum.covariance))
    known = errors > 0.0
    moved = float((shifts.std(axis=0, ddof=1)[known] / errors[known]).max(initial=0.0)) / np.sqrt(SETS)
    uncertain = 0.5 * np.sqrt(variance)
    return [
        Finding(
            "estimated_determinant",
            "warning" if not moved <= LARGE_ERROR else "note",
            f"{PROBES} random vectors leave the log-likelihood a standard error of {uncertain:.2g}, and each estimate "
            f"one of at most {moved:.1g} times the standard error that the data leave it.",
            "Do not compare models by log-likelihoods, AIC or BIC that differ by less than a few of these errors.",
        )
    ]
