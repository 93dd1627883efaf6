"""Zeta plots: the curve, the ends of intervals, and what is not a profile."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import hierlogit as hl
from hierlogit.errors import FitError
from hierlogit.fits.fit import Fit


@pytest.fixture(scope="module")
def slopes() -> Fit:
    model = hl.Model("use ~ urban + (1 + urban | district)", hl.datasets.load("contraception"))
    return model.fit("laplace")


def test_lines_stand_at_the_ends_of_profile_intervals(slopes: Fit) -> None:
    axes = hl.plots.profile(hl.profile(slopes))
    assert len(axes) == 5
    for prob, place in ((0.5, 0), (0.95, 3)):
        table = hl.summary(slopes, interval="profile", ci_prob=prob)
        ends = table.filter(regex="profile").to_numpy()
        for ax, pair in zip(axes, ends, strict=True):
            # After the zero line, the straight line and the curve come two vertical lines for each interval.
            drawn = [line.get_xdata()[0] for line in ax.lines[3 + 2 * place : 5 + 2 * place]]
            np.testing.assert_allclose(drawn, pair, atol=2e-3 * np.ptp(ax.get_xlim()))
    text = hl.plots.text_alternative(axes)
    assert "Profile of sd_district[urban[Y]]: estimate 0.816; 95% interval from 0.464 to 1.24." in text
    assert "cor_district" in axes[4].get_title()
    legend = " ".join(axes[0].figure.get_supxlabel().split())
    assert legend.startswith("Vertical lines: ends of the 50, 80, 90, 95 and 99% profile intervals.")


def test_an_interval_that_is_open_has_no_line(slopes: Fit) -> None:
    table = hl.profile(slopes, "urban[Y]", ci_prob=0.8)
    _, ax = plt.subplots()
    (drawn,) = hl.plots.profile(table, axes=ax)
    assert drawn is ax
    assert len(ax.lines) == 3 + 2 * 2 + 1  # the 50 and 80% intervals, and the point at the estimate
    assert "95% interval from open to open" in hl.plots.text_alternative(ax)


def test_what_is_not_a_profile_is_refused(slopes: Fit) -> None:
    with pytest.raises(FitError, match="not made by hl.profile"):
        hl.plots.profile(hl.summary(slopes))
    with pytest.raises(FitError, match="a table made by hl.profile"):
        hl.plots.profile(slopes)  # type: ignore[arg-type]
    with pytest.raises(FitError, match="needs 2 Axes"):
        hl.plots.profile(hl.profile(slopes, ["Intercept", "urban[Y]"], points=2), axes=plt.figure().subplots())
