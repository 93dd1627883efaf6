"""matplotlib axes -> a picture within the page, with the sentence that stands for it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

from ..display import element
from .html import prose, scrolled

#: Above this many bytes a drawing of many points is stored as pixels.
MOST_BYTES = 150_000
#: Inches above which a picture has several panels, and is moved sideways on a phone rather than squeezed.
WIDE = 7.0
#: Pixels per inch of a picture on the screen, the fewest it is squeezed to, and dots per inch of one stored as pixels.
NATURAL, SQUEEZED, DOTS = 96, 56, 200


def picture(draw: Callable[[], Any], caption: str) -> str:
    """Draw, and store what was drawn.

    Parameters
    ----------
    draw : callable
        Draws on a new figure; returns its axes.
    caption : str
        What a reader should see in it, in plain words.

    Returns
    -------
    str
        A ``figure`` with an image that is part of the page, its alternative text and the caption.
    """
    import matplotlib.pyplot as plt
    import numpy as np

    from ..plots.style import text_alternative

    with plt.ioff():
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
    """The picture as an address that holds it."""
    import matplotlib as mpl

    # A fixed salt and no date: the same fit gives the same page.
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "hierlogit"}):
        lines = BytesIO()
        drawn.savefig(lines, format="svg", metadata={"Date": None})
    if lines.tell() <= MOST_BYTES:
        return f"data:image/svg+xml;base64,{base64.b64encode(lines.getvalue()).decode()}"
    pixels = BytesIO()
    drawn.savefig(pixels, format="png", dpi=DOTS, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(pixels.getvalue()).decode()}"
