"""Variance within and between clusters: ICC, VPC, MOR, R-squared, attenuation, partial pooling."""
