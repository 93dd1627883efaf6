import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import hierlogit as hl


def drawn_points(ax):
    parts = [np.asarray(part.get_offsets()) for part in ax.collections]
    return np.concatenate(parts), [len(part) for part in parts]


def test_proportions_and_trials(herds):
    league = hl.league_table(herds)
    (ax,) = hl.plots.funnel(league, kind="rate")
    points, counts = drawn_points(ax)
    expected = league.table[["trials", "rate"]].to_numpy()
    np.testing.assert_allclose(points[np.lexsort(points.T)], expected[np.lexsort(expected.T)])
    overall = league.table["events"].sum() / league.table["trials"].sum()
    more = binom.sf(league.table["events"] - 1, league.table["trials"], overall)
    fewer = binom.cdf(league.table["events"], league.table["trials"], overall)
    tail = np.minimum(more, fewer)
    assert counts == [(tail > 0.025).sum(), ((tail <= 0.025) & (tail > 0.001)).sum(), (tail <= 0.001).sum()]
    assert f"{(tail <= 0.025).sum()} of 15 lie beyond the 95% limits" in hl.plots.text_alternative(ax)


def test_limits_narrow_and_hold_what_they_say(clinics):
    (ax,) = hl.plots.funnel(clinics)
    _, low95, high95, low998, high998 = ax.get_lines()
    for inner, outer, sign in ((low95, low998, 1), (high95, high998, -1)):
        known = np.isfinite(outer.get_ydata())
        assert known.any()
        assert np.all(sign * np.diff(inner.get_ydata()[known]) >= 0)
        assert np.all(sign * (inner.get_ydata() - outer.get_ydata())[known] >= 0)
    assert np.all(low95.get_ydata()[known] < 1)


def test_without_predictors_both_kinds_are_the_same(make_fit, clustered_rows):
    fit = make_fit("healed ~ 1 + (1 | clinic)", clustered_rows(9, 14))
    league = hl.league_table(fit)
    (by_events,), (by_rate,) = hl.plots.funnel(league), hl.plots.funnel(league, kind="rate")
    events, rates = drawn_points(by_events)[0], drawn_points(by_rate)[0]
    # O/E is proportional to the proportion, and so is the size to the trials.
    assert np.ptp(np.sort(events[:, 1]) / np.sort(rates[:, 1])) < 1e-9
    assert np.ptp(events[:, 0]) < 1e-9


def test_names_lie_inside_and_apart(make_fit):
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"ward": np.repeat([f"a ward with a long name {k}" for k in range(40)], 200)})
    rows["died"] = (rng.uniform(size=8000) < np.repeat(rng.choice([0.05, 0.3], 40), 200)).astype(int)
    (ax,) = hl.plots.funnel(make_fit("died ~ 1 + (1 | ward)", rows))
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert boxes
    inside = ax.get_window_extent()
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)
    assert not any(box.overlaps(other) for k, box in enumerate(boxes) for other in boxes[:k])


def test_three_thousand_clusters(crowd):
    (ax,) = hl.plots.funnel(hl.league_table(crowd, num_draws=50))
    assert sum(drawn_points(ax)[1]) == 3000
    assert "3,000 clusters of clinic" in hl.plots.text_alternative(ax)


def test_bad_arguments_are_named(clinics, make_fit):
    with pytest.raises(hl.errors.FitError, match="kind='smr' is not allowed"):
        hl.plots.funnel(clinics, kind="smr")
