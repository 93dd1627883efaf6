"""`simulate`: a table with outcomes drawn from a formula and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..design.table import read_table
from ..errors import StudyError
from ..formula.parser import parse
from ..formula.terms import Response
from ..model import Model
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
    seed: int | None = None,
) -> pd.DataFrame:
    """Draw the outcomes of a study: effects of new clusters, then successes given them.

    Parameters
    ----------
    formula : str
        As of `Model`; the outcome is a name, which becomes a column of 0 and 1, or ``p(successes, trials)`` with a
        column or a number of trials.
    layout : Layout or table
        The rows and their predictors. A column of the outcome's name is replaced.
    beta : mapping of str to float
        Every fixed effect, by label: ``{"Intercept": -1, "arm[new]": 0.5}``, on the logit scale.
    sd : mapping of str to float or mapping
        Sds of the effects by grouping factor: ``{"school": 0.6}``, or by label,
        ``{"school": {"Intercept": 0.6, "time": 0.1}}``.
    cor : mapping of str to float or mapping, optional
        Correlations by grouping factor: ``{"school": -0.3}`` for each two effects, or by label,
        ``{"school": {"Intercept, time": -0.3}}``; zero where none is given.
    seed : int, optional
        Repeats the table exactly.

    Returns
    -------
    pandas.DataFrame
        The layout's columns and the outcome.

    Raises
    ------
    StudyError
        If a parameter is missing, unknown or impossible.

    Examples
    --------
    >>> import hierlogit as hl
    >>> layout = hl.Layout({"school": 40}, size=25, predictors={"x": "normal"})
    >>> rows = hl.simulate("y ~ x + (1 | school)", layout, beta={"Intercept": -1, "x": 0.5}, sd={"school": 0.8}, seed=1)
    >>> list(rows.columns), len(rows)
    (['school', 'x', 'y'], 1000)
    """
    random = np.random.default_rng(seed)
    rows = layout.table(random) if isinstance(layout, Layout) else read_table(layout)
    model = model_without_outcome(formula, rows)
    y = simulated_outcome(model.design, AssumedParameters(beta, sd or {}, cor or {}).of(model.design), random)
    return rows.assign(**{model.formula.response.column: y.astype(np.int64)})


def model_without_outcome(formula: str, rows: pd.DataFrame) -> Model:
    """The model of rows whose outcomes are not known yet; those it has mean nothing.

    Raises
    ------
    StudyError
        If the formula's outcome is not of a kind that can be drawn.
    """
    response = parse(formula).response
    _refuse_undrawable(response, rows)
    if len(rows) < 2:
        raise StudyError("a study needs two rows or more.")
    # Both outcomes have to occur.
    return Model(formula, rows.assign(**{response.column: np.arange(len(rows)) % 2}), missing="error")


def _refuse_undrawable(response: Response, rows: pd.DataFrame) -> None:
    if response.failures is not None:
        raise StudyError(
            f"cbind({response.column}, {response.failures}) does not say how many trials there are: write "
            f"p({response.column}, trials), with a column or a number of trials."
        )
    if response.event is not None:
        raise StudyError(f"a simulated '{response.column}' is 0 or 1: write it without [{response.event}].")
    if isinstance(response.trials, str) and response.trials not in rows.columns:
        raise StudyError(
            f"the rows have no column '{response.trials}' of trials; give it to the layout as a predictor."
        )
