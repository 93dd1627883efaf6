"""Compiled loops over rows and columns, shared by the densities."""
