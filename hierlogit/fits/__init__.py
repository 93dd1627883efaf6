"""A fit: model, draws, diagnostics and estimate, and the file that holds them."""
