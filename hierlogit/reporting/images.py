"""Plots embedded in the page, with text alternatives and captions."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

from ..display import element
from .html import prose, scrolled

#: SVG images above this many bytes are stored as PNG if that is smaller, so that three fits in a report fit in 3 MB.
MOST_BYTES = 40_000
#: Plots wider than this, in inches, have several panels; on a phone they scroll rather than shrink.
WIDE = 7.0
#: Pixels per inch on the screen, the smallest to which a plot shrinks, and dots per inch and colours of PNG images.
NATURAL, SQUEEZED, DOTS, COLOURS = 96, 56, 192, 64


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
    drawing, pixels = lines.getvalue(), b""
    if len(drawing) > MOST_BYTES:
        pixels = _pixels(drawn)
    kind, content = ("png", pixels) if pixels and len(pixels) < len(drawing) else ("svg+xml", drawing)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _pixels(drawn: Any) -> bytes:
    """The image as PNG with few colours, which are all that plots have."""
    from PIL import Image

    full, few = BytesIO(), BytesIO()
    drawn.set_layout_engine("none")  # what it is has been laid out for the lines
    drawn.savefig(full, format="png", dpi=DOTS, pil_kwargs={"compress_level": 0})
    with Image.open(full) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(few, format="png", optimize=True)
    return few.getvalue()
