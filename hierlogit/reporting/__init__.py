"""A report on one page of HTML, one section to a file; `page` puts them together."""
