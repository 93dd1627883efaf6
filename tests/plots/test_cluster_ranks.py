import matplotlib.pyplot as plt
import numpy as np
import pytest

import hierlogit as hl
from hierlogit.fits.fit import Fit


@pytest.mark.parametrize("show", ["expected_rank", "odds_ratio", "pe", "standardised_rate", "p_best", "p_worst"])
def test_points_are_those_of_the_table(herds: Fit, show: str) -> None:
    league = hl.league_table(herds, ci_prob=0.8)
    (ax,) = hl.plots.league_table(league, show=show)
    points = next(part for part in ax.collections if len(part.get_offsets()) == 15)
    names = [label.get_text() for label in ax.get_yticklabels()]
    drawn = {names[int(y)]: x for x, y in np.asarray(points.get_offsets())}
    assert drawn == pytest.approx({str(name): value for name, value in league.table[show].items()})
    assert names[-1] == str(league.table.index[0])  # the best on top


def test_intervals_of_ranks_and_of_all_ranks_at_once(clinics: Fit) -> None:
    league = hl.league_table(clinics)
    (ax,) = hl.plots.league_table(league)
    together, single = (np.asarray(part.get_segments())[::-1, :, 0] for part in ax.collections[:2])
    np.testing.assert_array_equal(single, league.table[["rank_eti89_lb", "rank_eti89_ub"]])
    np.testing.assert_array_equal(together, league.table[["rank_simultaneous89_lb", "rank_simultaneous89_ub"]])
    assert league.statement in hl.plots.text_alternative(ax)
    assert 1 <= min(ax.get_xticks()) < max(ax.get_xticks()) <= len(league.table)


def test_the_axis_says_which_rank_is_the_best(clinics: Fit) -> None:
    event = clinics.model.design.outcome.event
    for best, words in (("low", "lowest"), ("high", "highest")):
        (ax,) = hl.plots.league_table(hl.league_table(clinics, best=best, num_draws=20))
        assert f"1: {words} probability of {event}\n" in ax.get_xlabel()


def test_thousands_of_clusters_are_not_named(crowd: Fit) -> None:
    league = hl.league_table(crowd, num_draws=50)
    for show in ("expected_rank", "p_best"):
        (ax,) = hl.plots.league_table(league, show=show)
        assert len(ax.get_yticks()) == 0
        assert ax.get_ylabel() == "3,000 clusters of clinic, the best on top"
        ax.figure.canvas.draw()


def test_a_fit_with_crossed_factors_in_given_axes(crossed: Fit) -> None:
    _, axes = plt.subplots(1, 2)
    assert hl.plots.league_table(crossed, "reader", axes=axes[1])[0] is axes[1]
    assert "4 clusters of reader" in hl.plots.text_alternative(axes[1])


def test_bad_arguments_are_named(clinics: Fit, crossed: Fit) -> None:
    with pytest.raises(hl.errors.FitError, match="show='rank' is not allowed"):
        hl.plots.league_table(clinics, show="rank")
    with pytest.raises(hl.errors.FitError, match="the result is the league table of 'clinic'"):
        hl.plots.league_table(hl.league_table(clinics), "reader")
    with pytest.raises(hl.errors.FitError, match="needs 1 Axes"):
        hl.plots.league_table(crossed, axes=plt.subplots(1, 2)[1])
    with pytest.raises(hl.errors.FitError, match="result is not a Fit"):
        hl.plots.league_table(3)  # type: ignore[arg-type]
