"""Predictions, comparisons and slopes, for observed, new, average or typical clusters."""
