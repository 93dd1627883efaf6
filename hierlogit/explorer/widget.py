"""The sliders as a widget of notebooks, by anywidget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..display import Facts, Shown, View
from ..errors import PackageError
from ..formatting import number
from .page import asset
from .slider_model import SliderModel

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise PackageError(
        'hl.explore needs anywidget, which is not installed. Run pip install "hierlogit[widgets]", and load the '
        "notebook again. hl.report(fit, sections=['sliders']) makes a page with the same sliders, without it."
    ) from error

if TYPE_CHECKING:
    from .slider_model import Position

#: Attributes that the sliders move.
INPUTS = ("sd", "sd_slope", "correlation", "size")


class Explorer(Shown, anywidget.AnyWidget):
    """Sliders for the differences between the clusters of a fit, in Jupyter, marimo and VS Code.

    The first four attributes are the positions of the sliders and can be set; the others follow from them.

    Attributes
    ----------
    sd : float
        Standard deviation of the first effect that varies over clusters, on the logit scale.
    sd_slope : float
        That of the second effect; 0 if only one varies.
    correlation : float
        Of the two effects.
    size : int
        Rows of a cluster, or trials for counts.
    icc : float
        Share of the latent variance that lies between clusters, as by `icc`.
    mor : float or None
        Median odds ratio, as by `mor`. None if it is too large for a floating-point number.
    mean : float
        Probability averaged over the rows and the population of clusters.
    ratio : float or None
        Population-averaged coefficients over the conditional ones, as by `conditional_vs_average`: that of the random
        slope, or that of all fixed effects together. None if the model has no predictors.
    lowest, highest : float
        Estimated probability of an average cluster of this size in which the event was never, or always, seen.
    """

    _esm = asset("explorer.js")
    _css = asset("explorer.css")

    setup = traitlets.Dict(read_only=True).tag(sync=True)
    sd = traitlets.Any().tag(sync=True)
    sd_slope = traitlets.Any().tag(sync=True)
    correlation = traitlets.Any().tag(sync=True)
    size = traitlets.Any().tag(sync=True)
    icc = traitlets.Float(read_only=True).tag(sync=True)
    mor = traitlets.Float(read_only=True, allow_none=True).tag(sync=True)
    mean = traitlets.Float(read_only=True).tag(sync=True)
    ratio = traitlets.Float(read_only=True, allow_none=True).tag(sync=True)
    lowest = traitlets.Float(read_only=True).tag(sync=True)
    highest = traitlets.Float(read_only=True).tag(sync=True)

    def __init__(self, model: SliderModel) -> None:
        self._sliders = model
        super().__init__()
        self.set_trait("setup", model.plain())
        with self.hold_trait_notifications():
            for name in INPUTS:
                self.set_trait(name, getattr(model.start, name))
        self._follow()
        self.observe(lambda _: self._follow(), INPUTS)

    @traitlets.validate(*INPUTS)
    def _checked(self, proposal: Any) -> Any:
        name = proposal["trait"].name
        return getattr(self._sliders.checked(**{name: proposal["value"]}), name)

    @property
    def _position(self) -> Position:
        return self._sliders.checked(**{name: getattr(self, name) for name in INPUTS})

    def _follow(self) -> None:
        """Compute the results at the position of the sliders."""
        with self.hold_sync():
            for name, value in self._sliders.results(self._position).items():
                self.set_trait(name, value)

    def _view(self) -> View:
        first, *second = self._sliders.effects
        facts = [(f"sd of {first}", number(self.sd))]
        if second:
            facts += [(f"sd of {second[0]}", number(self.sd_slope)), ("correlation", number(self.correlation))]
        unit = "trials" if self._sliders.unit == "trials" else "rows"
        facts += [
            ("cluster size", f"{self.size} {unit}"),
            ("ICC", number(self.icc)),
            ("median odds ratio", "–" if self.mor is None else number(self.mor)),
            ("mean probability", number(self.mean)),
            ("average / conditional", "–" if self.ratio is None else number(self.ratio)),
            ("estimates", f"{number(self.lowest)} without events, {number(self.highest)} with events only"),
        ]
        return View(f"Sliders for the clusters of {self._sliders.group}", (Facts(tuple(facts)),))
