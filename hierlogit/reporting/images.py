"""Plots embedded in the page, with text alternatives and captions."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

from ..display import element
from .html import prose, scrolled

#: SVG images above this many bytes are stored as PNG.
MOST_BYTES = 150_000
#: Plots wider than this, in inches, have several panels; on a phone they scroll rather than shrink.
WIDE = 7.0
#: Pixels per inch on the screen, the smallest to which a plot shrinks, and dots per inch of PNG images.
NATURAL, SQUEEZED, DOTS = 96, 56, 200


def picture(draw: Callable[[], Any], caption: str) -> str:
    """A plot as an HTML figure.

    Parameters
    ----------
    draw : callable
        Draws on a new figure and returns its axes.
    caption : str
        What to see in the plot.

    Returns
    -------
    str
        A ``figure`` element with the embedded image, its text alternative and the caption.
    """
    import matplotlib.pyplot as plt
    import numpy as np

    from ..plots.style import SETTINGS_LOCK, text_alternative

    with SETTINGS_LOCK, plt.ioff():
        axes = draw()
        drawn = np.asarray(axes, dtype=object).ravel()[0].figure
        try:
            source, width = _source(drawn), float(drawn.get_figwidth())
            alternative = text_alternative(drawn)
        finally:
            plt.close(drawn)
    image = element(
        "img", src=source, alt=alternative, style=f"width:{width * NATURAL:.0f}px;min-width:{width * SQUEEZED:.0f}px"
    ).removesuffix("</img>")
    kind = "wide" if width > WIDE else None
    return element("figure", scrolled(image, caption) + element("figcaption", prose(caption)), class_=kind)


def _source(drawn: Any) -> str:
    """The image as a data URL."""
    import matplotlib as mpl

    # With a fixed salt and no date, the same fit gives the same page.
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "hierlogit"}):
        lines = BytesIO()
        drawn.savefig(lines, format="svg", metadata={"Date": None})
    if lines.tell() <= MOST_BYTES:
        return f"data:image/svg+xml;base64,{base64.b64encode(lines.getvalue()).decode()}"
    pixels = BytesIO()
    drawn.savefig(pixels, format="png", dpi=DOTS, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(pixels.getvalue()).decode()}"
