"""Tables with outcomes simulated from a formula and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..design.outcome import Family
from ..design.table import with_columns
from ..design.table_sources import read_table
from ..errors import StudyError
from ..formula.parser import parse
from ..formula.terms import Response
from ..model import Model
from ..validation import seed_or_none
from .layouts import Layout
from .parameters import AssumedParameters
from .simulated_outcomes import simulated_outcome


def simulate(
    formula: str,
    layout: Layout | Any,
    *,
    beta: Mapping[str, float],
    sd: Mapping[str, Any] | None = None,
    cor: Mapping[str, Any] | None = None,
    phi: float | None = None,
    seed: int | None = None,
) -> pd.DataFrame:
    """A table with simulated outcomes: cluster effects are drawn first, then the outcomes given them.

    Parameters
    ----------
    formula : str
        As for `Model`. The outcome is a name, which becomes a column of 0 and 1, or ``p(successes, trials)`` with a
        column or a number of trials.
    layout : Layout or table
        The rows and their predictors. A column with the name of the outcome is replaced.
    beta : mapping of str to float
        All fixed effects on the logit scale, by label: ``{"Intercept": -1, "arm[new]": 0.5}``.
    sd : mapping of str to float or mapping, optional
        Standard deviations of the random effects on the logit scale, by grouping factor: ``{"school": 0.6}``, or by
        label, ``{"school": {"Intercept": 0.6, "time": 0.1}}``.
    cor : mapping of str to float or mapping, optional
        Correlations by grouping factor: ``{"school": -0.3}`` for all pairs of effects, or by label,
        ``{"school": {"Intercept, time": -0.3}}``; zero if not given.
    phi : float, optional
        Precision of beta-binomial counts, which vary more than binomial ones the smaller it is; see `Model`. Counts are
        binomial if not given.
    seed : int, optional
        Makes the table reproducible.

    Returns
    -------
    pandas.DataFrame
        The columns of the layout, and the outcome.

    Raises
    ------
    StudyError
        If a parameter is missing, unknown or out of range, or the outcome is of a form that cannot be simulated.

    Examples
    --------
    >>> import hierlogit as hl
    >>> layout = hl.Layout({"school": 40}, size=25, predictors={"x": "normal"})
    >>> rows = hl.simulate("y ~ x + (1 | school)", layout, beta={"Intercept": -1, "x": 0.5}, sd={"school": 0.8}, seed=1)
    >>> list(rows.columns), len(rows)
    (['school', 'x', 'y'], 1000)
    """
    assumed = AssumedParameters.given(beta, sd, cor, phi)
    random = np.random.default_rng(seed_or_none("seed", seed, StudyError))
    rows = layout.table(random) if isinstance(layout, Layout) else read_table(layout)
    model = model_without_outcome(formula, rows, assumed.family)
    y = simulated_outcome(model.design, assumed.of(model.design), random)
    return with_columns(rows, {model.formula.response.column: y.astype(np.int64)})


def model_without_outcome(formula: str, rows: pd.DataFrame, family: Family) -> Model:
    """The model of rows without outcomes; placeholders stand in for them.

    Raises
    ------
    StudyError
        If the outcome of the formula is of a form that cannot be simulated.
    """
    response = parse(formula).response
    _refuse_undrawable(response, rows)
    if len(rows) < 2:
        raise StudyError("a study needs two rows or more. Add rows to the table, or clusters to the layout.")
    # A model needs both outcomes.
    placeholders = with_columns(rows, {response.column: np.arange(len(rows)) % 2})
    return Model(formula, placeholders, missing="error", family=family)


def _refuse_undrawable(response: Response, rows: pd.DataFrame) -> None:
    if response.failures is not None:
        raise StudyError(
            f"the numbers of trials are unknown in cbind({response.column}, {response.failures}): write "
            f"p({response.column}, trials), with a column or a number of trials."
        )
    if response.computed:
        raise StudyError(
            f"simulated outcomes are counts, and those of {response.text} are computed: write p(successes, trials), "
            "with a name for the successes and a column or a number of trials."
        )
    if response.event is not None:
        raise StudyError(f"simulated outcomes are 0 or 1: write '{response.column}' without [{response.event}].")
    if isinstance(response.trials, str) and response.trials not in rows.columns:
        raise StudyError(f"the rows have no column '{response.trials}' of trials. Add it to the layout as a predictor.")
