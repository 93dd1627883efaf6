"""Validation on new clusters: predictions of clusters that a fit has not seen, and how good they are."""
