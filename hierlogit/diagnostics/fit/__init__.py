"""Checks of a fit, one family of tests to a file; `check` runs them all."""
