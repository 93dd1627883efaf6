"""Reading saved fits and stored runs of the sampler."""
