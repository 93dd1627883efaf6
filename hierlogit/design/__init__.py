"""Design of a model: outcomes, design matrices and grouping factors from a formula and a table."""
