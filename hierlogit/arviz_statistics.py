"""ArviZ's statistics, imported without the parts of SciPy that few of them need.

SciPy's distributions and filters take longer to import than all of ArviZ. They are imported when they are first used.
"""

from __future__ import annotations

from . import arviz_settings as _arviz_settings  # noqa: F401 - imports what ArviZ's statistics rest on
from .late_imports import put_off

#: What modules of ArviZ import from SciPy by name.
OF_STATS = ("binom", "circmean", "dirichlet", "hypergeom", "norm", "wasserstein_distance", "wasserstein_distance_nd")

with put_off({"scipy.stats": OF_STATS, "scipy.signal": ("convolve", "convolve2d")}):
    import arviz_stats

__all__ = ["arviz_stats"]
