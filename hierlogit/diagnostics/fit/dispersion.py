"""Whether counts vary more between rows than binomial ones: the Pearson statistic of rows with several trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .measures import Measure

if TYPE_CHECKING:
    from ...engines.maximum.refitted import RefittedModel
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
#: Names of a column that numbers the rows; the first that the formula does not use.
ROW_NAMES = ("row", "row_number", "row_of_table")


def dispersion_measures(model: ModelSpec) -> list[Measure]:
    """Dispersion of counts, if there are rows with several trials and no effects of single rows."""
    design = model.design
    counts, rows = bool(np.any(design.outcome.trials > 1)), design.n_rows
    return [_dispersion(model)] if counts and all(len(group.levels) < rows for group in design.groups) else []


def _dispersion(model: ModelSpec) -> Measure:
    """Pearson's statistic per row (McCullagh and Nelder 1989, Generalized Linear Models, section 4.5)."""

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        return (
            "Counts of rows with the same probability differ more than binomial ones: their variance is "
            f"{value:.3g} times the binomial one, in simulated data {simulated.mean():.2g} times, so that standard "
            "errors are too small"
        )

    name = next(name for name in ROW_NAMES if name not in model.design.table.frame or name == ROW_NAMES[-1])
    remedy = (
        "Rows differ by what the model does not know. Start with this finding, which causes others: give each row an "
        "effect of its own, "
        f"hl.Model({f'{model.formula.text} + (1 | {name})'!r}, data.assign({name}=range(len(data))))."
    )
    return Measure("overdispersion", "", "Pearson statistic per row", "upper", pearson_per_row, evidence, remedy)


def pearson_per_row(fitted: RefittedModel) -> float:
    """Mean of the squared Pearson residuals of the rows with several trials."""
    several = (fitted.trials > 1) & (fitted.weight > 0)
    if not several.any():
        return np.nan
    return float(np.mean(fitted.residual[several] ** 2 / fitted.weight[several]))
