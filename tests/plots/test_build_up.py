"""Pictures of build-ups: all models, those kept and those not."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

import hierlogit as hl
from hierlogit.errors import FitError
from hierlogit.plots.style import BLUE


@pytest.fixture(scope="module")
def women():
    rows = hl.datasets.load("contraception")
    return hl.build("use ~ age + urban + (1 | district)", rows, engine=hl.Laplace(draws=100, seed=1))


def test_every_model_is_drawn_once_and_filled_if_it_is_kept(women):
    (ax,) = hl.plots.build(women, "urban[Y]")
    kept, others = ax.collections[-2:]
    estimates = women.estimands["estimate"].xs("urban[Y]", level="quantity")
    np.testing.assert_allclose(kept.get_offsets()[-2:, 0], estimates[["M2", "M4"]])
    np.testing.assert_allclose(others.get_offsets()[:, 0], estimates[["M3"]])
    assert to_hex(kept.get_facecolor()[0]).upper() == BLUE
    assert to_hex(others.get_facecolor()[0]) == "#ffffff"
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "M0: intercept only",
        "M1: M0 + district",
        "M2: M1 + age + urban",
        "M3: M2 + age | district",
        "M4: M2 + urban | district",
    ]
    text = hl.plots.text_alternative(ax)
    assert text.startswith("urban[Y] in 3 models of the 5 that were tried, from ")
    assert text.endswith("in the proposed model M4.")


def test_quantities_are_chosen_or_the_first_ones_except_the_intercept(women):
    titles = [ax.get_title() for ax in hl.plots.build(women)]
    assert titles == ["age", "urban[Y]", "average difference, age: +1", "average difference, urban: Y - N"]
    _, axes = plt.subplots(1, 2)
    drawn = hl.plots.build(women, ["age", "Intercept"], axes=axes)
    assert [ax.get_title() for ax in drawn] == ["age", "Intercept"]
    assert list(drawn) == list(axes)


def test_errors(women):
    with pytest.raises(FitError, match="a Build"):
        hl.plots.build(women.fit)
    with pytest.raises(FitError, match=r"urban\[Y\]"):
        hl.plots.build(women, "urban")
    with pytest.raises(FitError, match="needs 2 Axes"):
        hl.plots.build(women, ["age", "urban[Y]"], axes=plt.subplots()[1])
