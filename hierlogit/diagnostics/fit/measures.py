"""Measures and results of checks, the adjustment of their p-values, and the findings made from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...fits.findings import FINDING_KINDS, Finding, Severity
from ...result_table import ResultTable
from ...studies.tail_probability import Tail

if TYPE_CHECKING:
    from ...engines.maximum.refitted import RefittedModel

FloatArray = npt.NDArray[np.float64]
#: Smaller p-values are not printed: they depend on the tail of a distribution fitted to simulated data.
SMALLEST = 1e-4


@dataclass(frozen=True)
class Measure:
    """A statistic of refitted outcomes that is compared with its values in simulated data.

    Attributes
    ----------
    check : str
        Name of the check, which is the code of its finding.
    about : str
        Grouping factor, effect or predictor; empty if the check is about the whole model.
    statistic : str
        What the statistic is, in words.
    tail : {"upper", "both"}
        Whether only large values speak against the model, or small ones too.
    of : callable
        Refitted model -> value of the statistic; not a number if it cannot be computed.
    evidence : callable
        Refitted model, observed value and simulated values -> evidence of the finding.
    remedy : str
    """

    check: str
    about: str
    statistic: str
    tail: Tail
    of: Callable[[RefittedModel], float]
    evidence: Callable[[RefittedModel, float, FloatArray], str]
    remedy: str


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes
    ----------
    check, about, statistic : str
        As in `Measure`.
    value, expected : float
        The statistic, and its mean if the model is right.
    p_value : float
        Not a number for a check with a threshold.
    beyond : bool
        Whether a check with a threshold exceeds it.
    evidence, remedy : str
        Of the finding; if the check was not made, the evidence says why.
    """

    check: str
    about: str
    statistic: str
    value: float
    expected: float
    p_value: float
    beyond: bool
    evidence: str
    remedy: str

    @classmethod
    def not_made(cls, check: str, about: str, statistic: str, why: str) -> CheckResult:
        """The result of a check that cannot be made, with the reason."""
        return cls(check, about, statistic, np.nan, np.nan, np.nan, False, why, "")

    @property
    def severity(self) -> Severity:
        """Severity of the finding, if it is one."""
        (severity,) = FINDING_KINDS[self.check].severities
        return severity

    def finding(self, adjusted: float) -> Finding:
        """The finding, with the p-value and the adjusted p-value if the check has them."""
        p = f"p = {self.p_value:.2g}" if self.p_value >= SMALLEST else f"p < {SMALLEST:g}"
        p_values = "" if np.isnan(self.p_value) else f" ({p}, adjusted for all checks {adjusted:.2g})"
        return Finding(self.check, self.severity, f"{self.evidence}{p_values}.", self.remedy)


def adjusted_for_number(p_values: FloatArray, simulated: FloatArray) -> FloatArray:
    """p-values adjusted for their number and their dependence.

    The adjusted p-value is the fraction of simulated data sets whose smallest p-value is as small: the step-down
    procedure of Westfall and Young (1993), Resampling-Based Multiple Testing, algorithm 2.8. If the model is right, the
    probability that any adjusted p-value falls below alpha is alpha.

    Parameters
    ----------
    p_values : ndarray, shape (k,)
        Values that are not numbers are ignored.
    simulated : ndarray, shape (replicates, k)
        p-values of simulated data.

    Examples
    --------
    >>> simulated = np.random.default_rng(1).uniform(size=(999, 3))
    >>> adjusted_for_number(np.array([0.01, np.nan, 0.5]), simulated).round(1)
    array([0. , nan, 0.5])
    """
    adjusted = np.full(len(p_values), np.nan)
    order = [int(k) for k in np.argsort(p_values) if not np.isnan(p_values[k])]
    largest = 0.0
    for rank, k in enumerate(order):
        smallest = simulated[:, order[rank:]].min(axis=1)
        largest = max(largest, (1 + int((smallest <= p_values[k]).sum())) / (1 + len(simulated)))
        adjusted[k] = largest
    return adjusted


def as_table(results: Sequence[CheckResult], adjusted: FloatArray, found: npt.NDArray[np.bool_]) -> ResultTable:
    """One row for each check."""
    names = ("check", "about", "statistic", "value", "expected", "p_value")
    table = pd.DataFrame({name: [getattr(result, name) for result in results] for name in names})
    table["adjusted_p"], table["found"] = adjusted, found
    table["not_made"] = [result.evidence if np.isnan(result.value) else "" for result in results]
    return ResultTable.of(table, "Checks of the fit", spare=["not_made", "statistic", "p_value"])
