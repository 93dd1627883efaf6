"""How far the intercept of each cluster can be told from its own outcomes, before a fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import PriorError
from ...fits.findings import Finding
from ...validation import quoted_list

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: Below this reliability the mean of all clusters counts more in a cluster's effect than its own outcomes.
HALF = 0.5


def reliability(trials: FloatArray, share: float, sd: float) -> FloatArray:
    """Reliability of a cluster's intercept: ``sd^2 / (sd^2 + 1 / (trials p (1 - p)))``, elementwise.

    The factor by which the deviation of a cluster is expected to be shrunken towards zero, with p the share of events.

    Examples
    --------
    >>> reliability(np.array([4.0, 40.0]), 0.5, 1.0).round(2)
    array([0.5 , 0.91])
    """
    information = trials * share * (1 - share) * sd**2
    found: FloatArray = information / (information + 1)
    return found


def assumed_sds(model: ModelSpec, sd: float | Mapping[str, float] | None) -> dict[str, tuple[float, str]]:
    """The sd of the intercepts of each factor that has them, and where it comes from.

    Raises
    ------
    PriorError
        If `sd` is not positive, or names no grouping factor with a random intercept.
    """
    groups = {group.name: group for group in model.design.groups if "Intercept" in group.effects}
    given = dict(sd) if isinstance(sd, Mapping) else {} if sd is None else dict.fromkeys(groups, sd)
    unknown = [name for name in given if name not in groups]
    if unknown:
        raise PriorError(
            f"sd has {quoted_list(unknown)}, but the grouping factors with a random intercept are "
            f"{quoted_list(list(groups))}."
        )
    for name, value in given.items():
        if not _is_positive(value):
            raise PriorError(f"sd={value!r} of '{name}' must be a number above 0, on the logit scale.")
    chosen = {}
    for name, group in groups.items():
        median = model.priors.sd[name][group.effects.index("Intercept")].quantile(0.5)
        chosen[name] = (float(given[name]), "as given") if name in given else (median, "the median of its prior")
    return chosen


def _is_positive(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < np.inf


def shrinkage_findings(table: pd.DataFrame, sd: float, source: str) -> Iterator[Finding]:
    """Say so if most clusters are too small for effects of their own."""
    low, name = int((table["reliability"] < HALF).sum()), table.index.name
    if low <= HALF * len(table):
        return
    yield Finding(
        "strong_shrinkage",
        "note",
        f"If the sd of '{name}' is {sd:.2g} ({source}), the intercepts of {low:,} of its {len(table):,} clusters have "
        f"a reliability below {HALF:g} (median {table['reliability'].median():.2f}): the mean of all clusters counts "
        "more in them than their own outcomes.",
        "Read and rank no single clusters; fixed effects and the sd rest on all of them. hl.check_data(model, sd=...) "
        "shows it for another sd.",
    )
