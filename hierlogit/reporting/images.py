"""Plots embedded in the page, with text alternatives and captions."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..display import element
from .html import prose, scrolled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Plots wider than this, in inches, have several panels; on a phone they scroll rather than shrink.
WIDE = 7.0
#: Pixels per inch on the screen, the smallest to which a plot shrinks, and dots per inch and colours of the images.
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


def _source(drawn: Figure) -> str:
    """The image as a data URL: PNG with few colours, which are all that plots have."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    # Laid out and drawn in one pass; `savefig` draws once more, for the layout alone.
    drawn.set_dpi(DOTS)
    canvas: Any = FigureCanvasAgg(drawn)
    canvas.draw()
    pixels = BytesIO()
    with Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(pixels, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(pixels.getvalue()).decode()}"
