"""Tables of a fit: parameters, odds ratios, cluster effects, variance components, intervals."""
