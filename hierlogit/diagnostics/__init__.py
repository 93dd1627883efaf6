"""Whether to believe a fit: checks of the data, of the fit, of its predictions and of single clusters."""
