"""Checks of a fit, one family to a file; `hierlogit.checking` runs them all."""
