"""The maximum of what an approach maximises: the likelihood, the posterior density or the restricted likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .restricted import restricted_maximum
from .sandwich import with_sandwich
from .search_result import SearchResult

if TYPE_CHECKING:
    from .objective import Objective, Point
    from .search_result import Approach

FloatArray = npt.NDArray[np.float64]


def search_maximum(approach: Approach, objective: Objective, start: Point, scale: FloatArray) -> SearchResult:
    """The end of a search.

    Parameters
    ----------
    approach : Approach
    objective : Objective
        The approach's likelihood, with the priors if it is penalised.
    start : Point
    scale : ndarray, shape (m, m)
        Directions of the search, of about one standard error each.

    Raises
    ------
    EngineError
        If the restricted likelihood does not exist.
    """
    found = SearchResult.of(objective, start, scale)
    if objective.model.design.sampling is not None:
        return with_sandwich(found)
    # Without fixed effects, both likelihoods are the same.
    return restricted_maximum(found) if approach.restricted and objective.p else found
