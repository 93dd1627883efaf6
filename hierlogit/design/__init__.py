"""A formula and a table turned into design matrices, grouping factors and outcomes."""
