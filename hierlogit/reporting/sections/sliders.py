"""Section: sliders that show the effect of differences between clusters on estimates and curves."""

from __future__ import annotations

import json

import numpy as np

from ...density.linear_predictor import Draws
from ...display import element
from ...formatting import number
from ...variance.by_factor import mean_variance
from ..html import paragraph
from ..request import Request, Subject

#: Ranges of the sliders: sd in steps of a hundredth, size in rows.
LARGEST_SD, STEP, LARGEST_SIZE = 4.0, 0.01, 100


def content(request: Request) -> str:
    """The section: sliders, two drawings and a text, starting at the first factor of the first fit."""
    subject = request.subjects[0]
    if not subject.design.groups:
        return paragraph("The model has no clusters.")
    sd, size, level = _start(subject)
    group = subject.design.groups[0].name
    start = {"sd": sd, "size": size, "level": level}
    controls = _slider("sd", "Standard deviation between clusters, in log-odds", 0, LARGEST_SD, STEP, sd) + _slider(
        "size", "Rows in a cluster", 1, LARGEST_SIZE, 1, size
    )
    drawings = _drawing(
        "shrinkage",
        "Estimated probability of a cluster against its proportion of events",
        ("no pooling", "complete pooling", "partial pooling"),
    ) + _drawing(
        "curves",
        "Conditional and population-averaged probability against the log-odds in a typical cluster",
        ("clusters", "population average", "typical cluster"),
    )
    return "".join(
        [
            paragraph(
                "Move the sliders to see the effect of differences between clusters. They start at the standard "
                f"deviation of `{group}`, {number(sd)}{_averaged(subject)}, and the size of its median cluster, {size} "
                "rows.",
                "screen",
            ),
            element("div", controls, class_="controls"),
            element("div", drawings, class_="beside"),
            element("p", "", id="play-words", role="status", aria_live="polite"),
            element("script", json.dumps(start), type="application/json", id="play-start"),
        ]
    )


def _start(subject: Subject) -> tuple[float, int, float]:
    """Sd between clusters of the first factor (averaged over rows), size of its median cluster, and mean log-odds."""
    group = subject.design.groups[0]
    draws = Draws.of(subject.fit.model, subject.fit.posterior)
    variance = mean_variance(draws, group, subject.design.outcome.trials).mean()
    sd = round(min(float(np.sqrt(variance)), LARGEST_SD) / STEP) * STEP
    trials = np.bincount(group.index, weights=subject.design.outcome.trials)
    size = int(np.clip(np.median(trials), 1, LARGEST_SIZE))
    level = 0.0
    if subject.design.fixed_effects:
        beta = subject.fit.posterior["beta"].mean(("chain", "draw")).to_numpy()
        level = float(np.mean(subject.design.X @ beta + subject.design.offset))
    return round(sd, 2), size, round(level, 3)


def _averaged(subject: Subject) -> str:
    return "" if subject.design.groups[0].effects == ("Intercept",) else " on average over the rows"


def _slider(name: str, label: str, low: float, high: float, step: float, value: float) -> str:
    identity = f"play-{name}"
    text = element("label", label, for_=identity)
    slider = element(
        "input", id=identity, type="range", min=f"{low:g}", max=f"{high:g}", step=f"{step:g}", value=f"{value:g}"
    ).removesuffix("</input>")
    return element("div", text + slider + element("output", f"{value:g}", id=f"{identity}-value", for_=identity))


def _drawing(name: str, label: str, lines: tuple[str, str, str]) -> str:
    drawing = element("svg", "", id=f"play-{name}", viewBox="0 0 360 300", role="img", aria_label=label)
    kinds = zip(("grey", "orange", "blue"), ("quiet", "warm", "cool"), lines, strict=True)
    key = "; ".join(element("span", f"{colour}: {line}", class_=kind) for colour, kind, line in kinds)
    return element("figure", drawing + element("figcaption", f"{label}: {key}."))
