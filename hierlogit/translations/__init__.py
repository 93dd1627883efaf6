"""One model in other languages: words, LaTeX, PyMC, Bambi."""
