"""The choice of a grouping factor of a model of shards."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import FitError
from ..validation import one_of, text, unknown_names


def chosen_factor(names: Sequence[str], group: str | None) -> int:
    """Position of a grouping factor, which may be left out if there is only one.

    Raises
    ------
    FitError
        If there is no such factor, or none is given where there are several.
    """
    if group is None and len(names) > 1:
        raise FitError(f"the model has several grouping factors: pass group=; {one_of(names)}.")
    factor = names[0] if group is None else text("group", group, FitError)
    if factor not in names:
        raise FitError(unknown_names("group", [factor], names, "grouping factor"))
    return names.index(factor)
