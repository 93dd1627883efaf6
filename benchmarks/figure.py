"""Plot the tables of docs/benchmarks.md: ``python benchmarks/figure.py`` writes the pictures of that page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCS = Path(__file__).parents[1] / "docs"
#: For each panel, the column of the time, and the labels in the figure by the first words of the table's rows.
PANELS = {
    "Maximum likelihood, milliseconds": (
        2,
        {
            "hierlogit, `model.fit": "hierlogit",
            "glmm": "glmm",
            "GPBoost": "GPBoost (no correlation)",
            "glmmTMB": "glmmTMB",
            "lme4": "lme4",
        },
    ),
    "NUTS, 4 x 1,000 draws, seconds": (
        1,
        {
            "hierlogit": "hierlogit",
            "Bambi, by nutpie": "Bambi, nutpie (no correlation)",
            "the same model as a PyMC graph": "PyMC graph, nutpie",
            "rstanarm": "rstanarm",
        },
    ),
}
#: First cell of the table by which samplers are compared: a column for each model, a row for each engine.
EFFECTIVE = "| seconds for 1,000 effective draws"
#: Begins the names of this package's engines in that table.
OURS = "hierlogit"
BLUE, GREY = "#0072b2", "#b0b0b0"


def times(text: str, column: int, names: dict[str, str]) -> dict[str, float]:
    """Times by label, each the first number in `column` of the row that begins with a key of `names`."""
    found = {}
    for start, name in names.items():
        line = next(line for line in text.splitlines() if re.match(rf"\| {re.escape(start)}[^|]* \|", line))
        number = re.search(r"[\d.,]+", line.split("|")[column + 1])
        assert number is not None
        found[name] = float(number.group().replace(",", ""))
    return found


def with_ratios(found: dict[str, float]) -> dict[str, str]:
    """Texts of times, with their ratios to the first."""
    own = next(iter(found.values()))
    texts = {}
    for name, value in found.items():
        ratio = f"  ({value / own:.2g} x)" if value < 100 * own else f"  ({value / own:.0f} x)"
        texts[name] = f"{value:g}{'' if value == own else ratio}"
    return texts


def effective_times(text: str) -> dict[str, dict[str, str]]:
    """Cells of the table of effective draws by model and engine; what was not measured is left out."""
    lines = text[text.index(EFFECTIVE) :].split("\n\n", maxsplit=1)[0].splitlines()
    heads, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    found: dict[str, dict[str, str]] = {model: {} for model in heads[1:]}
    for engine, *cells in rows:
        for model, cell in zip(heads[1:], cells, strict=True):
            if cell:
                found[model][engine] = cell.replace(")", " x)")
    return found


def draw_bars(ax: Axes, title: str, texts: dict[str, str], names: list[str]) -> None:
    """Bars on a logarithmic axis with their texts, which begin with the values; no bar for names without a text."""
    values = {name: float(told.split()[0].replace(",", "")) for name, told in texts.items()}
    for place, name in enumerate(names):
        if name in values:
            ax.barh(place, values[name], color=BLUE if name.startswith(OURS) else GREY)
            ax.text(values[name] * 1.15, place, texts[name], va="center", fontsize=9)
    ax.set_yticks(range(len(names)), names)
    ax.set_xscale("log")
    ax.set_xlim(min(values.values()) / 2, max(values.values()) * 12)
    if not ax.yaxis_inverted():  # axes side by side share it
        ax.invert_yaxis()
    ax.set_title(title, loc="left", fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Plot the times of one model by all engines, and effective draws of several models."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    parts = dict(zip(PANELS, (text, text[text.index("## Sampling") :]), strict=True))
    figure, axes = plt.subplots(1, 2, figsize=(10, 2.7), layout="constrained")
    for ax, (title, (column, names)) in zip(axes, PANELS.items(), strict=True):
        found = times(parts[title], column, names)
        draw_bars(ax, title, with_ratios(found), list(found))
    figure.savefig(DOCS / "images" / "benchmarks.png", dpi=130)

    models = {model: found for model, found in effective_times(text).items() if found}
    engines = list(dict.fromkeys(engine for found in models.values() for engine in found))
    figure, axes = plt.subplots(
        1, len(models), figsize=(1.5 + 2.9 * len(models), 0.7 + 0.42 * len(engines)), layout="constrained", sharey=True
    )
    for ax, (model, found) in zip(axes, models.items(), strict=True):
        draw_bars(ax, model, found, engines)
    figure.supxlabel("Seconds for 1,000 effective draws of the worst parameter", fontsize=10)
    figure.savefig(DOCS / "images" / "benchmarks_sampling.png", dpi=130)


if __name__ == "__main__":
    main()
