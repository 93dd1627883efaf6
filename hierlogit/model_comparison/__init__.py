"""Comparing models: leave-one-out, likelihood ratios, completed likelihood, one model by several engines."""
