"""Variance within and between clusters: ICC, VPC, MOR, IOR, R2, attenuation and partial pooling."""
