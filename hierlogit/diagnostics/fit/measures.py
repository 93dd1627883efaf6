"""What one check found, how many of them count as found, and how they become findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...fits.findings import FINDING_KINDS, Finding, Severity

if TYPE_CHECKING:
    from .refitted import RefittedModel

FloatArray = npt.NDArray[np.float64]
Tail = Literal["upper", "both"]
#: Smaller p-values are not told apart: they rest on the tail of a distribution fitted to simulated data.
SMALLEST = 1e-4


@dataclass(frozen=True)
class Measure:
    """A number of the outcomes and their fit whose value in simulated data says what to expect.

    Attributes
    ----------
    check : str
        Name of the check, and of its finding.
    about : str
        What it is of: a grouping factor, an effect; empty if of everything.
    statistic : str
        What the number is.
    tail : {"upper", "both"}
        Whether large values speak against the model, or small ones too.
    of : callable
        The number; not a number if it cannot be computed.
    evidence : callable
        What a person reads, of the outcomes with their fit, the number and the simulated numbers.
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
        As of a `Measure`.
    value, expected : float
        The number, and what it would be on average if the model were right.
    p_value : float
        Not a number for a check that has a threshold instead.
    beyond : bool
        Whether such a check is beyond its threshold.
    evidence, remedy : str
        Of the finding; of a check that could not be made, the evidence says why not.
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
        """A check that the fit does not allow, and why."""
        return cls(check, about, statistic, np.nan, np.nan, np.nan, False, why, "")

    @property
    def severity(self) -> Severity:
        """Severity of the finding, if it is one."""
        (severity,) = FINDING_KINDS[self.check].severities
        return severity

    def finding(self, adjusted: float) -> Finding:
        """The finding, with the probability of the evidence where there is one."""
        p = f"p = {self.p_value:.2g}" if self.p_value >= SMALLEST else f"p < {SMALLEST:g}"
        chance = "" if np.isnan(self.p_value) else f" ({p}, adjusted for all checks {adjusted:.2g})"
        return Finding(self.check, self.severity, f"{self.evidence}{chance}.", self.remedy)


def adjusted_for_number(p_values: FloatArray, simulated: FloatArray) -> FloatArray:
    """p-values adjusted for how many there are, and for how they depend on each other.

    The share of data simulated from the model whose smallest p-value is as small: the step-down procedure of Westfall
    and Young (1993), Resampling-Based Multiple Testing, algorithm 2.8. If the model is right, the chance that any
    adjusted p-value falls below a level is that level.

    Parameters
    ----------
    p_values : ndarray, shape (k,)
        Those that are not numbers do not count.
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


def as_table(judged: Sequence[CheckResult], adjusted: FloatArray, found: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """One row for each check."""
    names = ("check", "about", "statistic", "value", "expected", "p_value")
    table = pd.DataFrame({name: [getattr(one, name) for one in judged] for name in names})
    table["adjusted_p"], table["found"] = adjusted, found
    made = [not np.isnan(one.value) for one in judged]
    table["not_made"] = ["" if done else one.evidence for one, done in zip(judged, made, strict=True)]
    return table
