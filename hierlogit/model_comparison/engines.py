"""One model by every engine side by side: where approximations agree, and where they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..engines.maximum.agq import AGQ
from ..engines.maximum.integrator import integrator
from ..engines.maximum.laplace import Laplace
from ..engines.maximum.map import MAP
from ..engines.nuts.nuts import NUTS
from ..engines.registry import resolve_engine
from ..errors import EngineError, FitError
from ..fits.posterior import parameter_draws
from ..summaries.wald_profile import summary_of_estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..engines.engine import Engine
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec


def compare_engines(model: ModelSpec, engines: Mapping[str, Engine] | None = None) -> pd.DataFrame:
    """Fit a model by Laplace's method, quadrature, MAP and NUTS, and compare.

    Parameters
    ----------
    model : Model
    engines : mapping of str to Engine, optional
        What to compare, by the name of its columns; the last one is what the others are compared with. By default
        Laplace, AGQ where quadrature can do the model, MAP and NUTS.

    Returns
    -------
    pandas.DataFrame
        One row for each parameter and a last one, ``log_likelihood``, for engines that have one. Columns in two levels,
        engine and ``estimate`` (of NUTS the posterior mean), ``error`` (standard error; posterior sd) and, but for the
        last engine, ``differs``: whether the estimate is further from that of the last engine than its own error.
        Likelihoods use no priors, so that differences are due to them as well as to approximations.

    Raises
    ------
    FitError
        If there are fewer than two engines.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))
    >>> table = hl.compare_engines(model, {"Laplace": hl.Laplace(), "AGQ": hl.AGQ(nodes=25)})
    >>> bool(table["Laplace", "differs"].any())
    False
    """
    chosen = _default_engines(model) if engines is None else dict(engines)
    if len(chosen) < 2:
        raise FitError(
            "compare_engines compares engines: give two or more, {'Laplace': hl.Laplace(), 'NUTS': hl.NUTS()}."
        )
    columns: dict[tuple[str, str], pd.Series[float]] = {}
    for name, engine in chosen.items():
        estimates, errors = _estimates(resolve_engine(engine).run(model))
        columns[name, "estimate"], columns[name, "error"] = estimates, errors
    table = pd.DataFrame(columns)
    last = list(chosen)[-1]
    for name in list(chosen)[:-1]:
        off = (table[name, "estimate"] - table[last, "estimate"]).abs()
        table[name, "differs"] = off > table[name, "error"]
    return table[
        [(name, what) for name in chosen for what in ("estimate", "error", "differs") if (name, what) in table]
    ]


def _default_engines(model: ModelSpec) -> dict[str, Engine]:
    engines: dict[str, Engine] = {"Laplace": Laplace(), "AGQ": AGQ(), "MAP": MAP(), "NUTS": NUTS()}
    try:
        integrator(model.design, AGQ().nodes)
    except EngineError:
        del engines["AGQ"]
    return engines


def _estimates(fit: Fit) -> tuple[pd.Series[float], pd.Series[float]]:
    if fit.estimate is None:
        draws = parameter_draws(fit.model, fit.posterior)
        index = pd.Index(draws["parameter"].to_numpy(), name="parameter")
        values = draws.to_numpy().reshape(-1, len(index))
        return pd.Series(values.mean(axis=0), index), pd.Series(values.std(axis=0, ddof=1), index)
    table = summary_of_estimate(fit, "wald", 0.5, progress=False)
    likelihood = pd.Series([fit.estimate.log_likelihood], ["log_likelihood"])
    nothing = pd.Series([np.nan], ["log_likelihood"])
    estimates, errors = pd.concat([table["estimate"], likelihood]), pd.concat([table["se"], nothing])
    return estimates.rename_axis("parameter"), errors.rename_axis("parameter")
