"""Checks of the data before a fit, one family to a file; `hierlogit.data_checking` runs them all."""
