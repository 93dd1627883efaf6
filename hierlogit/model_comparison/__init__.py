"""Comparison of models: leave-one-out, likelihood ratios, information criteria; and of engines on one model."""
