"""Slopes of over-dispersed counts by models of two mechanisms, by simulation: docs/explanation/overdispersion.md.

python -m benchmarks.overdispersion                 # simulate what the table lacks, then write the page
python -m benchmarks.overdispersion --only-page     # from the table that is there
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit

import hierlogit as hl
from hierlogit.density.joint.attenuation import ATTENUATION
from hierlogit.engines.maximum.refit import approach_of, search
from hierlogit.errors import HierlogitError
from hierlogit.plots.style import BLUE, GREY, MEDIUM, SMALL, VERMILLION, house_style
from hierlogit.student_t import t_quantile

from .study_pages import is_simulated, options_of, table_so_far, write_between

DOCS = Path(__file__).parents[1] / "docs"
TABLE, PICTURE = DOCS / "overdispersion" / "overdispersion.csv", DOCS / "images" / "overdispersion.png"
PAGE, BEGIN, END = DOCS / "explanation" / "overdispersion.md", "<!-- slopes -->", "<!-- end of slopes -->"
CLUSTERS, ROWS, TRIALS = 20, 10, 20
INTERCEPT, SLOPE, SD = -1.0, 1.0, 0.7
#: Standard deviations of the row effect, and correlations between trials of a row, 1 / (phi + 1).
STRENGTHS = {"row effect": (0.5, 1.0, 2.0), "beta-binomial": (0.05, 0.2, 0.5)}
FORMULA = "p(k, n) ~ x + (1 | g)"
LEVEL = 0.95


@dataclass(frozen=True)
class Study:
    """Rows with a predictor and clusters, whose counts are simulated by one mechanism."""

    mechanism: str
    strength: float

    def rows(self, random: np.random.Generator) -> pd.DataFrame:
        """A simulated table."""
        count = CLUSTERS * ROWS
        g, x = np.repeat(np.arange(CLUSTERS), ROWS), random.normal(size=count)
        eta = INTERCEPT + SLOPE * x + SD * random.normal(size=CLUSTERS)[g]
        if self.mechanism == "row effect":
            p = expit(eta + self.strength * random.normal(size=count))
        else:
            phi = 1 / self.strength - 1
            p = random.beta(phi * expit(eta), phi * expit(-eta))
        return pd.DataFrame({"k": random.binomial(TRIALS, p), "n": TRIALS, "x": x, "g": g, "row": np.arange(count)})

    @property
    def averaged_slope(self) -> float:
        """Slope of the log-odds of the mean probability of rows of a cluster, which is what repeated rows show."""
        return SLOPE / np.sqrt(1 + ATTENUATION * self.strength**2) if self.mechanism == "row effect" else SLOPE


MODELS: dict[str, Callable[[pd.DataFrame], hl.Model]] = {
    "binomial": lambda rows: hl.Model(FORMULA, rows),
    "row effect": lambda rows: hl.Model(f"{FORMULA} + (1 | row)", rows),
    "beta-binomial": lambda rows: hl.Model(FORMULA, rows, family="betabinomial"),
}
#: A row effect needs quadrature: Laplace's error in its log-likelihood is as large as the differences of interest.
ENGINES: dict[str, hl.Laplace | hl.AGQ] = {
    "binomial": hl.Laplace(),
    "row effect": hl.AGQ(nodes=7),
    "beta-binomial": hl.Laplace(),
}


def measured(study: Study, studies: int, seed: int) -> Iterator[dict[str, object]]:
    """Rows of the table for one mechanism: mean and coverage of the slope by each model."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in MODELS}
    smaller_aic = []
    for k in range(studies):
        random = np.random.default_rng([seed, list(STRENGTHS).index(study.mechanism), round(100 * study.strength), k])
        rows, aic = study.rows(random), {}
        for name, make in MODELS.items():
            model = make(rows)
            try:
                estimate = search(model, approach_of(ENGINES[name], model)).bounded_maximum()
            except HierlogitError:
                continue
            shrunken = np.sqrt(1 + ATTENUATION * estimate.sd("row")[0] ** 2) if name == "row effect" else 1.0
            found[name].append((float(estimate.beta[1]), float(estimate.standard_errors[1]), float(shrunken)))
            aic[name] = estimate.aic
        if len(aic) == len(MODELS):
            smaller_aic.append(aic[study.mechanism] == min(aic["row effect"], aic["beta-binomial"]))
    for name, values in found.items():
        slope, error, shrunken = np.array(values).T
        reach = float(t_quantile(np.inf, LEVEL))
        for scale, factor in {"model": np.ones_like(shrunken), "averaged": shrunken}.items():
            target = SLOPE if scale == "model" else study.averaged_slope
            estimate, se = slope / factor, error / factor
            covered = float((np.abs(estimate - target) <= reach * se).mean())
            yield {
                "mechanism": study.mechanism,
                "strength": study.strength,
                "model": name,
                "slope": scale,
                "studies": len(values),
                "target": target,
                "mean": float(estimate.mean()),
                "bias": float(estimate.mean() - target),
                "mcse": float(estimate.std(ddof=1) / np.sqrt(len(values))),
                "sd": float(estimate.std(ddof=1)),
                "mean_se": float(se.mean()),
                "coverage": covered,
                "told": float(np.mean(smaller_aic)),
            }


def written(table: pd.DataFrame) -> str:
    """The table of the page: mean slope and coverage, as the models define it and averaged over rows."""
    head = ["counts by", "strength", "true", *MODELS, "true, averaged", *MODELS]
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    for mechanism, strengths in STRENGTHS.items():
        for strength in strengths:
            own = table[(table["mechanism"] == mechanism) & (table["strength"] == strength)]
            symbol = f"sd {strength:g}" if mechanism == "row effect" else f"correlation {strength:g}"
            cells = [mechanism, symbol]
            for scale in ("model", "averaged"):
                of_scale = own[own["slope"] == scale].set_index("model")
                mean, coverage = of_scale["mean"].to_dict(), of_scale["coverage"].to_dict()
                cells.append(f"{of_scale['target'].iloc[0]:.2f}")
                cells += [f"{mean[name]:.2f} ({100 * coverage[name]:.0f})" for name in MODELS]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(table: pd.DataFrame) -> None:
    """The picture: relative bias of the slope against the strength, a panel for each mechanism and kind of slope."""
    colours = {"binomial": GREY, "row effect": VERMILLION, "beta-binomial": BLUE}
    titles = {"model": "slope as the model defines it", "averaged": "slope averaged over rows"}
    with house_style():
        figure, panels = plt.subplots(2, 2, figsize=(7.2, 4.6), sharey=True, layout="constrained")
        for line, (mechanism, strengths) in zip(panels, STRENGTHS.items(), strict=True):
            for ax, (scale, title) in zip(line, titles.items(), strict=True):
                ax.axhline(0, color="#BBBBBB", linewidth=0.8)
                own = table[(table["mechanism"] == mechanism) & (table["slope"] == scale)]
                for shift, (name, colour) in enumerate(colours.items()):
                    part = own[own["model"] == name]
                    at = np.arange(len(part)) + 0.06 * (shift - 1)
                    bias, error = 100 * part["bias"] / part["target"], 196 * part["mcse"] / part["target"]
                    ax.errorbar(at, bias, error, color=colour, marker="o", ms=3.5, lw=1, label=name)
                ax.set_xticks(range(len(strengths)), [f"{value:g}" for value in strengths])
                ax.set_xlabel("sd of the row effect" if mechanism == "row effect" else "correlation within rows")
                ax.set_title(f"{mechanism} counts: {title}", fontsize=MEDIUM, loc="left")
            line[0].set_ylabel("bias of the slope (%)")
        panels[0][0].legend(fontsize=SMALL, frameon=False, title="model", title_fontsize=SMALL)
        figure.savefig(PICTURE, dpi=160)
        plt.close(figure)


def main() -> None:
    """Simulate, and write the table, the picture and the page."""
    options = options_of(__doc__, studies=400)
    if not options.only_page:
        table = table_so_far(TABLE)
        for mechanism, strengths in STRENGTHS.items():
            for strength in strengths:
                kind = {"mechanism": mechanism, "strength": strength}
                if is_simulated(table, kind):
                    continue
                rows = pd.DataFrame(measured(Study(mechanism, strength), options.studies, options.seed))
                print(rows.round(3).to_string(index=False), flush=True)  # noqa: T201
                table = pd.concat([table, rows], ignore_index=True)
                table.round(5).to_csv(TABLE, index=False)
    table = pd.read_csv(TABLE)
    draw(table)
    write_between(PAGE, BEGIN, END, written(table))


if __name__ == "__main__":
    main()
