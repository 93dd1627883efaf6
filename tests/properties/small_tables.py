"""Warnings of models that the small tables of generated models cannot avoid."""

import pytest

#: The generated tables are small, and models warn of few events, few clusters and effects that rows cannot tell.
EXPECTED_WARNINGS = [
    pytest.mark.filterwarnings(f"ignore:{beginning}:hierlogit.errors.DataWarning")
    for beginning in (
        r"[\d,]+ (non-)?events for",
        r"\d correlated effects of",
        r"'[xz]'.* constant in every one of",
        r"'[xz]'.* and the intercept account for all differences",
        r"'[gk]' and '[gk].h' are the same \d+ clusters",
        r"Each of the \d+ clusters of '.*' has a single trial",
    )
]
