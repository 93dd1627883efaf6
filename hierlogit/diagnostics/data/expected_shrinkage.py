"""Reliability of the intercept of each cluster, and its expected shrinkage, before a fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import PriorError
from ...fits.findings import Finding
from ...validation import agree, mapping, one_of, quoted_list, real_number

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: Below this reliability, the overall mean has more weight in the effect of a cluster than its own outcomes.
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
    reliabilities: FloatArray = information / (information + 1)
    return reliabilities


def assumed_sds(model: ModelSpec, sd: float | Mapping[str, float] | None) -> dict[str, tuple[float, str]]:
    """The sd of the intercepts of each factor that has them, and where it comes from.

    Raises
    ------
    PriorError
        If `sd` is not positive, or names no grouping factor with a random intercept.
    """
    groups = {group.name: group for group in model.design.groups if "Intercept" in group.effects}
    if isinstance(sd, Mapping):
        given = mapping("sd", sd, PriorError, "standard deviations by grouping factor, {'g': 0.5}")
        given = {name: real_number(f"sd['{name}']", value, PriorError, above=0) for name, value in given.items()}
    else:
        given = {} if sd is None else dict.fromkeys(groups, real_number("sd", sd, PriorError, above=0))
    unknown = [name for name in given if name not in groups]
    if unknown:
        raise PriorError(
            f"sd: {quoted_list(unknown)} {agree(unknown, 'has', 'have')} no random intercept in the model; "
            f"{one_of(list(groups))}."
        )
    chosen = {}
    for name, group in groups.items():
        median = model.priors.sd[name][group.effects.index("Intercept")].quantile(0.5)
        chosen[name] = (given[name], "as given") if name in given else (median, "the median of its prior")
    return chosen


def shrinkage_findings(table: pd.DataFrame, sd: float, source: str) -> Iterator[Finding]:
    """A finding if most clusters are too small for precise effects."""
    low, name = int((table["reliability"] < HALF).sum()), table.index.name
    if low <= HALF * len(table):
        return
    yield Finding(
        "strong_shrinkage",
        "note",
        f"If the sd of '{name}' is {sd:.2g} ({source}), the intercepts of {low:,} of its {len(table):,} clusters have "
        f"a reliability below {HALF:g} (median {table['reliability'].median():.2f}): the overall mean has more weight "
        "in them than their own outcomes.",
        "Do not interpret or rank single clusters; fixed effects and the sd are estimated from all of them. "
        "hl.check_data(model, sd=...) computes reliabilities for another sd.",
    )
