"""The marginal likelihood, by the Laplace approximation or Gauss-Hermite quadrature over the random effects."""
