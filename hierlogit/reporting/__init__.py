"""The report: one HTML page, with a module for each section."""
