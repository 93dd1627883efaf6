"""Every result with a function in `hl.plots` has a method that calls it."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pytest

import hierlogit as hl
from hierlogit import results
from hierlogit.pictures import Pictured

OF_CLASSES = [
    getattr(results, name)
    for name in dir(results)
    if isinstance(getattr(results, name), type) and issubclass(getattr(results, name), Pictured)
]


def test_results_that_plots_take_have_a_picture() -> None:
    drawn = {one._picture.plot for one in OF_CLASSES}
    assert drawn >= {"bayes_factor", "build", "check_data", "ignoring_clusters", "influence", "league_table"}
    assert drawn >= {"likelihood_ratio", "power", "shrinkage"}


@pytest.mark.parametrize("result", OF_CLASSES)
def test_the_method_is_the_function_of_plots(result: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, calls = object.__new__(result), []
    monkeypatch.setattr(hl.plots, result._picture.plot, lambda *given, **options: calls.append((given, options)))
    one.plot(axes="these")
    assert calls == [((one,), {"axes": "these"})]


def test_checks_of_data_and_comparisons_are_drawn(clinics: Any) -> None:
    check = hl.check_data(clinics.model)
    assert len(check.plot()) == len(hl.plots.check_data(check))
    ml = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit("laplace")
    _, ax = plt.subplots()
    assert hl.compare({"one": ml, "two": ml}).plot(ax=ax)[0] is ax
    assert len(hl.profile(ml, "urban[Y]", points=3).plot()) == 1


def test_odds_ratios_are_drawn_as_those_of_the_fit(clinics: Any) -> None:
    table = hl.odds_ratios(clinics, ci_prob=0.5)
    (ax,), (other,) = table.plot(labels={"arm[new]": "new arm"}), hl.plots.forest(clinics, ci_prob=0.5)
    for mine, its in zip(ax.collections, other.collections, strict=True):
        assert mine.get_offsets().tolist() == its.get_offsets().tolist()
    assert "new arm" in [label.get_text() for label in ax.get_yticklabels()]
    (ax,) = table.loc[["arm[old]", "arm[new]"]].plot(effects=["arm[new]"])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["arm[new]"]
    with pytest.raises(hl.errors.FitError, match="'ci_prob' is for fits; result is a table"):
        table.plot(ci_prob=0.9)
    with pytest.raises(hl.errors.FitError, match="result is not a table by hl.odds_ratios"):
        hl.plots.forest(hl.summary(clinics))
