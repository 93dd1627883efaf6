"""Compilation with Numba, and arrays passed to compiled functions."""

from ..late_imports import put_off

# Numba reads a file of settings with it, if there is one in the working folder.
with put_off({"yaml": ()}):
    import numba.core.config  # noqa: F401
