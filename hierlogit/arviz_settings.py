"""ArviZ's settings, imported without a search for packages that its conversions of other samplers' results need.

Where they are not installed, it looks for the place in all modules that are loaded, to name it in an error message.
"""

from __future__ import annotations

from .late_imports import put_off

with put_off({"jax": (), "numpyro": ()}):
    from arviz_base import rcParams

__all__ = ["rcParams"]
