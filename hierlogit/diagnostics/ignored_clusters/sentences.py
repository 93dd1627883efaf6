"""What ignoring clusters does to each coefficient, in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...design.design import Design
from ...formatting import number, percent

#: Standard errors that are wrong by a smaller share count as right.
RIGHT = 0.05
#: Rates with at least this Monte Carlo standard error are whole percentages.
ROUNDED = 0.005


def sentences(
    design: Design, table: pd.DataFrame, mixed: pd.DataFrame, alpha: float, simulations: int
) -> Iterator[str]:
    """A sentence about all coefficients, and a few about each of them except the intercept.

    Parameters
    ----------
    design : Design
    table : pandas.DataFrame
        As of `IgnoringClusters`.
    mixed : pandas.DataFrame
        From `conditional_vs_average`.
    alpha : float
        Significance level of the naive tests.
    simulations : int
        Number of simulated data sets, for each coefficient.
    """
    point = "estimate" if ("average", "estimate") in mixed else "mean"
    factor = float((mixed["approximate", point] / mixed["conditional", point]).median())
    yield (
        "Naive coefficients estimate population averages, which are here about "
        f"{number(factor)} times the coefficients given the cluster."
    )
    for label in table.index:
        if label != "Intercept":
            yield " ".join(_about(design, str(label), table.loc[label], alpha, simulations))


def _about(design: Design, label: str, row: pd.Series[float], alpha: float, simulations: int) -> Iterator[str]:
    error = float(np.sqrt(row["design_effect"]))
    place = f"'{label}' ({_place(design, row)}):"
    if error > 1 + RIGHT:
        yield (
            f"{place} its naive standard error is too small by a factor of {number(error)}, and "
            f"{design.outcome.trials.sum():,.0f} outcomes tell as much about it as {row['effective_n']:,.0f} "
            "independent ones."
        )
    elif error < 1 - RIGHT:
        yield (
            f"{place} its naive standard error is too large by a factor of {number(1 / error)}, since differences "
            "between clusters do not blur comparisons within them."
        )
    else:
        yield f"{place} its naive standard error is about right."
    if np.isfinite(row.get("false_positive", np.nan)):
        yield (
            f"If it were zero, its naive test at the {percent(alpha, 0)} level would be significant in "
            f"{_share_of(row['false_positive'], row['false_positive_mcse'], simulations)}."
        )


def _share_of(rate: float, mcse: float, simulations: int) -> str:
    """The share of simulated data sets, with the decimals that its Monte Carlo standard error leaves.

    Examples
    --------
    >>> _share_of(0.09, 0.029, 100), _share_of(0.179, 0.0038, 10_000), _share_of(0.0, 0.0, 200)
    ('9% of data sets', '17.9% of data sets', 'none of 200 data sets')
    >>> _share_of(1.0, 0.0, 200)
    'all 200 data sets'
    """
    if rate in (0, 1):
        return f"{'all' if rate else 'none of'} {simulations:,} data sets"
    return f"{percent(rate, 0 if mcse >= ROUNDED else 1)} of data sets"


def _place(design: Design, row: pd.Series[float]) -> str:
    """Where a predictor varies: the share of its variance between the clusters of each factor."""
    shares = [(group.name, float(row[f"between_{group.result_name}"])) for group in design.groups]
    known = [(name, share) for name, share in shares if np.isfinite(share)]
    if not known:
        return "every cluster has one row"
    (first, share), *others = known
    inside = "".join(f", {percent(share, 0)} between those of '{name}'" for name, share in others)
    return f"{percent(share, 0)} of its variance between the clusters of '{first}'{inside}"
