"""Images of the report: few colours, of which the background is one."""

from __future__ import annotations

from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from hierlogit.reporting import images
from hierlogit.reporting.images import COLOURS, _source, _with_few_colours


@pytest.mark.parametrize("drawn", [0, 1, 200])
def test_an_image_with_few_colours_keeps_them(drawn: int) -> None:
    rgba = np.full((20, 30, 4), 255, np.uint8)
    colours = np.random.default_rng(1).integers(0, 255, (10, 3))
    rgba.reshape(-1, 4)[100 : 100 + drawn, :3] = colours[np.arange(drawn) % 10]
    with _with_few_colours(rgba) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), rgba[..., :3])


def test_an_image_with_many_colours_keeps_its_background() -> None:
    rgba = np.full((64, 64, 4), 255, np.uint8)
    rgba[10:, 10:, :3] = np.random.default_rng(2).integers(0, 255, (54, 54, 3))
    with _with_few_colours(rgba) as image:
        assert len(image.getcolors()) <= COLOURS
        found = np.asarray(image.convert("RGB"))
    assert (found[:10] == 255).all()
    assert np.abs(found.astype(int) - rgba[..., :3]).mean() < 40


def drawn_with_many_labels() -> Figure:
    figure, (left, right) = plt.subplots(1, 2, layout="constrained", figsize=(6, 3))
    left.set_xticks(range(12), [f"cluster {k}" for k in range(12)], rotation=70)
    left.set_xlabel("cluster")
    left.plot(range(12))
    right.set_yticks(range(5), ["one", "two", "", "one", "two\nlines"])
    right.set_title("panel", x=0.0, ha="left")
    right.plot([0.1, 1000.0], [0, 4])
    return figure


def test_labels_of_ticks_are_laid_out_once(monkeypatch) -> None:
    computed: Counter[Text] = Counter()
    compute = Text._get_layout

    def counted(text: Text, renderer: object) -> object:
        computed[text] += 1
        return compute(text, renderer)

    monkeypatch.setattr(Text, "_get_layout", counted)
    figure = drawn_with_many_labels()
    made = _source(figure)
    assert {computed[label] for label in figure.axes[0].get_xticklabels()} == {1}
    monkeypatch.setattr(images, "_lay_out_once", lambda _: None)
    assert made == _source(drawn_with_many_labels())
    plt.close("all")
