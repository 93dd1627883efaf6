"""Repeated fits: parametric bootstrap, simulation, power."""
