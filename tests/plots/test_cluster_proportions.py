import matplotlib.pyplot as plt
import numpy as np
import pytest

import hierlogit as hl


def observed_points(ax):
    return np.concatenate([np.asarray(part.get_offsets()) for part in ax.collections[1:3]])


@pytest.mark.parametrize("sort", ["size", "proportion"])
def test_observed_proportions_are_those_of_the_data(clinics, sort):
    ax, _ = hl.plots.cluster_check(clinics, num_draws=50, seed=3, sort=sort)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    frame = clinics.model.design.table.frame
    share = (frame["healed"] == "yes").groupby(frame["clinic"], observed=True).mean()
    drawn = {labels[int(x)]: y for x, y in observed_points(ax)}
    assert drawn == pytest.approx(share.to_dict())
    if sort == "proportion":
        heights = [drawn[label] for label in labels]
        assert heights == sorted(heights)


def test_intervals_are_those_of_simulated_outcomes(herds):
    ax, spread = hl.plots.cluster_check(herds, num_draws=60, seed=3, ci_prob=0.5)
    simulated = hl.posterior_predictive(herds, num_draws=60, seed=3)["posterior_predictive"]["sick"].to_numpy()[0]
    frame = herds.model.design.table.frame
    herd = frame["herd"].to_numpy()
    trials = frame.groupby("herd")["size"].sum()
    order = [int(label.get_text()) for label in ax.get_xticklabels()]
    assert list(trials.loc[order]) == sorted(trials)
    shares = np.column_stack([simulated[:, herd == label].sum(axis=1) / trials[label] for label in order])
    ends = np.asarray(ax.collections[0].get_segments())[:, :, 1]
    np.testing.assert_allclose(ends, np.quantile(shares, [0.25, 0.75], axis=0).T)
    assert ax.get_ylabel() == "Proportion: sick of size"
    sd = (frame.groupby("herd")["sick"].sum() / trials).std()
    np.testing.assert_allclose(spread.get_lines()[0].get_xdata(), sd)


def test_clusters_outside_are_counted(herds):
    ax, _ = hl.plots.cluster_check(herds, seed=3)
    inside, outside = (len(part.get_offsets()) for part in ax.collections[1:3])
    assert inside + outside == 15
    texts = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert texts == ["simulated", f"observed, inside ({inside})", f"observed, outside ({outside})"]
    assert f"{outside} of 15 lie outside" in hl.plots.text_alternative(ax)


def test_crossed_factors_and_two_clusters(crossed, make_fit):
    assert len(observed_points(hl.plots.cluster_check(crossed, seed=1)[0])) == 12
    assert len(observed_points(hl.plots.cluster_check(crossed, "reader", seed=1)[0])) == 4
    rows = crossed.model.design.table.frame
    two = make_fit("healed ~ dose + (1 | clinic)", rows[rows["clinic"].isin(["clinic 1", "clinic 2"])])
    axes = hl.plots.cluster_check(two, seed=1)
    assert len(observed_points(axes[0])) == 2


def test_seed_repeats(clinics):
    first, second = (hl.plots.cluster_check(clinics, seed=8)[0] for _ in range(2))
    np.testing.assert_array_equal(first.collections[0].get_segments(), second.collections[0].get_segments())


def test_three_thousand_clusters_are_not_named(crowd):
    axes = hl.plots.cluster_check(crowd, num_draws=50, seed=1)
    assert not axes[0].get_xticklabels()
    assert "3,000" in axes[0].get_xlabel()
    assert len(observed_points(axes[0])) == 3000
    axes[0].figure.canvas.draw()


def test_bad_arguments_are_named(clinics):
    with pytest.raises(hl.errors.PredictionError, match="sort='name' is not allowed"):
        hl.plots.cluster_check(clinics, sort="name")
    with pytest.raises(hl.errors.PredictionError, match="num_draws=1 must be"):
        hl.plots.cluster_check(clinics, num_draws=1)
    with pytest.raises(hl.errors.FitError, match="no grouping factor 'ward'"):
        hl.plots.cluster_check(clinics, "ward")
    with pytest.raises(hl.errors.FitError, match="needs 2 Axes"):
        hl.plots.cluster_check(clinics, axes=plt.subplots()[1])
