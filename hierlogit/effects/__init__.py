"""Predictions, comparisons and slopes, and which clusters they are for."""
