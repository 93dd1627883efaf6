"""What the picture of a table of the clusters' effects needs to know beside the table."""

from __future__ import annotations

from dataclasses import dataclass

from ..pictures import Picture


@dataclass(frozen=True)
class ClusterPicture(Picture):
    """How a table of the clusters' deviations or coefficients is drawn.

    Attributes
    ----------
    fixed : tuple of tuple, or None
        Fixed effects, each with its label, about which coefficients lie; None for deviations, which lie about zero.
    """

    fixed: tuple[tuple[str, float], ...] | None = None
