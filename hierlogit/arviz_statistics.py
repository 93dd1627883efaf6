"""ArviZ's statistics, imported without the parts of SciPy that few of them need.

SciPy's distributions, transforms, filters, splines and optimisers take longer to import than all of ArviZ. They are
imported when they are first used.
"""

from __future__ import annotations

from . import arviz_settings as _arviz_settings  # noqa: F401 - imports what ArviZ's statistics rest on
from .late_imports import put_off

#: What modules of ArviZ import from parts of SciPy by name.
FROM_SCIPY = {
    "scipy.fftpack": ("next_fast_len",),
    "scipy.interpolate": ("CubicSpline",),
    "scipy.optimize": ("Bounds", "LinearConstraint", "brentq", "isotonic_regression", "minimize"),
    "scipy.signal": ("convolve", "convolve2d"),
    "scipy.signal.windows": ("gaussian",),
    "scipy.spatial": ("cKDTree",),
    "scipy.stats": (
        *("binom", "circmean", "dirichlet", "hypergeom", "norm"),
        *("wasserstein_distance", "wasserstein_distance_nd"),
    ),
}

with put_off(FROM_SCIPY):
    import arviz_stats

__all__ = ["arviz_stats"]
