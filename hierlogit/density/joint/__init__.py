"""The joint log density of all parameters and random effects, compiled for NUTS."""
