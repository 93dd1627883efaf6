"""How often each information criterion chooses the right model: simulated studies of two questions.

Run it in an environment with the package, from any folder::

    python benchmarks/criteria.py
    python benchmarks/criteria.py --replicates 100 --out build/criteria.csv

The questions are which effects vary between clusters (none, the intercept, the intercept and a slope), and whether a
predictor belongs in the model, measured on the rows or on the clusters. Every study is fitted by each of the candidates
with Laplace's method, and each criterion chooses one of them. The table has the numbers of choices of each candidate;
``python benchmarks/criteria_figure.py`` draws it.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import numpy.typing as npt

    import hierlogit as hl

    FloatArray = npt.NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "comparing" / "criteria.csv"
SEED = 20261127
CLUSTERS, ROWS = (10, 30, 100), (10, 50)
#: Standard deviation of the intercepts, where clusters differ.
INTERCEPT_SD = 0.8
#: Studies with the same predictors.
SAME_ROWS = 50
BASE = "y ~ 1 + x"
RANDOM = {"none": BASE, "intercept": f"{BASE} + (1 | g)", "slope": f"{BASE} + (1 + x | g)"}
FIXED = {"without": f"{BASE} + (1 | g)", "with": f"{BASE} + {{}} + (1 | g)"}


@dataclass(frozen=True)
class Cell:
    """One kind of study.

    Attributes
    ----------
    question : str
        ``random effects``, ``predictor of rows`` or ``predictor of clusters``.
    truth : str
        The candidate with which the outcomes are simulated.
    size : float
        Sd of the slopes, or coefficient of the predictor; 0 where there is none.
    clusters, rows : int
        Number of clusters, and of rows in each.
    """

    question: str
    truth: str
    size: float
    clusters: int
    rows: int

    @property
    def candidates(self) -> Mapping[str, str]:
        """Formulas by name, the smallest first."""
        if self.question == "random effects":
            return RANDOM
        column = "z" if self.question == "predictor of rows" else "w"
        return {name: formula.format(column) for name, formula in FIXED.items()}


def cells() -> Iterator[Cell]:
    """All kinds of studies."""
    random = [("none", 0.0), ("intercept", 0.0), ("slope", 0.3), ("slope", 0.6)]
    for (truth, size), J, m in product(random, CLUSTERS, ROWS):
        yield Cell("random effects", truth, size, J, m)
    for question, size in (("predictor of rows", 0.25), ("predictor of clusters", 0.5)):
        for truth, J, m in product(("without", "with"), CLUSTERS, ROWS):
            yield Cell(question, truth, size if truth == "with" else 0.0, J, m)


def design_of(cell: Cell, random: np.random.Generator) -> pd.DataFrame:
    """Predictors and clusters of the rows of a study."""
    n = cell.clusters * cell.rows
    of_clusters = random.normal(size=cell.clusters)
    g = np.repeat(np.arange(cell.clusters), cell.rows)
    return pd.DataFrame({"g": g, "x": random.normal(size=n), "z": random.normal(size=n), "w": of_clusters[g]})


def outcomes(cell: Cell, rows: pd.DataFrame, random: np.random.Generator) -> FloatArray:
    """Simulated outcomes of the rows."""
    g, J = rows["g"].to_numpy(), cell.clusters
    eta = -0.5 + 0.5 * rows["x"].to_numpy()
    if cell.truth != "none":
        eta = eta + INTERCEPT_SD * random.normal(size=J)[g]
    if cell.truth == "slope":
        eta = eta + cell.size * random.normal(size=J)[g] * rows["x"].to_numpy()
    if cell.question != "random effects":
        column = "z" if cell.question == "predictor of rows" else "w"
        eta = eta + cell.size * rows[column].to_numpy()
    return np.asarray(random.uniform(size=len(eta)) < 1 / (1 + np.exp(-eta)), dtype=np.float64)


class Candidate:
    """A model that is fitted to one study after the other.

    Parameters
    ----------
    formula : str
    rows : DataFrame
        With outcomes of a first study, from whose estimates the search of the others starts.
    """

    def __init__(self, formula: str, rows: pd.DataFrame) -> None:
        import hierlogit as hl
        from hierlogit.engines.maximum.refit import Refitter

        self.model = hl.Model(formula, rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # singular fits are expected here
            self._refitter = Refitter.of(self.model.fit(hl.Laplace()))

    def criteria(self, y: FloatArray, clusters: int, together: float, alone: float) -> dict[str, float] | None:
        """Criteria of the fit to the outcomes `y`; None if the search has no maximum.

        The penalties of the hybrid BIC are those of all candidates together, and of each of them alone.
        """
        refit = self._refitter.with_outcome(y)
        if not refit.converged or refit.unbounded:
            return None
        estimate, design = refit.estimate, self.model.design
        rows, k, deviance = design.n_rows, estimate.n_parameters, -2 * estimate.log_likelihood
        bic = deviance + k * math.log(rows)
        log_det, effects = self._log_det(estimate, y)
        return {
            "aic": deviance + 2 * k,
            "bic": bic,
            "bic_clusters": deviance + k * math.log(clusters),
            "bic_hybrid": deviance + together,
            "bic_hybrid_alone": deviance + alone,
            "icl": bic - log_det + effects * math.log(2 * math.pi),
            "icl_without_constant": bic - log_det,
            "icl_entropy": bic - log_det + effects * (1 + math.log(2 * math.pi)),
        }

    def _log_det(self, estimate: hl.results.Estimate, y: FloatArray) -> tuple[float, int]:
        """Log-determinant of the precision of the standardised effects at their modes, and the number of effects."""
        from hierlogit.density.marginal.laplace import LaplaceLikelihood
        from hierlogit.engines.maximum.objective import Objective

        arrangement = self.model.arrangement.with_counts(y, self.model.design.outcome.trials)
        likelihood = LaplaceLikelihood(arrangement)
        objective = Objective(self.model, likelihood, penalised=False)
        objective.evaluate(objective.at(estimate))
        effects = sum(len(group.levels) * len(group.effects) for group in self.model.design.groups)
        return float(likelihood.work.log_det.sum()), effects


def choices(cell: Cell, replicates: int, seed: np.random.SeedSequence) -> list[dict[str, Any]]:
    """For each criterion, how many of the studies it chose each candidate in."""
    from hierlogit.model_comparison.hybrid_bic import hybrid_penalties

    random = np.random.default_rng(seed)
    chosen: dict[str, Counter[str]] = {}
    failed = 0
    for replicate in range(replicates):
        if replicate % SAME_ROWS == 0:
            rows = design_of(cell, random)
            first = rows.assign(y=outcomes(cell, rows, random).astype(int))
            candidates = {name: Candidate(formula, first) for name, formula in cell.candidates.items()}
            designs = {name: one.model.design for name, one in candidates.items()}
            together = hybrid_penalties(designs)
            alone = {name: hybrid_penalties({name: design})[name] for name, design in designs.items()}
        y = outcomes(cell, rows, random)
        found = {name: one.criteria(y, cell.clusters, together[name], alone[name]) for name, one in candidates.items()}
        complete = {name: values for name, values in found.items() if values is not None}
        if len(complete) < len(candidates):
            failed += 1
            continue
        for criterion in next(iter(complete.values())):
            best = min(complete, key=lambda name, of=criterion: complete[name][of])  # type: ignore[misc]
            chosen.setdefault(criterion, Counter())[best] += 1
    names = list(cell.candidates)
    told = {"question": cell.question, "truth": cell.truth, "size": cell.size}
    told |= {"clusters": cell.clusters, "rows_per_cluster": cell.rows}
    result = []
    for criterion, counts in chosen.items():
        at = names.index(cell.truth)
        sizes = {"smaller": names[:at], "right": [cell.truth], "larger": names[at + 1 :]}
        numbers = {what: sum(counts[name] for name in members) for what, members in sizes.items()}
        result.append({**told, "criterion": criterion, **numbers, "failed": failed})
    return result


def main() -> None:
    """Simulate all kinds of studies and write the table after each."""
    parser = argparse.ArgumentParser(description="How often each information criterion chooses the right model.")
    parser.add_argument("--replicates", type=int, default=300, help="studies of each kind (default: 300)")
    parser.add_argument("--out", type=Path, default=OUT, help="CSV file")
    asked = parser.parse_args()
    sys.path.append(str(ROOT))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    kinds = list(cells())
    found: list[dict[str, Any]] = []
    for cell, seed in zip(kinds, np.random.SeedSequence(SEED).spawn(len(kinds)), strict=True):
        start = time.perf_counter()
        found += choices(cell, asked.replicates, seed)
        pd.DataFrame(found).to_csv(asked.out, index=False)
        print(f"{cell}: {time.perf_counter() - start:.1f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
