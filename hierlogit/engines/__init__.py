"""Ways of estimating a model; each engine is a value that holds its own options."""
