"""Simulated studies: parametric bootstrap, data simulation and power."""
