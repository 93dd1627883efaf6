"""`Fit` → `contextual_effects`: what differs between a predictor's effects between and within clusters, tested."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from ..design.design import Design
from ..errors import FitError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..result_table import ResultTable
from .expressions import written
from .hypotheses import hypotheses
from .hypothesis import adjusted_title

_BETWEEN = re.compile(r"between\((.+), (.+)\)", re.DOTALL)


@repeats_findings
def contextual_effects(
    fit: Fit,
    *,
    rope: tuple[float, float] | None = None,
    adjust: str | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> ResultTable:
    """Contextual effects: the effect of a predictor between clusters less its effect within clusters.

    With ``within(x, g) + between(x, g)`` in the formula, it is the difference between the two coefficients; with
    ``x + between(x, g)``, it is the coefficient of the cluster means, and the effect between clusters is the sum of
    both. The log-odds of two rows with the same x differ by the contextual effect if the means of x in their clusters
    differ by one unit. Where it is zero, one coefficient of x is enough.

    Parameters
    ----------
    fit : Fit
    rope, adjust, ci_prob, ci_kind
        As for `hypotheses`, of which each contextual effect is one.

    Returns
    -------
    ResultTable
        One row for each predictor whose cluster means are in the formula: ``variable``, ``group``, the coefficients
        ``within`` and ``between`` (posterior means for sampled fits), and the columns of `hypotheses` for their
        difference. Where these terms interact with others, it is the contextual effect where the others are zero or at
        their reference levels.

    Raises
    ------
    FitError
        If the formula has no ``between(x, g)`` with ``within(x, g)`` or x itself.

    References
    ----------
    Mundlak (1978), Econometrica 46: 69-85; Raudenbush and Bryk (2002), Hierarchical Linear Models, 2nd edition,
    chapter 5; Enders and Tofighi (2007), Psychological Methods 12: 121-138.

    Examples
    --------
    >>> import hierlogit as hl
    >>> data = hl.datasets.load("contraception")
    >>> model = hl.Model("use ~ within(age, district) + between(age, district) + (1 | district)", data)
    >>> hl.contextual_effects(model.fit("laplace"))[["variable", "within", "between", "estimate", "p_value"]]
    Contextual effects (logit scale)
      variable   within  between  estimate  p_value
      age       0.00898  -0.0181   -0.0271    0.525
    """
    require_fit(fit)
    found = _contexts(fit.model.design)
    if not found:
        raise FitError(
            "the model has no contextual effect: its formula has no between(x, g), the mean of x in the clusters of g, "
            "with within(x, g) or x beside it. Write within(x, g) + between(x, g) in place of x."
        )
    parts = hypotheses(fit, [f"{part} = 0" for one in found for part in (one.within, one.between)])
    values = parts["mean" if fit.estimate is None else "estimate"].to_numpy()
    stated = [f"{one.difference} = 0" for one in found]
    tests = hypotheses(fit, stated, rope=rope, adjust=adjust, ci_prob=ci_prob, ci_kind=ci_kind)
    described = pd.DataFrame(
        {
            "variable": [one.variable for one in found],
            "group": [one.group for one in found],
            "within": values[::2],
            "between": values[1::2],
        }
    )
    table = pd.concat([described, pd.DataFrame(tests.drop(columns="hypothesis"))], axis=1)
    title = adjusted_title("Contextual effects (logit scale)", adjust)
    return ResultTable.of(table, title, data=["variable", "group"], spare=("se", "df", "t", "z", "sd"))


@dataclass(frozen=True)
class _Context:
    """The effects of a variable within and between clusters, as expressions of coefficients, and their difference."""

    variable: str
    group: str
    within: str
    between: str
    difference: str


def _contexts(design: Design) -> list[_Context]:
    found = []
    for label, parts in zip(design.fixed_effects, design.fixed_parts, strict=True):
        match = _BETWEEN.fullmatch(label)
        if match is None or len(parts) != 1:  # interactions have no contextual effect of their own
            continue
        variable, group = match.groups()
        means, deviations = written(label), f"within({variable}, {group})"
        if deviations in design.fixed_effects:
            found.append(_Context(variable, group, deviations, means, f"{means} - {deviations}"))
        elif variable in design.fixed_effects:
            own = written(variable)
            found.append(_Context(variable, group, own, f"{own} + {means}", means))
    return found
