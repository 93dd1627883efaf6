"""Level of tests and coverage of intervals with few clusters, by simulation: docs/explanation/few_clusters.md.

python -m benchmarks.few_clusters                 # simulate what the table lacks, then write the page
python -m benchmarks.few_clusters --only-page     # from the table that is there
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import hierlogit as hl
from hierlogit.design.degrees_of_freedom import degrees_of_freedom
from hierlogit.engines.maximum.refit import Refitter, approach_of, search
from hierlogit.errors import HierlogitError
from hierlogit.estimate import Estimate
from hierlogit.plots.style import BLUE, GREY, MEDIUM, SMALL, VERMILLION, house_style
from hierlogit.student_t import t_quantile

from .study_pages import is_simulated, options_of, table_so_far, write_between

DOCS = Path(__file__).parents[1] / "docs"
TABLE, PICTURE = DOCS / "few_clusters" / "few_clusters.csv", DOCS / "images" / "few_clusters.png"
PAGE, BEGIN, END = DOCS / "explanation" / "few_clusters.md", "<!-- coverage -->", "<!-- end of coverage -->"
CLUSTERS = (6, 8, 10, 20, 40)
INTERCEPT, SD, SD_OF_EFFECT, EFFECT = -0.5, 0.8, 0.8, 0.7
ENGINES = {"maximum": hl.Laplace(), "restricted": hl.Laplace(restricted=True)}
TESTS = {"normal": "z", "between-within": "t"}
LEVEL = 0.95


@dataclass(frozen=True)
class Trial:
    """A study in which half of the rows, or of the clusters, are treated.

    Attributes
    ----------
    title : str
    formula : str
    size : int
        Rows of each cluster.
    by_cluster : bool
        Whether whole clusters are treated.
    varying : bool
        Whether the effect differs between clusters.
    """

    title: str
    formula: str
    size: int
    by_cluster: bool
    varying: bool

    def model(self, clusters: int) -> hl.Model:
        """The model of a study, with outcomes that are replaced."""
        cluster = np.repeat(np.arange(clusters), self.size)
        treated = (cluster if self.by_cluster else np.arange(clusters * self.size)) % 2
        return hl.Model(self.formula, pd.DataFrame({"y": treated, "treated": treated, "cluster": cluster}))

    def outcomes(self, model: hl.Model, effect: float, random: np.random.Generator) -> np.ndarray:
        """Simulated outcomes of the rows."""
        cluster, treated = model.design.groups[0].index, model.design.X[:, 1]
        clusters = len(model.design.groups[0].levels)
        eta = INTERCEPT + effect * treated + SD * random.normal(size=clusters)[cluster]
        if self.varying:
            eta += SD_OF_EFFECT * random.normal(size=clusters)[cluster] * treated
        return random.binomial(1, 1 / (1 + np.exp(-eta))).astype(np.float64)


TRIALS = {
    "between": Trial("between clusters", "y ~ treated + (1 | cluster)", size=20, by_cluster=True, varying=False),
    "within": Trial("within clusters", "y ~ treated + (1 | cluster)", size=20, by_cluster=False, varying=False),
    "varying": Trial(
        "within clusters, effect varies",
        "y ~ treated + (1 + treated || cluster)",
        size=60,
        by_cluster=False,
        varying=True,
    ),
}


def measured(name: str, clusters: int, effect: float, studies: int, seed: int) -> Iterator[dict[str, object]]:
    """Rows of the table for one kind of study: the share of intervals that contain the effect, and their width."""
    trial = TRIALS[name]
    model = trial.model(clusters)
    refitters = {kind: Refitter(model, _start(trial, model, engine, effect)) for kind, engine in ENGINES.items()}
    df = {kind: float(degrees_of_freedom(model.design, kind)[1]) for kind in TESTS}
    found: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in ENGINES}
    without = dict.fromkeys(ENGINES, 0)
    for study in range(studies):
        random = np.random.default_rng([seed, list(TRIALS).index(name), clusters, round(100 * effect), study])
        y = trial.outcomes(model, effect, random)
        for kind, refitter in refitters.items():
            try:
                estimate = refitter.with_outcome(y).bounded_maximum()
            except HierlogitError:
                without[kind] += 1
                continue
            sd = float(estimate.sd("cluster")[0])
            found[kind].append((float(estimate.beta[1]), float(estimate.standard_errors[1]), sd))
    for kind in ENGINES:
        value, se, sd = np.array(found[kind]).T
        for tests in TESTS:
            reach = float(t_quantile(df[tests], LEVEL)) * se
            covered = float((np.abs(value - effect) <= reach).mean())
            yield {
                "treatment": name,
                "clusters": clusters,
                "effect": effect,
                "likelihood": kind,
                "tests": tests,
                "df": df[tests],
                "studies": len(value),
                "without_estimate": without[kind],
                "coverage": covered,
                "mcse": float(np.sqrt(covered * (1 - covered) / len(value))),
                "width": 2 * float(reach.mean()),
                "bias": float(value.mean() - effect),
                "median_sd": float(np.median(sd)),
            }


def _start(trial: Trial, model: hl.Model, engine: hl.Laplace, effect: float) -> Estimate:
    """The true parameters as an estimate, where all searches start."""
    y = trial.outcomes(model, effect, np.random.default_rng(0))
    estimate = search(model.with_outcome(y), approach_of(engine, model)).estimate
    sds = [SD, SD_OF_EFFECT][: len(estimate.cholesky["cluster"])]
    return replace(estimate, beta=np.array([INTERCEPT, effect]), cholesky={"cluster": np.diag(sds)}, boundary=())


def written(table: pd.DataFrame) -> str:
    """The table of the page: coverage, and rejections without an effect, for each kind of study and interval."""
    names = [f"{kind}, {symbol}" for symbol in TESTS.values() for kind in ("maximum", "restricted")]
    lines = [f"| treatment | clusters | {' | '.join(names)} |", "| --- | ---: |" + " ---: |" * len(names)]
    coverage = table.set_index(["treatment", "clusters", "tests", "likelihood", "effect"])["coverage"].sort_index()
    for name, clusters in product(TRIALS, CLUSTERS):
        of_case = [coverage[name, clusters, tests, kind] for tests, kind in product(TESTS, ENGINES)]
        cells = [f"{100 * own[EFFECT]:.1f} / {100 * (1 - own[0.0]):.1f}" for own in of_case]
        lines.append(f"| {TRIALS[name].title} | {clusters} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(table: pd.DataFrame) -> None:
    """The picture: coverage against the number of clusters, a panel for each kind of treatment."""
    lines = {
        ("maximum", "normal"): (GREY, "o", "maximum likelihood, z"),
        ("restricted", "normal"): (VERMILLION, "s", "restricted likelihood, z"),
        ("maximum", "between-within"): (BLUE, "o", "maximum likelihood, t"),
        ("restricted", "between-within"): ("#009E73", "s", "restricted likelihood, t"),
    }
    with house_style():
        figure, panels = plt.subplots(1, len(TRIALS), figsize=(8.6, 2.9), sharey=True, layout="constrained")
        for ax, (name, trial) in zip(panels, TRIALS.items(), strict=True):
            ax.axhspan(93, 97, color="#EFEFEF", zorder=0)
            ax.axhline(95, color="#BBBBBB", linewidth=0.8, zorder=1)
            for shift, (key, (colour, marker, label)) in enumerate(lines.items()):
                own = table[(table["treatment"] == name) & (table["effect"] > 0)]
                own = own[(own["likelihood"] == key[0]) & (own["tests"] == key[1])]
                at = np.arange(len(own)) + 0.07 * (shift - 1.5)
                ax.errorbar(
                    at, 100 * own["coverage"], 196 * own["mcse"], color=colour, marker=marker, ms=3.5, lw=1, label=label
                )
            ax.set_xticks(range(len(CLUSTERS)), [str(count) for count in CLUSTERS])
            ax.set_xlabel("clusters")
            ax.set_title(f"Treatment {trial.title}", fontsize=MEDIUM, loc="left")
        panels[0].set_ylabel("coverage of 95% intervals (%)")
        panels[-1].legend(fontsize=SMALL, frameon=False, loc="lower right")
        figure.savefig(PICTURE, dpi=160)
        plt.close(figure)


def main() -> None:
    """Simulate, and write the table, the picture and the page."""
    options = options_of(__doc__, studies=1000)
    if not options.only_page:
        table = table_so_far(TABLE)
        for effect, name, clusters in product((EFFECT, 0.0), TRIALS, CLUSTERS):
            kind = {"treatment": name, "clusters": clusters, "effect": effect}
            if is_simulated(table, kind):
                continue
            rows = pd.DataFrame(measured(name, clusters, effect, options.studies, options.seed))
            print(rows.round(3).to_string(index=False), flush=True)  # noqa: T201
            table = pd.concat([table, rows]).sort_values(list(kind), kind="stable", ignore_index=True)
            table.round(5).to_csv(TABLE, index=False)
    table = pd.read_csv(TABLE)
    draw(table)
    write_between(PAGE, BEGIN, END, written(table))


if __name__ == "__main__":
    main()
