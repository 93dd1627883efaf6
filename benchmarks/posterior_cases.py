"""The models of the sampling benchmark, and the variants for engines that do not support them as they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from cases import CASES, DATASETS, read_table
from growth import FORMULA, simulate

if TYPE_CHECKING:
    import hierlogit as hl

#: The model as it is; without correlations, for engines that have none; with rstanarm's prior for correlated effects.
PLAIN, UNCORRELATED, DECOV = "", "no correlation", "decov prior"
VARIANTS = (PLAIN, UNCORRELATED, DECOV)


@dataclass(frozen=True)
class PosteriorCase:
    """A model and its data.

    Attributes
    ----------
    name : str
        Name on the command line and in the results.
    formula : str
        Formula in hierlogit's notation.
    table : Path, optional
        The data, a CSV file; without one they are simulated.
    simulated : tuple of int
        Rows and clusters of the simulation.
    """

    name: str
    formula: str
    table: Path | None = None
    simulated: tuple[int, int] = (0, 0)

    @property
    def correlated(self) -> bool:
        """Whether the model has correlated random effects."""
        return "(1 +" in self.formula

    def formula_of(self, variant: str) -> str:
        """The formula of a variant in hierlogit's notation."""
        return self.formula.replace(" | ", " || ") if variant == UNCORRELATED else self.formula

    @property
    def r_formula(self) -> str:
        """The formula in R's notation."""
        return self.formula.replace("**", "^")

    def frame(self) -> pd.DataFrame:
        """Read or simulate the data."""
        return simulate(*self.simulated) if self.table is None else read_table(self.table)

    def model(self, frame: pd.DataFrame, variant: str = PLAIN) -> hl.Model:
        """Build the model from its formula and table."""
        import hierlogit as hl

        # As R's decov(regularization=2): LKJ(2) for correlations is the default here.
        priors = {"sd": hl.priors.Decov(1.0, 1.0, 1.0)} if variant == DECOV else None
        return hl.Model(self.formula_of(variant), frame, priors=priors)


POSTERIOR_CASES = {
    case.name: case
    for case in (
        # Age in decades: with years, Bambi's chains start far from the mode of the squared term and do not converge.
        PosteriorCase(
            "contraception_slope",
            "use ~ I(age * 0.1) + I(age**2 * 0.01) + urban + livch + (1 + urban | district)",
            DATASETS / "contraception.csv",
        ),
        PosteriorCase("verbagg_crossed", CASES["verbagg_crossed"].formula, DATASETS / "verbagg.csv"),
        PosteriorCase("toenail", "outcome ~ treatment * time + (1 | patientID)", DATASETS / "toenail.csv"),
        PosteriorCase(
            "guimmun_nested",
            "immun ~ kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81 + (1 | comm / mom)",
            DATASETS / "guimmun.csv",
        ),
        PosteriorCase("simulated_slope", FORMULA, simulated=(100_000, 2_000)),
    )
}
