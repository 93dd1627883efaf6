"""Checks of the data before a fit, one kind to a file; `check_data` runs them all."""
