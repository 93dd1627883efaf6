"""Plots embedded in the page, with text alternatives and captions."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..display import element
from .html import prose, scrolled

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure
    from PIL.Image import Image

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
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # Laid out and drawn in one pass; `savefig` draws once more, for the layout alone.
    drawn.set_dpi(DOTS)
    for axis in [axis for ax in drawn.axes for axis in (ax.xaxis, ax.yaxis)]:
        if not axis.get_label_text():  # whose place would be computed from all tick labels, several times
            axis.set_label_coords(0.0, 0.0)
        for tick in axis.get_major_ticks():
            _lay_out_once(tick.label1)
    canvas: Any = FigureCanvasAgg(drawn)
    canvas.draw()
    content = BytesIO()
    with _with_few_colours(np.asarray(canvas.buffer_rgba())) as image:
        image.save(content, format="png")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _lay_out_once(label: Any) -> None:
    """Let a tick's label keep its layout for each text that it has, since nothing else of it changes in a drawing.

    Drawing asks for the layout about eight times: in two passes for the margins, for the places of the axis's label and
    of the title, and at last for the text itself. matplotlib keeps the function to itself: without it, nothing changes.
    """
    compute: Any = getattr(label, "_get_layout", None)
    known: dict[str, Any] = {}

    def layout(renderer: Any) -> Any:
        text = label.get_text()
        if text not in known:
            known[text] = compute(renderer)
        return known[text]

    if compute is not None:
        label._get_layout = layout


def _with_few_colours(rgba: npt.NDArray[np.uint8]) -> Image:
    """An image whose background, the colour in its corner, is one colour, and all others are chosen among the rest.

    Most of a plot is background, whose pixels would take most of the time.

    Parameters
    ----------
    rgba : ndarray, shape (height, width, 4)
    """
    import numpy as np
    from PIL import Image as pillow

    height, width, _ = rgba.shape
    pixels = np.ascontiguousarray(rgba).view(np.uint32).ravel()
    drawn = np.flatnonzero(pixels != pixels[0])
    # Of a plot without anything, one pixel.
    strip = pixels[drawn if len(drawn) else slice(1)]
    with pillow.frombuffer("RGBA", (len(strip), 1), strip.view(np.uint8)) as line:
        chosen = line.convert("RGB").quantize(COLOURS - 1, dither=pillow.Dither.NONE)
    colours = np.zeros((COLOURS, 3), np.uint8)
    palette = np.array(chosen.getpalette(), np.uint8).reshape(-1, 3)
    colours[: len(palette)] = palette
    colours[-1] = rgba[0, 0, :3]
    numbers = np.full(pixels.shape, COLOURS - 1, np.uint8)
    if len(drawn):
        numbers[drawn] = np.asarray(chosen).ravel()
    image = pillow.frombuffer("P", (width, height), numbers)
    image.putpalette(colours.tobytes())
    return image
