"""Log densities of a model: priors, linear predictors, the PyMC graph, and the compiled densities."""
