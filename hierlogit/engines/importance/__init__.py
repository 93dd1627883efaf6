"""Importance sampling of the marginal posterior."""
