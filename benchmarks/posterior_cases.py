"""The models of the sampling benchmark, and the variants for engines that do not support them as they are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from cases import CASES, DATASETS, ROOT, read_table
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
    frame : callable
        Reads or simulates the data.
    """

    name: str
    formula: str
    frame: Callable[[], pd.DataFrame]

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

    def model(self, frame: pd.DataFrame, variant: str = PLAIN) -> hl.Model:
        """Build the model from its formula and table."""
        import hierlogit as hl

        # As R's decov(regularization=2): LKJ(2) for correlations is the default here.
        priors = {"sd": hl.priors.Decov(1.0, 1.0, 1.0)} if variant == DECOV else None
        return hl.Model(self.formula_of(variant), frame, priors=priors)


def _dataset(name: str) -> Callable[[], pd.DataFrame]:
    return partial(read_table, DATASETS / f"{name}.csv")


def _persons_by_items(persons: int) -> pd.DataFrame:
    """Fully crossed answers of persons to 27 items, the table of the slow test tests/trials."""
    sys.path.append(str(ROOT))
    from tests.trials.layouts import persons_by_items

    return persons_by_items(persons)


_PERSONS = "y ~ 1 + (1 | person) + (1 | item)"

POSTERIOR_CASES = {
    case.name: case
    for case in (
        # Age in decades: with years, Bambi's chains start far from the mode of the squared term and do not converge.
        PosteriorCase(
            "contraception_slope",
            "use ~ I(age * 0.1) + I(age**2 * 0.01) + urban + livch + (1 + urban | district)",
            _dataset("contraception"),
        ),
        PosteriorCase("verbagg_crossed", CASES["verbagg_crossed"].formula, _dataset("verbagg")),
        PosteriorCase("toenail", "outcome ~ treatment * time + (1 | patientID)", _dataset("toenail")),
        PosteriorCase(
            "guimmun_nested",
            "immun ~ kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81 + (1 | comm / mom)",
            _dataset("guimmun"),
        ),
        PosteriorCase("persons_400", _PERSONS, partial(_persons_by_items, 400)),
        PosteriorCase("persons_1200", _PERSONS, partial(_persons_by_items, 1_200)),
        PosteriorCase("simulated_slope", FORMULA, partial(simulate, 100_000, 2_000)),
    )
}
