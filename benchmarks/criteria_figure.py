"""Draw the choices of information criteria: ``python benchmarks/criteria_figure.py`` writes docs/images/criteria.png.

It also prints the table of docs/comparing.md, both from docs/comparing/criteria.csv.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCS = Path(__file__).parents[1] / "docs"
#: Criteria in the order of the picture, the first at the top.
NAMES = {
    "aic": "AIC",
    "bic": "BIC, rows",
    "bic_clusters": "BIC, clusters",
    "bic_hybrid": "hybrid BIC",
    "bic_hybrid_alone": "hybrid BIC, each\nmodel by itself",
    "icl": "ICL",
    "icl_without_constant": "ICL without\nits constant",
    "icl_entropy": "BIC and entropy",
}
#: Kinds of studies: question, truth and size, with the titles of their panels.
PANELS = {
    ("random effects", "none", 0.0): "clusters do not differ",
    ("random effects", "intercept", 0.0): "intercepts differ, sd 0.8",
    ("random effects", "slope", 0.3): "slopes differ too, sd 0.3",
    ("random effects", "slope", 0.6): "slopes differ too, sd 0.6",
    ("predictor of rows", "without", 0.0): "predictor of rows, no effect",
    ("predictor of rows", "with", 0.25): "predictor of rows, effect 0.25",
    ("predictor of clusters", "without", 0.0): "predictor of clusters, no effect",
    ("predictor of clusters", "with", 0.5): "predictor of clusters, effect 0.5",
}
COLOURS = {10: "#8fc1e3", 30: "#2f86c4", 100: "#08306b"}
GREY = "#d0d0d0"


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the share of studies, in per cent, in which each criterion chose the right model."""
    return table.assign(rate=100 * table["right"] / table[["smaller", "right", "larger"]].sum(axis=1))


def in_markdown(table: pd.DataFrame) -> str:
    """Means over the numbers of clusters and rows: a row for each kind of study, a column for each criterion."""
    means = table.groupby(["question", "truth", "size", "criterion"])["rate"].mean()
    names = [name.replace("\n", " ") for name in NAMES.values()]
    lines = [f"| simulated | {' | '.join(names)} |", f"| --- |{' ---: |' * len(NAMES)}"]
    for panel, title in PANELS.items():
        cells = [f"{means[(*panel, criterion)]:.0f} %" for criterion in NAMES]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def overall(table: pd.DataFrame) -> pd.Series[float]:
    """Means in which the questions count alike, in each of them the true models, and of these the sizes."""
    by_truth = table.groupby(["criterion", "question", "truth", "size"])["rate"].mean()
    for level in (["criterion", "question", "truth"], ["criterion", "question"], ["criterion"]):
        by_truth = by_truth.groupby(level).mean()
    return by_truth.loc[list(NAMES)]


def draw(ax: Axes, table: pd.DataFrame, title: str) -> None:
    """One kind of study: a dot for each criterion, number of clusters and number of rows."""
    order = list(NAMES)
    for k in range(len(order)):
        ax.axhline(k, color=GREY, linewidth=0.6, zorder=0)
    for clusters, colour in COLOURS.items():
        for rows, filled in ((10, False), (50, True)):
            one = table[(table["clusters"] == clusters) & (table["rows_per_cluster"] == rows)].set_index("criterion")
            ax.scatter(
                one["rate"].reindex(order),
                [k + (0.16 if filled else -0.16) for k in range(len(order))],
                s=24,
                facecolors=colour if filled else "white",
                edgecolors=colour,
                linewidths=1.2,
                clip_on=False,
                label=f"{clusters} clusters of {rows}",
                zorder=3,
            )
    ax.set_xlim(0, 100)
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_yticks(range(len(order)), list(NAMES.values()))
    ax.tick_params(axis="y", length=0)
    ax.set_title(title, loc="left", fontsize=9)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def main() -> None:
    """Draw the picture and print the table."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    table = rates(pd.read_csv(DOCS / "comparing" / "criteria.csv"))
    plt.rcParams.update({"font.size": 8})
    figure, axes = plt.subplots(2, 4, figsize=(11, 6.4), sharex=True, sharey=True, layout="constrained")
    for ax, (panel, title) in zip(axes.ravel(), PANELS.items(), strict=True):
        question, truth, size = panel
        chosen = (table["question"] == question) & (table["truth"] == truth) & (table["size"] == size)
        draw(ax, table[chosen], title)
    figure.supxlabel("studies in which the right model is chosen, %", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, frameon=False)
    figure.savefig(DOCS / "images" / "criteria.png", dpi=110)
    print(in_markdown(table), overall(table).round(1).to_string(), sep="\n\n")  # noqa: T201


if __name__ == "__main__":
    main()
