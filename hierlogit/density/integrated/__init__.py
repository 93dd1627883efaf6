"""The joint density with one factor's effects integrated out by Gauss-Hermite quadrature, compiled for NUTS."""
