"""Comparisons, slopes and tests of them, against predictions put together by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.errors import PredictionError

MakeFit = Callable[..., hl.results.Fit]
MakeRows = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def rows(clustered_rows: MakeRows) -> pd.DataFrame:
    return clustered_rows(6, 10)


@pytest.fixture(scope="module")
def fit(make_fit: MakeFit, rows: pd.DataFrame) -> hl.results.Fit:
    return make_fit("healed ~ dose * arm + I(dose**2) + (1 + dose | clinic) + (1 | reader)", rows, draws=40)


def _p(fit: hl.results.Fit, rows: pd.DataFrame, **options: object) -> np.ndarray:
    return hl.predictions(fit, rows, **options).draws.values


@pytest.mark.parametrize("clusters", ["observed", "average", "typical", "new"])
@pytest.mark.parametrize("scale", ["response", "link"])
def test_difference_of_two_predictions(fit: hl.results.Fit, rows: pd.DataFrame, clusters: str, scale: str) -> None:
    table = hl.comparisons(fit, {"dose": 2}, clusters=clusters, scale=scale, seed=5)
    high, low = (
        _p(fit, rows.assign(dose=rows["dose"] + step), clusters=clusters, scale=scale, seed=5) for step in (2, 0)
    )
    np.testing.assert_allclose(table.draws.values, high - low, atol=1e-12)
    assert table["term"].unique().tolist() == ["dose"]
    assert table["contrast"].unique().tolist() == ["+2"]
    assert table["row"].tolist() == list(range(len(rows)))


@pytest.mark.parametrize(
    ("comparison", "by_hand"),
    [
        ("ratio", lambda high, low: high / low),
        ("lnratio", lambda high, low: np.log(high / low)),
        ("oddsratio", lambda high, low: (high / (1 - high)) / (low / (1 - low))),
        ("lnoddsratio", lambda high, low: np.log((high / (1 - high)) / (low / (1 - low)))),
        (lambda high, low: (high - low) / low, lambda high, low: (high - low) / low),
    ],
)
def test_averages_come_before_comparisons(
    fit: hl.results.Fit, rows: pd.DataFrame, comparison: object, by_hand: Callable[..., np.ndarray]
) -> None:
    table = hl.avg_comparisons(fit, {"arm": ("control", "new")}, comparison=comparison, by="reader")
    high, low = (_p(fit, rows.assign(arm=arm)) for arm in ("new", "control"))
    for k, reader in enumerate(sorted(rows["reader"].unique())):
        own = (rows["reader"] == reader).to_numpy()
        expected = by_hand(high[..., own].mean(-1), low[..., own].mean(-1))
        np.testing.assert_allclose(table.draws.values[..., k], expected, rtol=1e-12)
        assert table["rows"][k] == own.sum()
    assert table["reader"].tolist() == sorted(rows["reader"].unique())


def test_contrasts_of_levels(fit: hl.results.Fit) -> None:
    def labels(asked: object) -> list[str]:
        return hl.avg_comparisons(fit, {"arm": asked})["contrast"].tolist()

    assert labels("reference") == ["new - control", "old - control"]
    assert labels("sequential") == ["new - control", "old - new"]
    assert labels("pairwise") == ["new - control", "old - control", "old - new"]
    assert labels(("old", "control")) == ["control - old"]
    table = hl.avg_comparisons(fit, {"arm": "pairwise"}).draws.values
    np.testing.assert_allclose(table[..., 1] - table[..., 0], table[..., 2], atol=1e-12)


@pytest.mark.parametrize(
    ("asked", "low", "high", "label"),
    [
        ((3, 7), lambda _: 3.0, lambda _: 7.0, "7 - 3"),
        (-1.5, lambda d: d, lambda d: d - 1.5, "-1.5"),
        ("sd", lambda d: d - d.std() / 2, lambda d: d + d.std() / 2, "sd around"),
        ("2sd", lambda d: d - d.std(), lambda d: d + d.std(), "2sd around"),
        ("minmax", lambda d: d.min(), lambda d: d.max(), None),
        ("iqr", lambda d: d.quantile(0.25), lambda d: d.quantile(0.75), None),
    ],
)
def test_steps_of_amounts(
    fit: hl.results.Fit,
    rows: pd.DataFrame,
    asked: object,
    low: Callable[..., object],
    high: Callable[..., object],
    label: str | None,
) -> None:
    table = hl.comparisons(fit, {"dose": asked})
    expected = _p(fit, rows.assign(dose=high(rows["dose"]))) - _p(fit, rows.assign(dose=low(rows["dose"])))
    np.testing.assert_allclose(table.draws.values, expected, atol=1e-12)
    assert label is None or table["contrast"][0] == label


def test_every_predictor_by_default_but_no_grouping_factor(fit: hl.results.Fit) -> None:
    table = hl.avg_comparisons(fit)
    assert table["term"].tolist() == ["dose", "arm", "arm"]
    assert hl.avg_slopes(fit)["term"].tolist() == ["dose"]


def test_effects_within_clusters_differ_by_cluster(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    table = hl.avg_slopes(fit, "dose", by="clinic", scale="link").set_index("clinic")
    post = fit.posterior
    for clinic, own in rows.groupby("clinic"):
        slope = post["b_clinic"].sel(clinic=clinic, clinic_effect="dose") + post["beta"].sel(fixed_effect="dose")
        slope = slope + 2 * own["dose"].mean() * post["beta"].sel(fixed_effect="I(dose ** 2)")
        for arm in ("new", "old"):
            slope = slope + (own["arm"] == arm).mean() * post["beta"].sel(fixed_effect=f"dose:arm[{arm}]")
        assert table.loc[clinic, "mean"] == pytest.approx(float(slope.mean()), abs=1e-9)


@pytest.mark.parametrize("clusters", ["observed", "average", "typical", "new"])
@pytest.mark.parametrize("scale", ["response", "link"])
def test_slopes_are_derivatives(fit: hl.results.Fit, rows: pd.DataFrame, clusters: str, scale: str) -> None:
    found = hl.slopes(fit, "dose", clusters=clusters, scale=scale, seed=2).draws.values
    h = 1e-3
    up, down = (
        _p(fit, rows.assign(dose=rows["dose"] + side * h), clusters=clusters, scale=scale, seed=2) for side in (1, -1)
    )
    np.testing.assert_allclose(found, (up - down) / (2 * h), atol=2e-6)


def test_slopes_of_splines_and_scaled_columns(make_fit: MakeFit, rows: pd.DataFrame) -> None:
    fit = make_fit("healed ~ bs(dose, df=5) + arm + (1 + scale(dose) | clinic)", rows, draws=5)
    inside = rows[(rows["dose"] > 1) & (rows["dose"] < 9)]
    found = hl.slopes(fit, "dose", newdata=inside).draws.values
    h = 1e-4
    up, down = (_p(fit, inside.assign(dose=inside["dose"] + side * h)) for side in (1, -1))
    np.testing.assert_allclose(found, (up - down) / (2 * h), atol=1e-5)


def test_elasticities(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    dydx = hl.slopes(fit, "dose").draws.values
    p, dose = _p(fit, rows), rows["dose"].to_numpy()
    for slope, expected in (("eyex", dydx * dose / p), ("eydx", dydx / p), ("dyex", dydx * dose)):
        np.testing.assert_allclose(hl.slopes(fit, "dose", slope=slope).draws.values, expected, rtol=1e-12)


def test_weights_count_rows(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    weights = np.arange(len(rows), dtype=float)
    expected = (_p(fit, rows) * weights).sum(-1) / weights.sum()
    np.testing.assert_allclose(hl.avg_predictions(fit, weights=weights).draws.values[..., 0], expected)
    table = hl.avg_predictions(fit, rows.assign(w=weights), weights="w")
    np.testing.assert_allclose(table.draws.values[..., 0], expected)
    slopes = hl.slopes(fit, "dose").draws.values
    expected = (slopes * weights).sum(-1) / weights.sum()
    np.testing.assert_allclose(hl.avg_slopes(fit, "dose", weights=weights).draws.values[..., 0], expected)


def test_hypotheses_are_differences_within_draws(fit: hl.results.Fit) -> None:
    arms = hl.avg_predictions(fit, by="arm").draws.values
    by_arm = hl.avg_comparisons(fit, {"dose": 1}, by="arm").draws.values
    pairs = hl.avg_comparisons(fit, {"dose": 1}, by="arm", hypothesis="pairwise")
    assert pairs["hypothesis"].tolist() == ["(new) - (control)", "(old) - (control)", "(old) - (new)"]
    np.testing.assert_allclose(pairs.draws.values[..., 2], by_arm[..., 2] - by_arm[..., 1], atol=1e-14)
    reference = hl.avg_comparisons(fit, {"dose": 1}, by="arm", hypothesis="reference")
    np.testing.assert_allclose(reference.draws.values, pairs.draws.values[..., :2], atol=1e-14)
    sequential = hl.avg_comparisons(fit, {"dose": 1}, by="arm", hypothesis="sequential")
    assert sequential["hypothesis"].tolist() == ["(new) - (control)", "(old) - (new)"]
    weighted = hl.avg_comparisons(fit, {"dose": 1}, by="arm", hypothesis=[1, 1, -2])
    np.testing.assert_allclose(
        weighted.draws.values[..., 0], by_arm[..., 0] + by_arm[..., 1] - 2 * by_arm[..., 2], atol=1e-14
    )
    assert arms.shape[-1] == 3


def test_direction_and_practical_equivalence(fit: hl.results.Fit) -> None:
    table = hl.avg_comparisons(fit, "arm", direction=True, rope=(-0.05, 0.05))
    draws = table.draws.values.reshape(-1, 2)
    np.testing.assert_allclose(table["p_direction"], np.maximum((draws > 0).mean(0), (draws < 0).mean(0)))
    np.testing.assert_allclose(table["p_rope"], (np.abs(draws) <= 0.05).mean(0))
    ratio = hl.avg_comparisons(fit, "arm", comparison="ratio", direction=True)
    # No effect is a ratio of one.
    np.testing.assert_allclose(ratio["p_direction"], table["p_direction"])


def test_estimates_are_those_of_the_maximum(rows: pd.DataFrame) -> None:
    fit = hl.Model("healed ~ dose + arm + (1 | clinic)", rows).fit(hl.Laplace(draws=100, seed=1))
    estimate = fit.estimate
    assert estimate is not None
    design = fit.model.design
    eta = design.X @ estimate.beta + estimate.modes["clinic"][design.groups[0].index, 0]
    table = hl.predictions(fit)
    np.testing.assert_allclose(table["estimate"], expit(eta))
    new, old = (design.encode(rows.assign(arm=arm)).X @ estimate.beta for arm in ("new", "old"))
    compared = hl.avg_comparisons(fit, {"arm": ("new", "old")}, scale="link", hypothesis=[2.0])
    np.testing.assert_allclose(compared["estimate"], 2 * (old - new).mean())
    # Where effects or outcomes are drawn at random there is no point to report.
    for options in ({"clusters": "new"}, {"kind": "outcome"}):
        assert "estimate" not in hl.predictions(fit, seed=1, **options)
    assert "estimate" in hl.predictions(fit, clusters="average")


def test_tables_of_other_kinds(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    expected = hl.comparisons(fit, "dose", newdata=rows.iloc[:7]).draws.values
    found = hl.comparisons(fit, "dose", newdata=polars.DataFrame(rows.iloc[:7]))
    np.testing.assert_array_equal(found.draws.values, expected)
    slopes = hl.slopes(fit, "dose", newdata=rows.iloc[:7].to_dict("list")).draws.values
    np.testing.assert_array_equal(slopes, hl.slopes(fit, "dose", newdata=rows.iloc[:7]).draws.values)


def test_rows_keep_what_they_are(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    at = rows.iloc[[4, 2]].set_axis(["a", "b"]).assign(term="mine", mean=1.0)
    table = hl.comparisons(fit, "dose", newdata=at)
    assert table["row"].tolist() == ["a", "b"]
    assert table["term_in_data"].tolist() == ["mine", "mine"]
    assert table["mean_in_data"].tolist() == [1.0, 1.0]


def test_chunks_do_not_change_anything(
    fit: hl.results.Fit, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = hl.comparisons(fit, "dose", clusters="average").draws.values
    monkeypatch.setattr("hierlogit.density.linear_predictor.CHUNK_SIZE", 7 * len(rows))
    np.testing.assert_allclose(hl.comparisons(fit, "dose", clusters="average").draws.values, whole, atol=2e-9)


@pytest.mark.parametrize(
    ("verb", "arguments", "options", "message"),
    [
        ("comparisons", ("clinic",), {}, "no predictor 'clinic' in the model; choose one of 'dose', 'arm'"),
        (
            "comparisons",
            ({"arm": "all"},),
            {},
            r"variables\['arm'\]='all' must be one of 'reference', 'pairwise', 'sequential'",
        ),
        ("comparisons", ({"arm": ("new", "newest")},), {}, "the levels 'control', 'new', 'old'"),
        ("comparisons", ({"dose": "mad"},), {}, r"variables\['dose'\]='mad' is not allowed; choose one of 'sd', '2sd'"),
        ("comparisons", ({"dose": 0},), {}, "the step must not be zero"),
        ("comparisons", ({"dose": [1, 2, 3]},), {}, "must be a step, two values"),
        ("comparisons", ("dose",), {"comparison": "odds"}, "comparison='odds' is not allowed"),
        ("comparisons", ("dose",), {"comparison": lambda *_: 1.0}, "returned shape"),
        ("comparisons", ("dose",), {"scale": "outcome"}, "scale='outcome'.*'response', 'link'"),
        ("comparisons", ("dose",), {"weights": [1.0]}, "pass by=True"),
        ("comparisons", ("dose",), {"by": True, "weights": [1.0]}, "one number is needed for each of the 60 rows"),
        ("comparisons", ("dose",), {"by": True, "weights": "none"}, "weights: there is no column 'none' in the rows"),
        ("comparisons", ("dose",), {"by": True, "weights": [-1.0] * 60}, "must not be negative"),
        ("comparisons", ("dose",), {"by": True, "weights": [0.0] * 60}, "sum to zero"),
        ("comparisons", ("dose",), {"hypothesis": "all"}, "hypothesis='all' is not allowed"),
        ("comparisons", ("dose",), {"by": True, "hypothesis": "pairwise"}, "which has only one"),
        ("comparisons", ("dose",), {"by": True, "hypothesis": [1, 2]}, "the result has 1 row, "),
        ("comparisons", ("dose",), {"rope": (1, 0)}, "low < high"),
        (
            "comparisons",
            ("dose",),
            {"clusters": {"nurse": "new"}},
            "no grouping factor 'nurse' in the model; choose one of 'clinic'",
        ),
        ("comparisons", ("dose",), {"clusters": {"clinic": "old"}}, r"clusters\['clinic'\]='old'"),
        ("comparisons", ("dose",), {"scale": "link", "comparison": "lnratio"}, "compares probabilities"),
        ("slopes", ("arm",), {}, "'arm' has no slope, because the values are labels"),
        ("slopes", ("dose",), {"slope": "dy"}, "slope='dy' is not allowed"),
        ("predictions", (), {"weights": [1.0]}, "pass by=True"),
    ],
)
def test_what_is_asked_wrongly_is_said(
    fit: hl.results.Fit, verb: str, arguments: tuple[object, ...], options: dict[str, object], message: str
) -> None:
    with pytest.raises(PredictionError, match=message):
        getattr(hl, verb)(fit, *arguments, **options)


def test_levels_that_are_whole_numbers_have_no_decimal_point_in_contrasts(
    make_fit: MakeFit, clustered_rows: MakeRows
) -> None:
    rows = clustered_rows(6, 8)
    rows["year"] = 2001.0 + np.arange(len(rows)) % 3
    fit = make_fit("healed ~ C(year) + (1 | clinic)", rows)
    assert list(hl.avg_comparisons(fit, "year")["contrast"]) == ["2002 - 2001", "2003 - 2001"]
    assert list(hl.avg_comparisons(fit, {"year": [2002, 2003]})["contrast"]) == ["2003 - 2002"]


def test_an_estimate_at_modes_outside_its_interval_is_explained() -> None:
    """Modes of thousands of clusters of two rows differ less than the effects, over which differences are smaller."""
    random, clusters = np.random.default_rng(1), 4000
    g, arm = np.repeat(np.arange(clusters), 2), np.tile([0, 1], clusters)
    p = expit(-0.5 + arm + random.normal(0, 1.5, clusters)[g])
    rows = pd.DataFrame({"y": random.binomial(1, p), "arm": arm, "g": g})
    fit = hl.Model("y ~ arm + (1 | g)", rows).fit(hl.AGQ(draws=200, seed=1))
    observed, average = (hl.avg_comparisons(fit, "arm", clusters=chosen) for chosen in ("observed", "average"))
    assert observed["estimate"].item() > observed["eti89_ub"].item()
    assert observed["mean"].item() == pytest.approx(average["estimate"].item(), abs=0.002)
    assert "conditional modes" in observed.note
    assert "report these" in repr(observed)
    assert average.note == ""
