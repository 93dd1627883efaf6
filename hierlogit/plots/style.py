"""The house style: colours, fonts, new axes, and a sentence that tells a picture in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import FitError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..fits.fit import Fit

#: An array of matplotlib axes, shape (panels,).
AxesArray = npt.NDArray[Any]

# Okabe and Ito's colours, told apart by colour-blind people.
BLUE = "#0072B2"
VERMILLION = "#D55E00"
INK = "#222222"
GREY = "#8A8A8A"
PALE = "#D9D9D9"

SMALL = 7.0
MEDIUM = 9.0
LARGE = 10.0

#: With more clusters than this, not each gets its name on an axis.
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
        "text.parse_math": False,  # a column may be called 'price_$' and a cluster '$5-$10'
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


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style, and leave matplotlib's settings as they were."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    # Loads the backend. A notebook's backend changes settings when it is loaded, and inside the context these changes
    # would be undone: the notebook would show no more pictures.
    plt.draw_if_interactive()  # type: ignore[no-untyped-call]
    settings: Any = dict(STYLE)
    with mpl.rc_context(settings):
        yield


def new_axes(panels: int, *, width: float, height: float, **options: Any) -> AxesArray:
    """Make a new figure with `panels` axes in a row, laid out so that no label is cut."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, panels, figsize=(width, height), layout="constrained", squeeze=False, **options)
    return np.asarray(axes, dtype=object).ravel()


def given_axes(axes: Any, panels: int, what: str) -> AxesArray:
    """Check the axes a caller passed, and make an array of them.

    Raises
    ------
    FitError
        If they are no axes, or not as many as there are panels.
    """
    from matplotlib.axes import Axes

    array = np.asarray(axes, dtype=object).ravel()
    if not all(isinstance(ax, Axes) for ax in array):
        raise FitError(f"ax and axes must be matplotlib Axes; got {type(axes).__name__}.")
    if len(array) != panels:
        raise FitError(f"this picture needs {panels} axes ({what}); got {len(array)}.")
    return array


def set_title(ax: Axes, text: str, **options: Any) -> None:
    """Write the title at the left, where `ax.get_title` and `ax.set_title` find it."""
    ax.set_title(text, x=0.0, ha="left", **options)


def describe(ax: Axes, text: str) -> None:
    """Attach to `ax` a sentence that says what the picture shows; `text_alternative` reads it."""
    ax.set_label(text)


def text_alternative(figure: Figure | Axes | AxesArray) -> str:
    """Say what a picture of this package shows: alternative text for a page, or metadata of a file.

    Parameters
    ----------
    figure : matplotlib Figure, Axes or array of Axes

    Returns
    -------
    str
        The descriptions of its panels, those without one left out.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.text_alternative(hl.plots.forest(fit))  # doctest: +SKIP
    """
    from matplotlib.figure import Figure

    axes = figure.axes if isinstance(figure, Figure) else np.asarray(figure, dtype=object).ravel()
    texts = [str(ax.get_label()) for ax in axes]
    return " ".join(text for text in texts if text and not text.startswith(("_", "<")))


def names_of(labels: Any) -> list[str]:
    """Labels of clusters or levels as an axis shows them."""
    return [str(label) for label in labels]


def counted(number: int, name: str) -> str:
    """Write a count with its name: ``60 clusters of district``.

    Examples
    --------
    >>> counted(60, "district")
    '60 clusters of district'
    """
    return f"{number:,} clusters of {name}"


def probability_label(fit: Fit) -> str:
    """Axis label of a probability, with the event in the data's words."""
    outcome = fit.model.design.outcome
    return f"Probability per trial: {outcome.event}" if outcome.binomial else f"Probability that {outcome.event}"


def proportion_label(fit: Fit) -> str:
    """Axis label of a proportion of events, in the data's words."""
    outcome = fit.model.design.outcome
    return f"Proportion: {outcome.event}" if outcome.binomial else f"Proportion of {outcome.event}"


def interval_name(prob: float, kind: str) -> str:
    """How a label names an interval.

    Examples
    --------
    >>> interval_name(0.89, "eti")
    '89% interval'
    >>> interval_name(0.95, "hdi")
    '95% HDI'
    """
    return f"{100 * prob:g}% {'interval' if kind == 'eti' else 'HDI'}"
