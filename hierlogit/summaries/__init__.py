"""Tables of a fit: parameters, odds ratios, cluster effects and variance components, with intervals."""
