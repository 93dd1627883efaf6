"""Plot of a build-up: quantities of interest in all models that were tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..building.models_tried import Build
from ..errors import FitError
from ..formatting import number
from ..validation import instance, names, number_of
from .style import BLUE, GREY, INK, AxesArray, describe, given_axes, house_style, names_of, new_axes, set_title, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Panels in a row, and panels of the quantities that are drawn if none are named.
ACROSS, MOST = 3, 9
ROW_HEIGHT, HEAD_HEIGHT, PANEL_WIDTH, LABEL_WIDTH = 0.24, 0.9, 2.6, 2.2
#: Characters in a line of a title, and of the name of a model.
TITLE_WIDTH, NAME_WIDTH = 34, 40


def build(result: Build, quantities: str | Sequence[str] | None = None, *, axes: Any = None) -> AxesArray:
    """Plot of a build-up: quantities of interest in all models that were tried, the first model on top.

    Parameters
    ----------
    result : Build
        From `hierlogit.build`.
    quantities : str or list of str, optional
        Which of those in ``result.estimands`` to draw, a panel each; the first nine except the intercept if not given.
    axes : array of matplotlib Axes, optional
        One for each quantity; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (quantities,)
        Estimates with their intervals, where they are known. Filled points are models that were kept, open ones those
        that were not; the dashed line is at the estimate of the proposed model.

    Raises
    ------
    FitError
        If `result` is not from `hierlogit.build`, or there is no such quantity.

    Examples
    --------
    >>> import hierlogit as hl
    >>> result = hl.build("use ~ urban + (1 | district)", hl.datasets.load("contraception"))
    >>> hl.plots.build(result)  # doctest: +SKIP
    """
    instance("result", result, Build, FitError, "a Build", "Make one first: hl.build(formula, data).")
    known = list(dict.fromkeys(result.estimands.index.get_level_values("quantity")))
    chosen = [name for name in known if name != "Intercept"][:MOST] or known
    if quantities is not None:
        chosen = list(names("quantities", quantities, known, FitError, "quantity", "the build-up"))
    with house_style():
        drawn = (
            _grid(len(chosen), len(result.fits)) if axes is None else given_axes(axes, len(chosen), "a quantity each")
        )
        for k, (ax, quantity) in enumerate(zip(drawn, chosen, strict=True)):
            _draw(ax, result, quantity, named=axes is not None or k % ACROSS == 0)
            if axes is not None or k >= len(chosen) - ACROSS:
                ax.set_xlabel(f"{100 * result.ci_prob:g}% interval; open: not kept")
    return drawn


def _grid(panels: int, models: int) -> AxesArray:
    """The axes of a new figure with a few panels in each row, which share the models."""
    across = min(panels, ACROSS)
    height = -(-panels // across) * (HEAD_HEIGHT + ROW_HEIGHT * models)
    return new_axes(panels, columns=across, width=LABEL_WIDTH + PANEL_WIDTH * across, height=height)


def _draw(ax: Axes, result: Build, quantity: str, *, named: bool) -> None:
    models = list(result.table.index)
    of_all = pd.DataFrame(result.estimands)
    values = of_all[of_all.index.get_level_values("quantity") == quantity].droplevel("quantity").reindex(models)
    kept = np.array([name in result.kept for name in models])
    positions, estimate = np.arange(len(models)), values["estimate"].to_numpy()
    at_proposed = float(estimate[models.index(result.proposed)])
    if np.isfinite(at_proposed):
        ax.axvline(at_proposed, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    ax.hlines(positions, values["lower"], values["upper"], color=np.where(kept, BLUE, GREY), linewidth=1.3)
    for of_kind, edge, face in ((kept, BLUE, BLUE), (~kept, GREY, "white")):
        ax.scatter(estimate[of_kind], positions[of_kind], s=22, facecolors=face, edgecolors=edge, zorder=3)
    labels = [_label(str(name), row) for name, row in result.table.iterrows()] if named else []
    ax.set_yticks(positions if named else [], labels)
    for label in ax.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith(f"{result.proposed}:") else "normal")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(models) - 0.4, -0.6)
    set_title(ax, wrapped(names_of([quantity])[0], TITLE_WIDTH))
    known = estimate[np.isfinite(estimate)]
    extent = f"from {number(known.min())} to {number(known.max())}"
    describe(
        ax,
        f"{quantity} in {number_of(len(known), 'model')} of the {len(models)} that were tried, {extent}; "
        f"{number(at_proposed)} in the proposed model {result.proposed}.",
    )


def _label(name: str, row: pd.Series[Any]) -> str:
    """The name of a model, followed by the model that it is compared with and what it adds to that."""
    adds = names_of([row["adds"]])[0]
    text = f"{row['against']} + {adds}" if row["against"] else adds
    return f"{name}: {text if len(text) <= NAME_WIDTH else f'{text[: NAME_WIDTH - 1]}…'}"
