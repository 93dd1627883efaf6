"""Compilation with Numba, and arrays passed to compiled functions."""
