"""The sliders as part of a page that needs no network: its HTML, its style and its script."""

from __future__ import annotations

import json
from importlib.resources import files

from ..display import element
from .slider_model import SliderModel

#: Starts the sliders of a page with the module's own function.
_START = """
for (const place of document.querySelectorAll(".hierlogit-explorer")) {
  const data = JSON.parse(place.querySelector("script").textContent);
  mount(place, data, data.start, () => {});
}
"""


def asset(name: str) -> str:
    """The text of a file in the folder `assets`."""
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def place(model: SliderModel) -> str:
    """The element in which the script builds the sliders."""
    # Labels of the data cannot end the script.
    data = json.dumps(model.plain()).replace("<", "\\u003c")
    inside = element("script", data, type="application/json") + element(
        "noscript", element("p", "The sliders need JavaScript.")
    )
    return element("div", inside, class_="hierlogit-explorer")


def script() -> str:
    """The element with the script, for the end of a page."""
    return element("script", asset("explorer.js") + _START, type="module")
