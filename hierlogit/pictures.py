"""Pictures of results: the function of `hierlogit.plots` that draws a result, for its method ``plot``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any, ClassVar

from pandas.plotting import PlotAccessor


@dataclass(frozen=True)
class Picture:
    """How a result is drawn.

    Attributes
    ----------
    plot : str
        Name of a function of `hierlogit.plots` whose first argument is the result. It is found by its name when a
        result is drawn: plots know the results, and results do not know the plots.
    """

    plot: str

    @property
    def function(self) -> Callable[..., Any]:
        """The function that draws."""
        found: Callable[..., Any] = getattr(import_module(f"{__package__}.plots"), self.plot)
        return found

    def own_options(self, options: Mapping[str, Any]) -> dict[str, Any] | None:
        """The options as the function names them; None if it lacks one of them."""
        known = signature(self.function).parameters
        named = {"axes" if name == "ax" and name not in known else name: value for name, value in options.items()}
        return named if named.keys() <= known.keys() else None


class TablePlots(PlotAccessor):
    """Plots of a table: its own picture when it is called, and all that pandas draws.

    ``table.plot()`` draws the picture of the table, with the options of the function of `hierlogit.plots` that draws
    it. With other options, such as ``x``, ``y`` and ``kind``, it draws what pandas does, as do ``table.plot.scatter``
    and the like, and tables without a picture.
    """

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self._table = table

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Draw the table."""
        picture: Picture | None = self._table._picture
        own = None if picture is None or arguments else picture.own_options(options)
        if picture is None or own is None:
            return super().__call__(*arguments, **options)
        return picture.function(self._table, **own)


class Pictured:
    """Base class of results, other than tables, that have a picture."""

    __slots__ = ()
    _picture: ClassVar[Picture]

    def plot(self, **options: Any) -> Any:
        """Draw the result, as the function of `hierlogit.plots` that takes it does.

        Parameters
        ----------
        **options
            Options of that function.

        Returns
        -------
        ndarray of matplotlib Axes
        """
        return self._picture.function(self, **options)
