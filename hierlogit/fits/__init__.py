"""Fits: model, draws, diagnostics and estimate, and the file that stores them."""
