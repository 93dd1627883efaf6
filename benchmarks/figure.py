"""Plot the tables of docs/benchmarks.md: ``python benchmarks/figure.py`` writes docs/images/benchmarks.png."""

from __future__ import annotations

import re
from pathlib import Path

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


def main() -> None:
    """Plot both panels."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    parts = dict(zip(PANELS, (text, text[text.index("## Sampling") :]), strict=True))
    figure, axes = plt.subplots(1, 2, figsize=(10, 2.7), layout="constrained")
    for ax, (title, (column, names)) in zip(axes, PANELS.items(), strict=True):
        found = times(parts[title], column, names)
        own = found["hierlogit"]
        ax.barh(list(found), list(found.values()), color=[BLUE, *[GREY] * (len(found) - 1)])
        for place, value in enumerate(found.values()):
            ratio = (
                "" if value == own else f"  ({value / own:.2g} x)" if value < 100 * own else f"  ({value / own:.0f} x)"
            )
            ax.text(value * 1.15, place, f"{value:g}{ratio}", va="center", fontsize=9)
        ax.set_xscale("log")
        ax.set_xlim(own / 2, max(found.values()) * 12)
        ax.invert_yaxis()
        ax.set_title(title, loc="left", fontsize=11)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(DOCS / "images" / "benchmarks.png", dpi=130)


if __name__ == "__main__":
    main()
