"""Numerical integration over random effects, for predictions."""
