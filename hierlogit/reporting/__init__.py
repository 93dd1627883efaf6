"""A report of fits on one page, one section to a file; `page` puts them together."""
