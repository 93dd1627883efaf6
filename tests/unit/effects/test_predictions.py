"""Predictions per draw, new clusters, averages of draws."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.errors import DataWarning, PredictionError

MakeFit = Callable[..., hl.results.Fit]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 120
    return pd.DataFrame(
        {
            "y": rng.choice(["no", "yes"], n),
            "x": rng.normal(3, 2, n),
            "arm": rng.choice(["a", "b"], n),
            "clinic": rng.choice([f"c{k}" for k in range(8)], n),
            "reader": rng.choice(["r1", "r2", "r3"], n),
            "z": rng.uniform(-1, 1, n),
        }
    )


@pytest.fixture(scope="module")
def fit(make_fit: MakeFit, rows: pd.DataFrame) -> hl.results.Fit:
    return make_fit("y ~ x * arm + offset(z) + (1 + x | clinic) + (0 + arm | clinic) + (1 | reader)", rows, draws=60)


def _by_hand(fit: hl.results.Fit, rows: pd.DataFrame) -> np.ndarray:
    """Linear predictor row by row from the labelled draws alone, shape (chain, draw, n)."""
    post = fit.posterior
    total = []
    for row in rows.itertuples():
        one = {"Intercept": 1.0, "x": row.x, "arm[b]": float(row.arm == "b"), "x:arm[b]": row.x * (row.arm == "b")}
        eta = sum(post["beta"].sel(fixed_effect=name) * value for name, value in one.items()) + row.z
        clinic = {"Intercept": 1.0, "x": row.x, "arm[a]": float(row.arm == "a"), "arm[b]": float(row.arm == "b")}
        b = post["b_clinic"].sel(clinic=row.clinic)
        eta = eta + sum(b.sel(clinic_effect=name) * value for name, value in clinic.items())
        total.append((eta + post["b_reader"].sel(reader=row.reader, reader_effect="Intercept")).values)
    return np.stack(total, axis=-1)


def test_training_rows_by_hand(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    expected = _by_hand(fit, rows)
    linear = hl.predictions(fit, scale="link")
    np.testing.assert_allclose(linear.draws.values, expected, atol=1e-12)
    probability = hl.predictions(fit, ci_prob=0.9)
    np.testing.assert_allclose(probability["mean"], expit(expected).mean((0, 1)))
    np.testing.assert_allclose(probability["eti90_lb"], np.quantile(expit(expected), 0.05, axis=(0, 1)))
    assert probability.draws.dims == ("chain", "draw", "row")
    assert list(probability.columns[:2]) == ["y", "x"]


def test_new_rows_are_encoded_as_training_rows_were(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    some = rows.drop(columns="y").iloc[[5, 80, 7]]
    np.testing.assert_allclose(hl.predictions(fit, some, scale="link").draws.values, _by_hand(fit, some), atol=1e-12)


def test_likelihood_group_is_that_of_the_predictions(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    eta = _by_hand(fit, rows)
    expected = -np.logaddexp(0, np.where(rows["y"] == "yes", -eta, eta))
    lazy = fit.data["log_likelihood"]["y"]
    np.testing.assert_allclose(
        lazy.isel(obs=[3, 1], draw=slice(2, 9, 3), chain=1).values, expected[1, 2:9:3][:, [3, 1]]
    )
    assert float(lazy[1, 4, 7]) == pytest.approx(expected[1, 4, 7])
    np.testing.assert_allclose(lazy.values, expected)


def test_chunks_do_not_change_the_likelihood(fit: hl.results.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit.data["log_likelihood"]["y"].values
    monkeypatch.setattr("hierlogit.density.linear_predictor.CHUNK_SIZE", 7 * fit.model.design.n_rows)
    from hierlogit.density.linear_predictor import pointwise_log_likelihood

    np.testing.assert_allclose(pointwise_log_likelihood(fit.model, fit.posterior)["y"].values, whole, rtol=1e-12)


def test_unseen_cluster_is_refused_by_name(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    new = rows.iloc[:3].assign(clinic=["c1", "elsewhere", "nowhere"])
    with pytest.raises(PredictionError, match="2 clusters of 'clinic'.*'elsewhere', 'nowhere'.*allow_new_levels=True"):
        hl.predictions(fit, new)


def test_new_clusters_are_independent_and_each_is_one_cluster(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    new = pd.concat([rows.iloc[[0]]] * 4, ignore_index=True).assign(clinic=["n1", "n2", "n1", "c1"])
    draws = hl.predictions(fit, new, allow_new_levels=True, scale="link", seed=1).draws.values
    flat = draws.reshape(-1, 4)
    np.testing.assert_array_equal(flat[:, 0], flat[:, 2])  # one draw for a level, in all its rows
    assert not np.any(flat[:, 0] == flat[:, 1])  # two new clusters never share a draw
    known = rows.iloc[[0]].assign(clinic="c1")
    np.testing.assert_allclose(flat[:, 3], hl.predictions(fit, known, scale="link").draws.values.ravel())
    again = hl.predictions(fit, new, allow_new_levels=True, scale="link", seed=1).draws.values
    np.testing.assert_array_equal(again, draws)
    other = hl.predictions(fit, new, allow_new_levels=True, scale="link", seed=2).draws.values
    assert not np.any(other[..., 0] == draws[..., 0])


def test_new_clusters_have_the_fitted_covariance(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    fit = make_fit("y ~ x + (1 + x | clinic)", rows, draws=4)
    grid = pd.DataFrame({"x": np.tile([0.0, 1.0], 30_000), "clinic": np.repeat([f"new {k}" for k in range(30_000)], 2)})
    linear = hl.predictions(fit, grid, clusters="new", scale="link", seed=3).draws.values.reshape(-1, 30_000, 2)
    sd = fit.posterior["sd_clinic"].values.reshape(-1, 2)
    cor = fit.posterior["cor_clinic"].values.reshape(-1, 2, 2)
    for draw in range(len(linear)):
        effects = np.column_stack([linear[draw, :, 0], linear[draw, :, 1] - linear[draw, :, 0]])
        expected = np.diag(sd[draw]) @ cor[draw] @ np.diag(sd[draw])
        np.testing.assert_allclose(np.cov(effects.T), expected, atol=5 * np.max(expected) / np.sqrt(30_000))


def test_typical_cluster_has_no_effects(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    typical = hl.predictions(fit, rows.assign(clinic="unheard of"), clusters="typical", scale="link").draws
    design = fit.model.design
    beta = fit.posterior["beta"].values
    np.testing.assert_allclose(typical.values, beta @ design.X.T + design.offset, atol=1e-12)


def test_averages_are_averages_of_draws(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    each = hl.predictions(fit).draws.values
    by = hl.predictions(fit, by=["arm", "reader"])
    for position, (arm, reader) in enumerate(zip(by["arm"], by["reader"], strict=True)):
        chosen = ((rows["arm"] == arm) & (rows["reader"] == reader)).to_numpy()
        per_draw = each[..., chosen].mean(-1)
        assert by["rows"][position] == chosen.sum()
        assert by["mean"][position] == pytest.approx(per_draw.mean())
        assert by["eti89_lb"][position] == pytest.approx(np.quantile(per_draw, 0.055))
        # not the average of the rows' interval ends, which is wider
        ends = np.quantile(each[..., chosen], 0.055, axis=(0, 1)).mean()
        assert by["eti89_lb"][position] > ends
    overall = hl.predictions(fit, by=True)
    np.testing.assert_allclose(overall.draws.values[..., 0], each.mean(-1))


def test_outcomes_are_binomial_in_the_rows_trials(make_fit: MakeFit) -> None:
    cbpp = hl.datasets.load("cbpp")
    fit = make_fit("p(successes, size) ~ period + (1 | herd)", cbpp, draws=500)
    simulated = hl.predictions(fit, kind="outcome", seed=1).draws.values
    assert np.all((simulated >= 0) & (simulated <= cbpp["size"].to_numpy()))
    p = hl.predictions(fit).draws.values
    se = np.sqrt((p * (1 - p)).mean((0, 1)) * cbpp["size"] / 1000)
    assert np.all(np.abs(simulated.mean((0, 1)) - p.mean((0, 1)) * cbpp["size"]) < 5 * se)
    new = cbpp.iloc[:2][["period", "herd"]]
    with pytest.raises(PredictionError, match="'size'"):
        hl.predictions(fit, new, kind="outcome")
    many = hl.predictions(fit, new.assign(size=[1000, 0]), kind="outcome", seed=1).draws.values
    assert many[..., 0].mean() > 20
    assert np.all(many[..., 1] == 0)


def test_a_model_without_random_terms(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    fit = make_fit("y ~ x", rows)
    expected = expit(fit.posterior["beta"].values @ np.stack([np.ones(2), [1.0, 4.0]]))
    np.testing.assert_allclose(hl.predictions(fit, {"x": [1.0, 4.0]}).draws.values, expected)


def test_thinned_draws_are_spread_over_all_of_them(fit: hl.results.Fit) -> None:
    thin, every = hl.predictions(fit, num_draws=5).draws.values, hl.predictions(fit).draws.values.reshape(120, -1)
    np.testing.assert_array_equal(thin[0], every[[0, 30, 60, 89, 119]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": "mean"}, "clusters='mean'.*'observed', 'new', 'average', 'typical'"),
        ({"kind": "odds"}, "kind='odds'.*'expected'"),
        ({"by": "age"}, "by: there is no column 'age' in the rows; choose one of 'y', 'x'"),
        ({"num_draws": 10_000}, "from 1 to 120"),
        ({"ci_prob": 89}, "ci_prob=89 must be a number between 0 and 1"),
        ({"ci_kind": "wald"}, "choose one of 'eti', 'hdi'"),
    ],
)
def test_options_out_of_range(fit: hl.results.Fit, options: dict[str, object], message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        hl.predictions(fit, **options)


def test_one_draw_has_no_standard_deviation(fit: hl.results.Fit) -> None:
    table = hl.predictions(fit, num_draws=1)
    assert table["sd"].isna().all()
    assert np.isfinite(table["mean"]).all()


def test_too_many_averages_say_how_many_fit(fit: hl.results.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hierlogit.effects.query.MAX_CELLS", 1200)
    with pytest.raises(PredictionError, match="120 draws of 80 values .* Pass num_draws=15 or fewer"):
        hl.predictions(fit, hl.datagrid(fit, x=np.arange(80.0)), by="x")


def test_posterior_predictive_tree(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    tree = hl.posterior_predictive(fit, num_draws=30, seed=4)
    assert tree["posterior_predictive"]["y"].dims == ("chain", "draw", "obs")
    assert set(np.unique(tree["posterior_predictive"]["y"])) == {0, 1}
    np.testing.assert_array_equal(tree["observed_data"]["y"], rows["y"] == "yes")
    again = hl.posterior_predictive(fit, num_draws=30, seed=4)
    assert tree["posterior_predictive"].to_dataset().identical(again["posterior_predictive"].to_dataset())
    assert "posterior_predictive" not in fit.data.children
    new = hl.posterior_predictive(fit, rows.iloc[:3], num_draws=5, seed=1)
    assert set(new.children) == {"posterior_predictive"}


@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
def test_new_room_of_a_known_school_keeps_the_schools_effect(make_fit: MakeFit) -> None:
    rows = pd.DataFrame({"y": [0, 1] * 6, "school": list("aaabbbcccddd"), "room": [1, 2, 3] * 4})
    with pytest.warns(DataWarning, match="'school:room' has a single trial"):
        fit = make_fit("y ~ 1 + (1 | school/room)", rows, draws=50)
    new = pd.DataFrame({"school": ["a", "a", "b"], "room": [9, 9, 9]})
    with pytest.raises(PredictionError, match="2 clusters of 'school:room'.*'a:9', 'b:9'"):
        hl.predictions(fit, new)
    linear = hl.predictions(fit, new, allow_new_levels=True, scale="link", seed=1).draws.values
    post = fit.posterior
    school = post["beta"].values[..., 0, None] + post["b_school"].sel(school=["a", "a", "b"]).values[..., 0]
    rooms = linear - school
    np.testing.assert_allclose(rooms[..., 0], rooms[..., 1])
    assert not np.any(rooms[..., 0] == rooms[..., 2])
    assert rooms.std() == pytest.approx(float(post["sd_school:room"].mean()), rel=0.3)


def test_equal_labels_of_crossed_factors_are_different_clusters(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    fit = make_fit("y ~ 1 + (1 | clinic) + (1 | reader)", rows, draws=200)
    new = pd.DataFrame({"clinic": ["new", "c1"], "reader": ["r1", "new"]})
    linear = hl.predictions(fit, new, allow_new_levels=True, scale="link", seed=1).draws.values
    post = fit.posterior
    base = post["beta"].values[..., 0]
    clinic = linear[..., 0] - base - post["b_reader"].sel(reader="r1").values[..., 0]
    reader = linear[..., 1] - base - post["b_clinic"].sel(clinic="c1").values[..., 0]
    assert abs(np.corrcoef(clinic.ravel(), reader.ravel())[0, 1]) < 0.2


def test_rows_keep_their_labels(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    named = rows.set_axis([f"row {k}" for k in range(len(rows))])
    named.loc["row 0", "x"] = np.nan
    with pytest.warns(DataWarning):
        fit = make_fit("y ~ x + (1 | clinic)", named)
    table = hl.predictions(fit)
    assert table.index[:2].tolist() == ["row 1", "row 2"] == table.draws["row"].values[:2].tolist()
    assert hl.predictions(fit, named.iloc[[5, 9]]).index.tolist() == ["row 5", "row 9"]
    twice = named.iloc[[5, 5]]
    assert hl.predictions(fit, twice).index.tolist() == ["row 5", "row 5"]


def test_columns_of_the_data_are_never_replaced(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    fit = make_fit("y ~ x + (1 | clinic)", rows)
    new = rows.iloc[:4].assign(mean="mine", rows=["p", "p", None, "q"])
    assert hl.predictions(fit, new)["mean_in_data"].tolist() == ["mine"] * 4
    by = hl.predictions(fit, new, by="rows")
    assert by["rows"].tolist() == [2, 1, 1]
    assert by["rows_in_data"].tolist()[:2] == ["p", "q"]
    with pytest.raises(PredictionError, match="by=True"):
        hl.predictions(fit, by=[])


def test_new_clusters_are_drawn_anew_for_every_draw(
    make_fit: MakeFit, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = make_fit("y ~ 1 + (1 | clinic)", rows, draws=20, chains=1)
    monkeypatch.setattr("hierlogit.density.linear_predictor.CHUNK_SIZE", 5)  # five draws at once
    new = rows.iloc[[0]].assign(clinic="new")
    linear = hl.predictions(fit, new, clusters="new", scale="link", seed=1).draws.values.ravel()
    post = fit.posterior
    standard = (linear - post["beta"].values.ravel()) / post["sd_clinic"].values.ravel()
    assert len(np.unique(standard.round(9))) == 20


def test_new_persons_and_new_items_of_a_crossed_fit() -> None:
    frame = hl.datasets.load("verbagg")
    fit = hl.Model("r2 ~ btype + situ + (1 | id) + (1 | item)", frame).fit(hl.Laplace(draws=4000, seed=1))
    known = frame.iloc[[0]]
    cases = pd.concat([known, known.assign(id=9999), known.assign(item="new"), known.assign(id=9999, item="new")])
    linear = hl.predictions(fit, cases, allow_new_levels=True, scale="link", seed=1, num_draws=4000).draws.values[0]
    post = fit.posterior
    person, item = (post[f"sd_{name}"].values.ravel() for name in ("id", "item"))
    own = {name: post[f"b_{name}"].sel({name: known[name].iloc[0]}).values.ravel() for name in ("id", "item")}
    fixed = linear[:, 0] - own["id"] - own["item"]
    expected = [
        np.var(linear[:, 0]),
        np.var(fixed + own["item"]) + np.mean(person**2),
        np.var(fixed + own["id"]) + np.mean(item**2),
        np.var(fixed) + np.mean(person**2) + np.mean(item**2),
    ]
    np.testing.assert_allclose(linear.var(axis=0), expected, rtol=0.08)
    widths = [hl.predictions(fit, cases.iloc[[k]], allow_new_levels=True, seed=1)["sd"].iloc[0] for k in range(4)]
    assert widths[0] < min(widths[1:3])
    assert max(widths[1:3]) < widths[3] * 1.05


def test_rows_of_predictions_are_compared_and_tested(fit: hl.results.Fit) -> None:
    means = hl.avg_predictions(fit, by="arm", clusters="typical").draws.values.reshape(120, 2)
    pair = hl.avg_predictions(
        fit, by="arm", clusters="typical", hypothesis="pairwise", direction=True, rope=(-0.1, 0.2)
    )
    difference = means[:, 1] - means[:, 0]
    assert pair["hypothesis"].tolist() == ["(b) - (a)"]
    np.testing.assert_allclose(pair.draws.values.ravel(), difference)
    assert pair["mean"].item() == pytest.approx(difference.mean())
    assert pair["p_direction"].item() == max((difference > 0).mean(), (difference < 0).mean())
    assert pair["p_rope"].item() == ((difference >= -0.1) & (difference <= 0.2)).mean()
    weighted = hl.predictions(fit, by="arm", clusters="typical", hypothesis=[[0.5, -1], [0.5, 1]])
    np.testing.assert_allclose(weighted["mean"], [means.mean(), difference.mean()])
    rows = hl.datagrid(fit, arm=["a", "b"], x=[0, 2])
    sequential = hl.predictions(fit, rows, clusters="typical", hypothesis="sequential")
    assert sequential["hypothesis"].tolist() == ["(2) - (0) at a", "(0, b) - (2, a)", "(2) - (0) at b"]


def test_the_direction_of_a_probability_is_that_of_its_log_odds(fit: hl.results.Fit) -> None:
    found = [hl.predictions(fit, scale=scale, direction=True)["p_direction"] for scale in ("response", "link")]
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].between(0.5, 1).all()
    assert found[0].nunique() > 5
    with pytest.raises(PredictionError, match="simulated outcomes are counts, which have no direction"):
        hl.predictions(fit, kind="outcome", direction=True)


def test_labels_have_no_more_than_tells_the_rows_apart(fit: hl.results.Fit) -> None:
    rows = hl.datagrid(fit, arm=["a", "b"], x=[0, 2]).assign(visit=[4, 7, 1, 2])
    pairs = hl.predictions(fit, rows, clusters="typical", hypothesis="pairwise")
    assert pairs["hypothesis"].tolist()[:3] == ["(2) - (0) at a", "(b) - (a) at 0", "(2, b) - (0, a)"]
    # Rows that are the same in all columns of the model are told apart by another one.
    same = hl.predictions(fit, rows.assign(x=0.0), clusters="typical", hypothesis="sequential")
    assert same["hypothesis"].tolist() == ["(7) - (4) at a", "(b, 1) - (a, 7)", "(2) - (1) at b"]
    steps = hl.comparisons(fit, "x", newdata=rows, clusters="typical", hypothesis="row 3 = row 0")
    assert steps["hypothesis"].tolist() == ["row 3 = row 0"]


def test_more_pairs_of_rows_than_anyone_reads_are_refused(fit: hl.results.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PredictionError, match="120 rows make 7,140 pairs; at most 4,950 are compared. Average over"):
        hl.predictions(fit, hypothesis="pairwise")
    assert len(hl.predictions(fit, hypothesis="reference")) == 119
    monkeypatch.setattr("hierlogit.effects.families.MAX_CELLS", 120 * 27)
    with pytest.raises(PredictionError, match="8 rows make 28 pairs, whose 120 draws do not fit into memory"):
        hl.predictions(fit, fit.model.design.table.frame.iloc[:8], hypothesis="pairwise")


@pytest.mark.parametrize("verb", ["predictions", "comparisons", "slopes"])
def test_averages_take_the_options_of_the_rows(verb: str) -> None:
    rows, averages = (inspect.signature(getattr(hl, name)).parameters for name in (verb, f"avg_{verb}"))
    assert list(rows) == list(averages)
    assert {"hypothesis", "direction", "rope"} <= set(rows)
    differing = [name for name in rows if rows[name].default != averages[name].default]
    assert differing == ["by"]
