"""Maximum likelihood and maximum a posteriori: Laplace, adaptive Gauss-Hermite quadrature, MAP."""
