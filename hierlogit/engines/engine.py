"""What every engine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec


@runtime_checkable
class Engine(Protocol):
    """What every engine can do."""

    def run[M: ModelSpec](self, model: M) -> Fit[M]:
        """Estimate `model`."""
        ...
