"""Section: sliders that show the effect of differences between clusters on estimates and curves."""

from __future__ import annotations

from ...explorer.from_fit import slider_model
from ...explorer.page import place
from ...formatting import number
from ..html import paragraph
from ..request import Request


def content(request: Request) -> str:
    """The section: the sliders of the first factor of the first fit, which start at its estimates."""
    subject = request.subjects[0]
    if not subject.design.groups:
        return paragraph("The model has no clusters.")
    model = slider_model(subject.fit)
    start = model.start
    sds = " and ".join(
        f"{number(sd)} (`{effect}`)" for effect, sd in zip(model.effects, (start.sd, start.sd_slope), strict=False)
    )
    return paragraph(
        "Move the sliders to see the effect of differences between clusters. They start at the standard "
        f"{'deviations' if len(model.effects) > 1 else 'deviation'} of `{model.group}`, {sds}, and the size of its "
        f"median cluster, {start.size} {model.unit}.",
        "screen",
    ) + place(model)
