"""Images of the report: few colours, of which the background is one."""

from __future__ import annotations

import numpy as np
import pytest

from hierlogit.reporting.images import COLOURS, _with_few_colours


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
