"""Style shared by all plots: colours, fonts, axes, labels and text alternatives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FitError
from ..formatting import plain
from ..validation import kind_of, number_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..fits.fit import Fit


class AxesArray(np.ndarray[Any, np.dtype[Any]]):
    """An array of matplotlib axes, shape (panels,), which a notebook shows as a few words below the plot."""

    def __repr__(self) -> str:
        return f"<{number_of(self.size, 'matplotlib Axes', 'matplotlib Axes')}>"

    __str__ = __repr__


# Okabe and Ito's colours, which colour-blind people can distinguish.
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN, PURPLE, ORANGE, SKY = "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
INK = "#222222"
GREY = "#8A8A8A"
PALE = "#D9D9D9"

SMALL = 7.0
MEDIUM = 9.0
LARGE = 10.0

#: Width of a character of a label or a legend, in inches.
CHARACTER = 0.085
#: With more clusters than this, not all are named on an axis.
MAX_NAMED = 80

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "font.size": MEDIUM,
        "axes.titlesize": LARGE,
        "axes.labelsize": MEDIUM,
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": False,
        "text.color": INK,
        "text.usetex": False,
        "text.parse_math": False,  # columns and clusters can have names such as 'price_$' and '$5-$10'
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": MEDIUM - 1,
        "ytick.labelsize": MEDIUM - 1,
        "legend.frameon": False,
        "legend.fontsize": MEDIUM - 1,
        "lines.solid_capstyle": "butt",
    }
)


#: Held while matplotlib's settings are changed: they are shared by all threads.
SETTINGS_LOCK = RLock()


@contextmanager
def house_style() -> Iterator[None]:
    """Context in which plots have the shared style; matplotlib's settings are restored afterwards.

    Threads draw one after the other, so that none of them restores the settings of another.
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    # Loads the backend. The backend of notebooks changes settings when it is loaded. Inside the context these changes
    # would be undone, and the notebook would show no more plots.
    plt.draw_if_interactive()  # type: ignore[no-untyped-call]
    settings: Any = dict(STYLE)
    with SETTINGS_LOCK, mpl.rc_context(settings):
        yield


def new_axes(panels: int, *, width: float, height: float, columns: int | None = None, **options: Any) -> AxesArray:
    """The axes of a new figure with `panels` panels in rows of `columns`, laid out so that no label is cut off.

    They are in a single row if `columns` is not given.
    """
    import matplotlib.pyplot as plt

    columns = columns or panels
    rows = -(-panels // columns)
    _, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False, **options)
    drawn = as_axes(axes)
    for ax in drawn[panels:]:
        ax.remove()
    return as_axes(drawn[:panels])


def as_axes(axes: Any) -> AxesArray:
    """Axes, or an array of them of any shape, as a flat array."""
    return np.asarray(axes, dtype=object).ravel().view(AxesArray)


def require_axes(axes: Any) -> None:
    """Raise an error unless all that a caller passed are matplotlib axes; None stands for a new figure.

    Plots that take long to compute call this first.
    """
    from matplotlib.axes import Axes

    if axes is not None and not all(isinstance(ax, Axes) for ax in as_axes(axes)):
        raise FitError(f"ax and axes must be matplotlib Axes; got {kind_of(axes)}.")


def given_axes(axes: Any, panels: int, what: str) -> AxesArray:
    """The axes that a caller passed, as an array.

    Raises
    ------
    FitError
        If they are not matplotlib axes, or their number differs from the number of panels.
    """
    require_axes(axes)
    array = as_axes(axes)
    if len(array) != panels:
        raise FitError(f"this plot needs {panels} Axes ({what}); got {len(array)}.")
    return array


def panel_width(ax: Axes) -> float:
    """Width of a panel in inches."""
    return ax.get_position().width * float(ax.figure.get_figwidth())  # type: ignore[union-attr]


def narrow_legend(ax: Axes, handles: list[Any], labels: list[str], **options: Any) -> None:
    """A legend inside of a panel, with labels broken where they are longer than the panel is wide."""
    room = max(int(panel_width(ax) / CHARACTER) - 8, 12)
    if "title" in options:
        options["title"] = wrapped(options["title"], room)
    ax.legend(handles, [wrapped(label, room) for label in labels], loc="best", **options)


def set_title(ax: Axes, text: str, **options: Any) -> None:
    """Set the title, aligned to the left but still found by `ax.get_title`."""
    ax.set_title(text, x=0.0, ha="left", **options)


def describe(ax: Axes, text: str) -> None:
    """Store a sentence that describes the plot as the label of `ax`, where `text_alternative` reads it."""
    ax.set_label(text)


def text_alternative(figure: Figure | Axes | AxesArray) -> str:
    """Text alternative of a plot: its content in words, for web pages and metadata of files.

    Parameters
    ----------
    figure : matplotlib Figure, Axes or array of Axes
        A plot of this package.

    Returns
    -------
    str
        The descriptions of its panels; panels without a description are left out.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.text_alternative(hl.plots.forest(fit))  # doctest: +SKIP
    """
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    axes = figure.axes if isinstance(figure, Figure) else np.asarray(figure, dtype=object).ravel()
    if not all(isinstance(ax, Axes) for ax in axes):
        raise FitError(f"figure is not a matplotlib Figure or Axes (got {kind_of(figure)}). Draw a plot first.")
    texts = [str(ax.get_label()) for ax in axes]
    return " ".join(text for text in texts if text and not text.startswith(("_", "<")))


def names_of(labels: Any) -> list[str]:
    """Labels of clusters or levels as text on one line, without characters that fonts do not have."""
    return [plain(" ".join(str(label).split())) for label in labels]


def counted(number: int, name: str) -> str:
    """The number of clusters with the name of the factor, such as ``60 clusters of district``.

    Examples
    --------
    >>> counted(60, "district")
    '60 clusters of district'
    """
    return f"{number:,} clusters of {name}"


def probability_label(fit: Fit) -> str:
    """Axis label of a probability, with the event as it is named in the data."""
    outcome = fit.model.design.outcome
    return f"Probability per trial: {outcome.event}" if outcome.binomial else f"Probability that {outcome.event}"


def proportion_label(fit: Fit) -> str:
    """Axis label of a proportion of events, with the event as it is named in the data."""
    outcome = fit.model.design.outcome
    return f"Proportion: {outcome.event}" if outcome.binomial else f"Proportion of {outcome.event}"


def interval_name(prob: float, kind: str) -> str:
    """Name of an interval in labels.

    Examples
    --------
    >>> interval_name(0.89, "eti")
    '89% interval'
    >>> interval_name(0.95, "hdi")
    '95% HDI'
    """
    return f"{100 * prob:g}% {'interval' if kind == 'eti' else 'HDI'}"


def wrapped(label: str, width: int) -> str:
    r"""A label broken into lines of about `width` characters, at blanks, hyphens and underscores where there are any.

    Examples
    --------
    >>> wrapped("treatment arm B (20 mg)", 14)
    'treatment arm\nB (20 mg)'
    """
    pieces = re.findall(r"\S*?[-_/]|\S+|\s+", label)
    lines = [""]
    for piece in pieces:
        if lines[-1].strip() and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return "\n".join(line.strip() for line in lines)
