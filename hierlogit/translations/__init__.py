"""Translations of a model: words, LaTeX and MathML, a PyMC program, and Bambi."""
