"""What tests, examples in docstrings and examples in documents share: the width of the screen."""

import os

# Texts are as narrow as the terminal, so what examples show would depend on where they run: worker processes of pytest
# are told that a screen has 80 characters, by the readline library that the first process imports.
os.environ["COLUMNS"] = "100"
