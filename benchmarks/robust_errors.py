"""Coverage of intervals by robust standard errors where a level is missing: docs/explanation/robust_errors.md.

python -m benchmarks.robust_errors            # 300 studies for each number of regions, then the page is written
python -m benchmarks.robust_errors 1000       # more of them
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

import hierlogit as hl
from hierlogit.errors import HierlogitWarning
from hierlogit.student_t import t_quantile

from .study_pages import write_between

FloatArray = npt.NDArray[np.float64]

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "robust_errors.md"
BEGIN, END = "<!-- coverage -->", "<!-- end of coverage -->"
REGIONS = (8, 12, 20)
CLUSTERS, SIZE = 4, 10
COEFFICIENTS = {"Intercept": -0.3, "z": 0.5, "x": 0.5}
SD_OF_REGIONS, SD_OF_CLUSTERS = 0.7, 0.5
LEVEL = 0.95
HEAD = ("model", "robust, z", "robust, t", "jackknife, t")


def study(regions: int, random: np.random.Generator) -> pd.DataFrame:
    """A study with a predictor z of regions and a predictor x of rows."""
    region = np.repeat(np.arange(regions), CLUSTERS * SIZE)
    cluster = np.repeat(np.arange(regions * CLUSTERS), SIZE)
    z, x = random.normal(size=regions)[region], random.normal(size=len(region))
    eta = COEFFICIENTS["Intercept"] + COEFFICIENTS["z"] * z + COEFFICIENTS["x"] * x
    eta += random.normal(0, SD_OF_REGIONS, regions)[region]
    eta += random.normal(0, SD_OF_CLUSTERS, regions * CLUSTERS)[cluster]
    y = (random.uniform(size=len(region)) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"region": region, "cluster": cluster, "z": z, "x": x, "y": y})


def covered(rows: pd.DataFrame) -> FloatArray:
    """Whether the interval of each coefficient contains it, by each kind of standard errors, shape (kinds, 3)."""
    fit = hl.Model("y ~ z + x + (1 | cluster)", rows).fit("laplace")
    robust, jackknife = (hl.robust(fit, rows["region"], covariance=kind) for kind in ("robust", "jackknife"))
    assert fit.estimate is not None
    assert robust.estimate is not None
    assert jackknife.estimate is not None
    normal = np.full(len(COEFFICIENTS), np.inf)
    kinds = [
        (fit.estimate.standard_errors, fit.estimate.df),
        (robust.estimate.standard_errors, normal),
        (robust.estimate.standard_errors, robust.estimate.df),
        (jackknife.estimate.standard_errors, jackknife.estimate.df),
    ]
    distance = np.abs(fit.estimate.beta - list(COEFFICIENTS.values()))
    return np.array([distance < t_quantile(df, LEVEL) * errors for errors, df in kinds], dtype=np.float64)


def main() -> None:
    """Simulate, and write the table of the page."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    lines = ["| regions | predictor | " + " | ".join(HEAD) + " |", "| ---: | --- |" + " ---: |" * len(HEAD)]
    for regions in REGIONS:
        random = np.random.default_rng(regions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HierlogitWarning)
            shares = 100 * np.mean([covered(study(regions, random)) for _ in range(studies)], axis=0)
        for k, what in ((1, "of regions"), (2, "of rows")):
            lines.append(f"| {regions} | {what} | " + " | ".join(f"{share:.1f}" for share in shares[:, k]) + " |")
    write_between(PAGE, BEGIN, END, "\n".join(lines))


if __name__ == "__main__":
    main()
