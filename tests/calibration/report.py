"""Ranks in docs/calibration/ -> figure and table of docs/calibration.md, by `python -m tests.calibration.report`."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hierlogit.engines.nuts.convergence import MAX_RHAT
from hierlogit.plots.style import BLUE, GREY, INK, MEDIUM, VERMILLION, house_style

from .ranks import L, labels
from .studies import STUDIES, Study
from .uniformity import band, numbers_below, p_value

DOCS = Path(__file__).parents[2] / "docs"
FOLDER, PAGE, FIGURE = DOCS / "calibration", DOCS / "calibration.md", DOCS / "images" / "calibration.png"
#: Probability that a sampler without fault fails in any quantity of any study.
FAMILY = 0.01
COLUMNS = 5
#: Colours of the band that ranks are judged by, and of that which 95 of 100 uniform samples stay in.
WIDE, USUAL = "#E4E4E4", "#C4C4C4"
TABLE = re.compile(r"(?<=\| ---: \|\n)(\|.*\n)+")


def written() -> dict[str, Study]:
    """The studies whose ranks are in the folder; `make calibration` makes them all."""
    return {name: make() for name, make in STUDIES.items() if (FOLDER / f"{name}.csv").exists()}


def read_ranks(name: str) -> pd.DataFrame:
    """Ranks of a study as they were written last."""
    return pd.read_csv(FOLDER / f"{name}.csv", index_col="simulation")


def p_values(study: Study, table: pd.DataFrame) -> pd.Series:
    """Of each quantity's ranks."""
    return pd.Series({label: p_value(table[label].to_numpy(), L) for label in labels(study)})


def least_p() -> float:
    """What p-values are held against: the family's probability shared among the quantities of all studies."""
    return FAMILY / sum(len(labels(study())) for study in STUDIES.values())


def rows_of_table() -> str:
    """The rows of the page's table, one for each study."""
    rows = []
    for name, study in written().items():
        table = read_ranks(name)
        p = p_values(study, table)
        cells = [
            study.title,
            f"{len(table):,}",
            ", ".join(f"{engine} {count}" for engine, count in table["engine"].value_counts().items()),
            f"{(table['divergences'] > 0).sum()}",
            f"{(table['max_rhat'] > MAX_RHAT).sum()}",
            f"{table['again'].sum()}",
            f"{len(p)}",
            f"{p.min():.2g} (`{p.idxmin()}`)",
        ]
        rows.append(f"| {' | '.join(cells)} |\n")
    return "".join(rows)


def draw_panel(ax: Axes, ranks: np.ndarray, label: str, judged: float) -> None:
    """How far the share of ranks below each value is from that of uniform ranks, with both bands."""
    n = len(ranks)
    share = np.arange(L + 2) / (L + 1)
    for prob, color in ((1 - judged, WIDE), (0.95, USUAL)):
        fewest, most = (np.concatenate([[0], edge, [n]]) / n - share for edge in band(n, L, prob))
        ax.fill_between(share, fewest, most, color=color, linewidth=0)
    below = np.concatenate([[0], numbers_below(ranks, L), [n]])
    p = p_value(ranks, L)
    ax.axhline(0, color=GREY, linewidth=0.6)
    ax.plot(share, below / n - share, color=VERMILLION if p < judged else BLUE, linewidth=1.3)
    ax.set_title(label, fontsize=MEDIUM, color=INK)
    ax.text(0.98, 0.03, f"p = {p:.2g}", transform=ax.transAxes, ha="right", va="bottom", fontsize=MEDIUM - 1.5)
    ax.set_xlim(0, 1)
    ax.set_ylim(-0.12, 0.12)
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set_yticks([-0.1, 0, 0.1])


def draw_legend(ax: Axes, judged: float) -> None:
    """What the colours are, in an empty cell and those at its right."""
    handles = [
        Line2D([], [], color=BLUE, label="ranks of the true values"),
        Patch(color=USUAL, label="95 % of samples of uniform ranks stay inside"),
        Patch(color=WIDE, label=f"{100 * (1 - judged):.2f} % stay inside: the band that is judged by"),
    ]
    ax.legend(handles=handles, loc="center left", fontsize=MEDIUM).set_in_layout(False)


def draw_figure() -> None:
    """Write the figure: a panel for each quantity, in blocks by study."""
    studies = written()
    heights = [-(-len(labels(study)) // COLUMNS) for study in studies.values()]
    judged = least_p()
    with house_style():
        figure = plt.figure(figsize=(10.5, 1.75 * sum(heights) + 0.9), layout="constrained")
        blocks = figure.subfigures(len(studies), 1, height_ratios=[h + 0.28 for h in heights], hspace=0.02)
        for block, (name, study), height in zip(blocks, studies.items(), heights, strict=True):
            block.suptitle(f"{study.title}: {study.formula}", x=0.01, ha="left", fontsize=MEDIUM + 2, fontweight="bold")
            axes, table = block.subplots(height, COLUMNS, sharex=True, sharey=True), read_ranks(name)
            names = labels(study)
            for ax, label in zip(axes.flat, names, strict=False):
                draw_panel(ax, table[label].to_numpy(), label, judged)
            for ax in axes.flat[len(names) :]:
                ax.set_axis_off()
            if block is blocks[0]:
                draw_legend(axes.flat[len(names)], judged)
            for ax in axes.flat[len(names) - COLUMNS : len(names)]:
                ax.tick_params(labelbottom=True)
        figure.supxlabel("Rank of the true value among the draws, as a share", fontsize=MEDIUM + 1)
        figure.supylabel("Share of ranks below it, less that of uniform ranks", fontsize=MEDIUM + 1)
        figure.savefig(FIGURE, dpi=100)
        plt.close(figure)


def main() -> None:
    """Draw the figure and rewrite the table."""
    plt.switch_backend("Agg")
    draw_figure()
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: rows_of_table(), page, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
