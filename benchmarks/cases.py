"""The models of the likelihood benchmark: four logistic models, from small to large."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
DATASETS = ROOT / "hierlogit" / "datasets"
_REFERENCE = ROOT / "tests" / "reference" / "reference.json"


@dataclass(frozen=True)
class Case:
    """A model and its data.

    Attributes
    ----------
    name : str
        Name on the command line and in the results.
    table : Path
        The data, a CSV file.
    outcome : str
        Column of the outcome, 0 or 1.
    fixed : str
        Right-hand side of the fixed effects, in formulae's notation.
    effects : str
        The random terms, in lme4's notation, which formulae shares.
    groups : tuple of str
        Grouping columns.
    reference : str or float
        Log-likelihood at the maximum, or the entry of `reference.json` that holds it.
    slope : str, optional
        Column with levels N and Y whose effect varies over the (only) group.
    uncorrelated_reference : str, optional
        The same as `reference`, for the model without the correlation of intercept and slope.
    """

    name: str
    table: Path
    outcome: str
    fixed: str
    effects: str
    groups: tuple[str, ...]
    reference: str | float
    slope: str | None = None
    uncorrelated_reference: str | None = None

    @property
    def formula(self) -> str:
        """The formula in the notation of formulae and hierlogit."""
        return f"{self.outcome} ~ {self.fixed} + {self.effects}"

    @property
    def r_formula(self) -> str:
        """The formula in the notation of R and glmm."""
        return self.formula.replace("**", "^")

    def frame(self) -> pd.DataFrame:
        """Read the data."""
        return read_table(self.table)

    def maximum(self, correlated: bool = True) -> float:
        """Return the maximum of the log-likelihood."""
        known = self.reference if correlated or self.uncorrelated_reference is None else self.uncorrelated_reference
        return known if isinstance(known, float) else _laplace_reference(known)


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file, with the original reference level of `mode` (VerbAgg)."""
    frame = pd.read_csv(path)
    if "mode" in frame:
        frame["mode"] = pd.Categorical(frame["mode"], categories=["want", "do"], ordered=True)
    return frame


@cache
def _laplace_reference(name: str) -> float:
    models = json.loads(_REFERENCE.read_text(encoding="utf-8"))["models"]
    return float(models[name]["lme4_laplace"]["logLik"])


_CONTRACEPTION = "age + I(age**2) + urban + livch"

CASES = {
    case.name: case
    for case in (
        Case(
            name="contraception_intercept",
            table=DATASETS / "contraception.csv",
            outcome="use",
            fixed=_CONTRACEPTION,
            effects="(1 | district)",
            groups=("district",),
            reference="contraception_ri",
        ),
        Case(
            name="contraception_slope",
            table=DATASETS / "contraception.csv",
            outcome="use",
            fixed=_CONTRACEPTION,
            effects="(1 + urban | district)",
            groups=("district",),
            reference="contraception_slope",
            slope="urban",
            uncorrelated_reference="contraception_slope_uncorr",
        ),
        Case(
            name="verbagg_crossed",
            table=DATASETS / "verbagg.csv",
            outcome="r2",
            fixed="Anger + Gender + btype + situ + mode",
            effects="(1 | id) + (1 | item)",
            groups=("id", "item"),
            reference="verbagg_crossed",
        ),
        Case(
            name="insteval_crossed",
            table=ROOT / "benchmarks" / "data" / "InstEval.csv.gz",
            outcome="y4",
            fixed="service",
            effects="(1 | s) + (1 | d)",
            groups=("s", "d"),
            reference=-46414.52183,  # glmmTMB, glmm and GPBoost agree on these digits
        ),
    )
}
