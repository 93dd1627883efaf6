"""Compilation with Numba, and arrays passed to compiled functions."""

from importlib.util import find_spec

from ..late_imports import put_off

# Numba reads a file of settings with it, if there is one in the working folder.
with put_off({name: () for name in ["yaml"] if find_spec(name) is not None}):
    import numba.core.config  # noqa: F401
