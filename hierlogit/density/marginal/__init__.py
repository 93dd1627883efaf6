"""The likelihood with the random effects integrated out: Laplace and Gauss-Hermite quadrature."""
