"""Models of shards: the fits in memory, whatever the shards and the workers."""

import json
import shutil
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.design import order_statistics
from hierlogit.engines.maximum.cluster_covariance import sandwich
from hierlogit.engines.maximum.cluster_scores import cluster_scores
from hierlogit.engines.maximum.objective import Point
from hierlogit.errors import ConvergenceWarning, DataWarning, DesignError, EngineError, FitError, PriorError
from hierlogit.fits.findings import Finding
from hierlogit.shards import learning, objective, opened
from hierlogit.shards.objective import Sums

FORMULA = "y ~ x * arm + (1 + x | site)"


def visits(clusters: int = 300, seed: int = 1) -> pd.DataFrame:
    """Rows of a binary outcome in clusters of 10 to 40 rows, with text, categories and numbers."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(clusters), rng.integers(10, 41, clusters))
    x, arm = rng.normal(size=len(site)), rng.choice(["control", "new", "old"], len(site))
    b = rng.normal(size=(clusters, 2)) * [0.8, 0.4]
    eta = -0.4 + 0.5 * x + 0.7 * (arm == "new") + b[site, 0] + b[site, 1] * x
    y = np.where(rng.uniform(size=len(site)) < 1 / (1 + np.exp(-eta)), "yes", "no")
    size = pd.Categorical(rng.choice(["small", "large", "huge"], len(site)), ["small", "large", "huge"])
    ward = rng.integers(0, 3, len(site))
    return pd.DataFrame({"y": y, "x": x, "arm": arm, "size": size, "site": site, "ward": ward}).sample(
        frac=1, random_state=2, ignore_index=True
    )


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return visits()


@pytest.fixture(scope="module")
def shards(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> hl.Shards:
    return hl.Shards.write(table, tmp_path_factory.mktemp("visits") / "shards", group="site", shards=4)


def assert_same_fit(sharded: hl.results.ShardedFit, fit: hl.results.Fit) -> None:
    found, expected = sharded.estimate, fit.estimate
    assert expected is not None
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-9)
    np.testing.assert_allclose(found.vector, expected.vector, atol=1e-6)
    errors = [np.sqrt(np.diag(one.covariance)) for one in (found, expected)]
    np.testing.assert_allclose(errors[0], errors[1], rtol=1e-5)
    assert (found.aic, found.bic) == pytest.approx((expected.aic, expected.bic), rel=1e-9)
    codes = [[one.code for one in of.diagnostics.findings] for of in (sharded, fit)]
    assert codes[0] == codes[1]


def test_shards_divide_rows_about_equally_and_clusters_not_at_all(table: pd.DataFrame, shards: hl.Shards) -> None:
    files = [pd.read_parquet(shards.folder / shard.file) for shard in shards.manifest.shards]
    assert [len(file) for file in files] == [shard.rows for shard in shards.manifest.shards]
    assert max(map(len, files)) - min(map(len, files)) <= 20
    sites = [set(file["site"]) for file in files]
    assert len(set.union(*sites)) == sum(map(len, sites)) == shards.manifest.clusters == 300
    together = pd.concat(files).sort_values(["site", "x"], ignore_index=True)
    expected = table.astype(object).sort_values(["site", "x"], ignore_index=True)
    pd.testing.assert_frame_equal(together.astype(object), expected)
    assert shards.manifest.levels == {"size": ["small", "large", "huge"]}


@pytest.mark.parametrize("engine", [hl.Laplace(), hl.AGQ(nodes=5)])
def test_fits_are_those_of_all_rows(table: pd.DataFrame, shards: hl.Shards, engine: hl.Laplace | hl.AGQ) -> None:
    fit = hl.Model(FORMULA, table).fit(engine)
    assert_same_fit(shards.model(FORMULA).fit(engine), fit)


@pytest.mark.parametrize("nodes", [1, 5])
def test_posterior_modes_are_those_of_all_rows(table: pd.DataFrame, shards: hl.Shards, nodes: int) -> None:
    priors = {"x": hl.priors.Laplace(0.0, 0.2), "sd": hl.priors.HalfNormal(0.3), "cor_site": hl.priors.LKJ(4)}
    model, engine = hl.Model(FORMULA, table, priors=priors), hl.MAP(nodes=nodes)
    sharded = shards.model(FORMULA, priors=priors)
    assert sharded.stated_priors() == model.stated_priors()
    fit = sharded.fit(engine)
    assert_same_fit(fit, model.fit(engine))
    assert fit.estimate.penalised
    assert "HalfNormal(sigma=0.3)" in fit._repr_html_()
    assert "HalfNormal" not in sharded.fit("laplace")._repr_html_()


def test_slopes_far_from_zero_have_the_findings_of_all_rows(table: pd.DataFrame, tmp_path: Path) -> None:
    years = table.assign(year=8 + table["x"])
    shards = hl.Shards.write(years, tmp_path / "years", group="site", shards=3)
    formula = "y ~ year + (1 + year | site)"
    with pytest.warns(DataWarning, match="'year' lies between"):
        model = hl.Model(formula, years)
    fit = model.fit("map")
    assert "uncentred_slope" in [one.code for one in fit.diagnostics.findings]
    assert_same_fit(shards.model(formula).fit("map"), fit)


def test_nested_factors_and_order_of_levels_are_those_of_all_rows(table: pd.DataFrame, shards: hl.Shards) -> None:
    formula = "y['no'] ~ C(ward) + size + (1 | site/ward)"
    sharded = shards.model(formula).fit("laplace")
    fit = hl.Model(formula, table).fit("laplace")
    assert_same_fit(sharded, fit)
    assert sharded.estimate.fixed_effects == fit.model.design.fixed_effects
    pd.testing.assert_frame_equal(
        pd.DataFrame(sharded.summary(ci_prob=0.9)), pd.DataFrame(hl.summary(fit, ci_prob=0.9)), atol=1e-5
    )


def test_transformations_learn_from_all_rows(table: pd.DataFrame, tmp_path: Path) -> None:
    # Means of clusters differ, so that those of a shard, or of the rows that levels are learned from, are others.
    table = table.assign(age=40 + table["site"] / 10 + 5 * table["x"], dose=table["site"] % 3)
    formula = "y ~ scale(age) + poly(dose, 2) + I(center(x)**2) + (1 + standardize(x) | site)"
    shards = hl.Shards.write(table, tmp_path / "shards", group="site", shards=4)
    sharded, fit = shards.model(formula).fit("laplace"), hl.Model(formula, table).fit("laplace")
    assert_same_fit(sharded, fit)
    assert sharded.estimate.fixed_effects == fit.model.design.fixed_effects
    design, whole = fit.model.design, sharded.model.__dict__["_spec"].design
    # A column that is centred has a mean of zero up to rounding.
    np.testing.assert_allclose(whole.column_means, design.column_means, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(whole.column_sds, design.column_sds, rtol=1e-8)


@pytest.fixture(scope="module")
def regional(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, hl.Shards]:
    """Rows whose means differ between clusters, in regions that have rows in several shards."""
    table = table.assign(
        age=40 + table["site"] / 10 + 5 * table["x"],
        region=table["site"] % 7,
        zone=table["site"] % 149 + 149 * table["ward"],
        town=(table["site"] % 7).map("town {}".format),
        clinic=table["site"].map("clinic {}".format),
    )
    return table, hl.Shards.write(table, tmp_path_factory.mktemp("regional") / "shards", group="site", shards=4)


def encoded(model: hl.results.ShardedModel) -> np.ndarray:
    """The columns of the fixed effects of all shards."""
    recipe, parts = model.__dict__["_sums"].recipe, range(4)
    return np.concatenate([opened.open_shard(recipe, number).read().design.X for number in parts])


@pytest.mark.parametrize("places", [20, 4000])
@pytest.mark.parametrize(
    "fixed",
    [
        "bs(age, df=6)",
        "bs(x, knots=[-1, 0.5], degree=2) * arm",
        "0 + bs(ward, df=3, intercept=True, degree=1)",
        "bs(log(age), df=5, upper_bound=6)",
        "scale(log(age)) + center(I(x**2)) + poly(I(age / 10), 3)",
        "scale((x + age) * ward) + standardize(arm == 'new')",
        "within(x, site) + between(x, site)",
        "within(log(age), clinic) * arm",
        "between(x, town) + within(x, zone)",
        "scale(within(x, site)) + bs(between(age, site), df=4) + center(between(scale(age), region))",
    ],
)
def test_what_is_learned_is_that_of_all_rows(
    regional: tuple[pd.DataFrame, hl.Shards], fixed: str, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_statistics, "PLACES", places)
    table, shards = regional
    formula = f"y ~ {fixed} + (1 | site)"
    model, design = shards.model(formula), hl.Model(formula, table).design
    assert model.__dict__["_spec"].design.fixed_effects == design.fixed_effects
    rows = [pd.read_parquet(shards.folder / shard.file) for shard in shards.manifest.shards]
    order = np.lexsort(pd.concat(rows)[["x", "site"]].to_numpy().T)
    expected = design.X[np.lexsort(table[["x", "site"]].to_numpy().T)]
    np.testing.assert_allclose(encoded(model)[order], expected, rtol=1e-9, atol=1e-9)


def test_fits_with_splines_and_cluster_means_are_those_of_all_rows(regional: tuple[pd.DataFrame, hl.Shards]) -> None:
    table, shards = regional
    formula = "y ~ bs(age, df=5) + between(x, site) + (1 + within(x, site) | site)"
    assert_same_fit(shards.model(formula).fit("laplace"), hl.Model(formula, table).fit("laplace"))


def test_the_ends_of_a_column_are_learned_from(table: pd.DataFrame, tmp_path: Path) -> None:
    # The last column of the spline is zero in all rows but three.
    far = table.assign(x=table["x"].where(table.index % 3000 != 0, 9 + np.arange(len(table)) / 1e4))
    shards = hl.Shards.write(far, tmp_path / "shards", group="site", shards=3)
    formula = "y ~ bs(x, knots=[8], degree=1) + (1 | site)"
    assert_same_fit(shards.model(formula).fit("laplace"), hl.Model(formula, far).fit("laplace"))


def test_means_of_many_clusters_across_shards_are_refused(
    regional: tuple[pd.DataFrame, hl.Shards], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "MOST_CLUSTERS", 6)
    _, shards = regional
    shards.model("y ~ within(x, site) + (1 | site)")
    message = (
        r"'within\(x, region\)' takes the means of at least 7 clusters of 'region', which may lie in several shards"
    )
    with pytest.raises(DesignError, match=message):
        shards.model("y ~ within(x, region) + (1 | site)")


def test_dependent_columns_are_dropped_as_in_memory(table: pd.DataFrame, shards: hl.Shards) -> None:
    formula = "y ~ x + I(2 * x) + arm + I(arm == 'new') + (1 + x + I(3 - x) | site)"
    with pytest.warns(DataWarning) as of_shards:
        sharded = shards.model(formula)
    with pytest.warns(DataWarning) as of_all:
        model = hl.Model(formula, table)
    dropped = [[str(one.message) for one in told if "were dropped" in str(one.message)] for told in (of_shards, of_all)]
    assert dropped[0] == dropped[1]
    assert len(dropped[0]) == 2
    facts = [[text for label, text in one.facts() if label == "dropped"] for one in (sharded, model)]
    assert facts[0] == facts[1]
    found, expected = sharded.fit("laplace").estimate, model.fit("laplace").estimate
    assert expected is not None
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-9)
    np.testing.assert_allclose(found.vector, expected.vector, atol=1e-6)
    with pytest.raises(DesignError, match="pass collinear='drop'"):
        shards.model(formula, collinear="error")
    with pytest.raises(DesignError, match="collinear='keep'"):
        shards.model(formula, collinear="keep")  # type: ignore[arg-type]


def test_columns_that_depend_on_others_in_few_rows_only_are_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    # In the middle of the column, where no row is looked for, a few rows differ.
    almost = table.assign(z=2 * table["x"])
    middle = almost["x"].abs().nsmallest(3).index
    almost.loc[middle, "z"] += 0.5
    shards = hl.Shards.write(almost, tmp_path / "shards", group="site", shards=3)
    with pytest.raises(DesignError, match=r"shard-0000\d\.parquet has rows that cannot be encoded .*'z' is a linear"):
        shards.model("y ~ x + z + (1 | site)")


def test_wrong_priors_are_refused_before_the_shards_are_read_again(
    shards: hl.Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the shards were read again")

    monkeypatch.setattr(opened.Describe, "__call__", fail)
    for priors in ({"nonsense": hl.priors.Normal(0, 1)}, {"x": hl.priors.Exponential(1)}):
        with pytest.raises(PriorError):
            shards.model("y ~ x + (1 | site)", priors=priors)


def test_threads_do_not_change_a_bit(shards: hl.Shards) -> None:
    alone = shards.model(FORMULA).fit("laplace").estimate
    for workers in (2, 3):
        with ThreadPoolExecutor(workers) as pool:
            other = shards.model(FORMULA, executor=pool).fit("laplace", executor=pool).estimate
        assert other.log_likelihood == alone.log_likelihood
        np.testing.assert_array_equal(other.vector, alone.vector)
        np.testing.assert_array_equal(other.covariance, alone.covariance)


def test_an_evaluation_does_not_depend_on_those_before(shards: hl.Shards) -> None:
    sums = shards.model(FORMULA).__dict__["_sums"]
    psi = np.array([-0.4, 0.5, 0.7, 0.0, 0.1, 0.1, 0.8, 0.1, 0.4])
    for nodes in (1, 5):
        first = sums.evaluate(nodes, psi)
        sums.evaluate(nodes, 1.5 * psi)
        again = sums.evaluate(nodes, psi)
        assert again[0] == first[0]
        np.testing.assert_array_equal(again[1], first[1])


def test_processes_are_sent_the_recipe_once(shards: hl.Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    sums = shards.model("y ~ x + (1 | site)").__dict__["_sums"]
    psi, sent = np.array([-0.4, 0.5, 0.8]), []
    expected = sums.evaluate(1, psi)
    run = opened.OfShard.__call__

    def counted(task: opened.OfShard[Point], number: int) -> Point:
        sent.append((number, task.recipe.content is not None))
        return run(task, number)

    monkeypatch.setattr(opened.OfShard, "__call__", counted)
    sums.evaluate(1, psi)
    assert sent == [(number, False) for number in range(4)]
    # A process that takes the place of a lost one answers that it knows nothing of the model.
    opened.forget(sums.recipe.token)
    sent.clear()
    again = sums.evaluate(1, psi)
    assert [number for number, whole in sent if whole] == [0, 1, 2, 3]
    assert again[0] == expected[0]
    np.testing.assert_array_equal(again[1], expected[1])


def test_effects_are_written_by_shard(table: pd.DataFrame, shards: hl.Shards, tmp_path: Path) -> None:
    sharded = shards.model(FORMULA).fit("laplace")
    written = pd.read_parquet(sharded.ranef(tmp_path / "effects")).set_index(["level", "effect"]).sort_index()
    expected = hl.ranef(hl.Model(FORMULA, table).fit("laplace")).droplevel("group").sort_index()
    assert len(written) == 600
    for column in ("mode", "conditional_sd"):
        np.testing.assert_allclose(written[column], expected.loc[written.index, column], atol=1e-5)
    with pytest.raises(FitError, match="not empty"):
        sharded.ranef(tmp_path / "effects")


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, hl.Shards]:
    """Rows of sites in 47 regions, each of which has rows in several shards."""
    table = visits(150, 4)
    table["region"] = table["site"] % 47
    return table, hl.Shards.write(table, tmp_path_factory.mktemp("regions") / "shards", group="site", shards=3)


@pytest.mark.parametrize("engine", [hl.Laplace(), hl.MAP(nodes=3)])
@pytest.mark.parametrize("cluster", [None, "site", "region"])
def test_robust_standard_errors_are_those_of_all_rows(
    regions: tuple[pd.DataFrame, hl.Shards], engine: hl.Laplace | hl.MAP, cluster: str | None
) -> None:
    table, shards = regions
    formula = "y ~ x + arm + (1 + x | site)"
    sharded = shards.model(formula).fit(engine)
    fit = hl.Model(formula, table).fit(engine)
    found = sharded.robust(cluster)
    values = table["site" if cluster is None else cluster]
    # At the same estimates, to the digits of the sums.
    scores = cluster_scores(fit.model, sharded.estimate, pd.factorize(values)[0]).scores
    expected = sandwich(sharded.estimate, scores)
    np.testing.assert_allclose(found.estimate.covariance, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())
    assert found.estimate.clustered is not None
    assert found.estimate.clustered.described == f"robust, by {values.nunique()} clusters of {values.name}"
    pd.testing.assert_frame_equal(
        pd.DataFrame(sharded.summary(covariance="robust", cluster=cluster)),
        pd.DataFrame(hl.summary(fit, interval="wald", covariance="robust", cluster=values)),
        rtol=1e-4,  # two searches, with standard errors from differences of gradients
    )


@pytest.mark.parametrize(
    ("formula", "engine"),
    [
        ("y ~ x + (1 + x | site)", hl.Laplace()),
        ("y ~ x + (1 | site)", hl.MAP(nodes=3)),
    ],
)
def test_profile_intervals_are_those_of_all_rows(
    table: pd.DataFrame, tmp_path: Path, formula: str, engine: hl.Laplace | hl.MAP
) -> None:
    few = table[table["site"] < 60]
    fit = hl.Model(formula, few).fit(engine)
    shards = hl.Shards.write(few, tmp_path / "shards", group="site", shards=2)
    found = shards.model(formula).fit(engine).summary(interval="profile", ci_prob=0.9)
    expected = hl.summary(fit, interval="profile", ci_prob=0.9)
    assert list(found.columns) == list(expected.columns)
    for name in ("profile90_lb", "profile90_ub"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4)


def test_clusters_that_depend_on_each_other_are_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    table = table.assign(month=table["ward"] * 2, gap=table["x"].where(table["x"] > -1))
    shards = hl.Shards.write(table, tmp_path / "shards", group="site", shards=3)
    fit = shards.model("y ~ x + (1 | site:ward) + (1 | site:arm)").fit("laplace")
    refused = {
        None: "none of which contains the others",
        "site:ward": "clusters of 'site:arm' have rows in several of its clusters",
        "month": "cluster='month': clusters of 'site:arm' have rows",
        "gap": r"'gap' has no value in [\d,]+ rows",
        "nonsense": "'nonsense'",
        "y": "cluster='y': clusters of 'site:ward', 'site:arm' have rows",
    }
    for cluster, message in refused.items():
        with pytest.raises(FitError, match=message):
            fit.robust(cluster)
    robust = fit.robust("site")
    with pytest.raises(FitError, match="robust, by 300 clusters of site, already"):
        robust.robust()
    with pytest.raises(FitError, match="cluster= is for covariance='robust'"):
        fit.summary(cluster="site")


def test_few_clusters_are_a_finding_without_the_jackknife(table: pd.DataFrame, tmp_path: Path) -> None:
    few = table[table["site"] < 12]
    fit = hl.Shards.write(few, tmp_path / "shards", group="site", shards=2).model("y ~ x + (1 | site)").fit("laplace")
    with pytest.warns(ConvergenceWarning, match="computed from 12 clusters of site"):
        robust = fit.robust()
    (finding,) = robust.diagnostics.findings[len(fit.diagnostics.findings) :]
    assert finding.code == "few_independent_clusters"
    assert finding.remedy.startswith("Compare them with those of a model")
    assert robust.estimate.df.max() == 11


# Few draws, on which estimates do not depend.
@pytest.mark.parametrize("engine", [hl.Laplace(draws=100), hl.AGQ(nodes=5, draws=100)])
def test_predictions_are_written_by_shard(
    table: pd.DataFrame, shards: hl.Shards, tmp_path: Path, engine: hl.Laplace | hl.AGQ
) -> None:
    formula = "y ~ within(x, site) + size + (1 + x | site)"
    sharded, fit = shards.model(formula).fit(engine), hl.Model(formula, table).fit(engine)
    order = ["site", "x"]
    expected = table.sort_values(order, ignore_index=True)
    for clusters in ("observed", "typical", "average"):
        written = pd.read_parquet(sharded.predictions(tmp_path / clusters, clusters)).sort_values(order)
        assert list(written) == [*table, "estimate"]
        np.testing.assert_array_equal(written["site"], expected["site"])
        found = hl.predictions(fit, expected, clusters=clusters)["estimate"]
        np.testing.assert_allclose(written["estimate"], found, atol=1e-6)


def test_rows_with_missing_values_have_no_prediction(table: pd.DataFrame, tmp_path: Path) -> None:
    holes = table.assign(x=table["x"].where(table["x"] < 2))
    shards = hl.Shards.write(holes, tmp_path / "shards", group="site", shards=2)
    with pytest.warns(DataWarning, match="missing values in x"):
        model = shards.model("y ~ x + (1 | site)")
    written = pd.read_parquet(model.fit("laplace").predictions(tmp_path / "predicted"))
    np.testing.assert_array_equal(written["estimate"].isna(), written["x"].isna())
    named = hl.Shards.write(table.assign(estimate=0.5), tmp_path / "named", group="site", shards=2)
    with pytest.raises(FitError, match="have a column 'estimate'"):
        named.model("y ~ x + (1 | site)").fit("laplace").predictions(tmp_path / "more")
    with pytest.raises(FitError, match="clusters='new' is not allowed"):
        model.fit("laplace").predictions(tmp_path / "more", "new")  # type: ignore[arg-type]


def test_rows_with_missing_values_are_left_out_and_counted(table: pd.DataFrame, tmp_path: Path) -> None:
    gaps = table.copy()
    gaps.loc[gaps.index[::17], "x"] = np.nan
    gaps["site"] = gaps["site"].astype("Int64").mask(gaps.index == 5)
    # All rows of the largest cluster, which has a file of its own, are incomplete.
    largest = gaps["site"].value_counts().index[0]
    gaps.loc[gaps["site"] == largest, "arm"] = None
    gaps = pd.concat([gaps] + [gaps[gaps["site"] == largest]] * 200, ignore_index=True)
    shards = hl.Shards.write(gaps, tmp_path / "gaps", group="site", shards=3)
    missing = int(gaps[["x", "site", "arm"]].isna().any(axis=1).sum())
    with pytest.warns(
        DataWarning, match=rf"^{missing:,} of {len(gaps):,} rows have missing values in arm .*site \(1\)"
    ):
        model = shards.model("y ~ x + arm + (1 | site)")
    assert model.rows == len(gaps) - missing
    with pytest.warns(DataWarning, match="dropped"):
        whole = hl.Model("y ~ x + arm + (1 | site)", gaps)
    assert_same_fit(model.fit("laplace"), whole.fit("laplace"))


def test_a_shard_of_one_cluster_has_columns_that_do_not_vary(table: pd.DataFrame, tmp_path: Path) -> None:
    few = visits(6)
    few = pd.concat([few, *(few.assign(site=few["site"] + 10 * k) for k in range(1, 4))], ignore_index=True)
    few["z"] = few["site"] % 3 * 0.5
    shards = hl.Shards.write(few, tmp_path / "shards", group="site", shards=1000)
    assert {shard.clusters for shard in shards.manifest.shards} == {1}
    assert len(shards) == few["site"].nunique()
    formula = "y ~ x + z + (1 | site)"
    assert_same_fit(shards.model(formula).fit(hl.AGQ(nodes=3)), hl.Model(formula, few).fit(hl.AGQ(nodes=3)))


def test_successes_out_of_trials_have_their_coefficients(tmp_path: Path) -> None:
    rows = hl.datasets.load("cbpp")
    rows = pd.concat([rows.assign(herd=rows["herd"].astype(str) + f"-{k}") for k in range(3)], ignore_index=True)
    shards = hl.Shards.write(rows, tmp_path / "herds", group="herd", shards=3)
    formula = "p(successes, size) ~ period + (1 | herd)"
    assert_same_fit(shards.model(formula).fit("laplace"), hl.Model(formula, rows).fit("laplace"))


@pytest.mark.parametrize("kind", ["file", "folder", "polars", "duckdb"])
def test_lazy_tables_are_divided_as_those_in_memory(
    kind: str, table: pd.DataFrame, shards: hl.Shards, tmp_path: Path
) -> None:
    stored = tmp_path / "visits.parquet"
    table.to_parquet(stored)
    source: object = stored
    if kind == "folder":
        (tmp_path / "parts").mkdir()
        table.iloc[:900].to_parquet(tmp_path / "parts" / "a.parquet")
        table.iloc[900:].to_parquet(tmp_path / "parts" / "b.parquet")
        source = tmp_path / "parts"
    elif kind == "polars":
        source = pytest.importorskip("polars").scan_parquet(stored)
    elif kind == "duckdb":
        source = pytest.importorskip("duckdb").sql(f"SELECT * FROM '{stored}'")
    other = hl.Shards.write(source, tmp_path / "shards", group="site", shards=4)
    assert [(one.rows, one.clusters) for one in other.manifest.shards] == [
        (one.rows, one.clusters) for one in shards.manifest.shards
    ]
    assert {file.name for file in other.folder.iterdir()} == {file.name for file in shards.folder.iterdir()}


def test_a_folder_with_different_columns_is_not_divided(table: pd.DataFrame, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    table.iloc[:900].to_parquet(parts / "a.parquet")
    table.iloc[900:].drop(columns="arm").to_parquet(parts / "b.parquet")
    with pytest.raises(DesignError, match=r"b\.parquet lacks the column 'arm', which other files of"):
        hl.Shards.write(parts, tmp_path / "shards", group="site")
    table.iloc[900:].assign(more=1).to_parquet(parts / "b.parquet")
    with pytest.raises(DesignError, match=r"a\.parquet lacks the column 'more'"):
        hl.Shards.write(parts, tmp_path / "shards", group="site")


def test_levels_of_lazy_tables_keep_their_order(table: pd.DataFrame, shards: hl.Shards, tmp_path: Path) -> None:
    relation = pytest.importorskip("duckdb").from_df(table)
    other = hl.Shards.write(relation, tmp_path / "shards", group="site", shards=4)
    assert other.manifest.levels == shards.manifest.levels == {"size": ["small", "large", "huge"]}


def test_names_of_codings_are_no_columns(table: pd.DataFrame, shards: hl.Shards) -> None:
    formula = "y ~ C(size, Diff) + (1 | site)"
    assert_same_fit(shards.model(formula).fit("laplace"), hl.Model(formula, table).fit("laplace"))


def test_views_name_rows_clusters_and_shards(shards: hl.Shards) -> None:
    assert "site: 300" in repr(shards)
    fit = shards.model(FORMULA).fit("laplace")
    for text in ("in 4 shards", "site: 300; varying {Intercept, x} correlated", "log-likelihood", "arm[new]"):
        assert text in repr(fit)
    assert "<" in fit._repr_html_()


def test_views_do_not_point_to_functions_that_take_no_fit_of_shards(shards: hl.Shards) -> None:
    fit = shards.model("y ~ x + (1 | site)").fit("laplace")
    finding = Finding("large_sd", "warning", "The sd is 12.", "Use MAP.")
    found = hl.results.ShardedFit(fit.model, fit.estimate, replace(fit.diagnostics, findings=(finding,)), fit._sums)
    assert "warning (large_sd): The sd is 12. Use MAP." in repr(found)
    assert finding.kind.look.partition("(")[0] not in repr(found)


def test_what_cannot_be_divided_or_opened_is_refused(table: pd.DataFrame, shards: hl.Shards, tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="is not a folder of shards: there is no such folder"):
        hl.Shards(tmp_path / "nowhere")
    with pytest.raises(DesignError, match=r"it has no file shards\.json"):
        hl.Shards(tmp_path)
    with pytest.raises(DesignError, match="'sites'"):
        hl.Shards.write(table, tmp_path / "new", group="sites")
    with pytest.raises(DesignError, match="is not empty"):
        hl.Shards.write(table, shards.folder, group="site")
    days = table.assign(day=pd.Categorical(pd.to_datetime("2024-01-01") + pd.to_timedelta(table["ward"], "D")))
    with pytest.raises(DesignError, match="categories of the column 'day' are of the type timestamp"):
        hl.Shards.write(days, tmp_path / "days", group="site")


def test_a_call_that_fails_leaves_no_folder_behind(
    table: pd.DataFrame, shards: hl.Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    fit = shards.model("y ~ x + (1 | site)").fit("laplace")

    def interrupted(*_arguments: object) -> None:
        (tmp_path / "new" / "effects" / "shard-00000.parquet").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Sums, "write_modes", interrupted)
    for folder in (tmp_path / "new" / "shards", there / "shards", there):
        with pytest.raises(DesignError, match="there is no column 'sites'"):
            hl.Shards.write(table, folder, group="sites")
    with pytest.raises(KeyboardInterrupt):
        fit.ranef(tmp_path / "new" / "effects")
    assert list(tmp_path.iterdir()) == [there]
    assert not list(there.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"version": 99}, "later version"),
        ({"version": "2"}, "later version"),
        ({"shards": []}, "is damaged or was edited"),
        ({"schema": {"z": "double"}}, "is damaged or was edited"),
        ({"levels": None}, "is damaged or was edited"),
        ([], "cannot read"),
        (None, "cannot read"),
    ],
)
def test_altered_manifests_are_refused(
    shards: hl.Shards, tmp_path: Path, content: dict[str, object] | list[object] | None, message: str
) -> None:
    record = json.loads((shards.folder / "shards.json").read_text())
    altered = {**record, **content} if isinstance(content, dict) else content
    (tmp_path / "shards.json").write_text(json.dumps(altered))
    with pytest.raises(DesignError, match=message):
        hl.Shards(tmp_path)


@pytest.mark.parametrize("change", ["removed", "truncated", "of another shard", "half of the rows"])
def test_altered_shards_are_refused(shards: hl.Shards, tmp_path: Path, change: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shards.folder, copy)
    first, second = (copy / shard.file for shard in shards.manifest.shards[:2])
    if change == "removed":
        second.unlink()
    elif change == "truncated":
        second.write_bytes(second.read_bytes()[:-100])
    elif change == "of another shard":
        shutil.copy(first, second)
    else:
        pd.read_parquet(second).iloc[::2].to_parquet(second, index=False)
    with pytest.raises(
        DesignError, match=f"{second.name}: No such file" if change == "removed" else f"{second.name} was altered"
    ):
        hl.Shards(copy).model(FORMULA)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x + (1 | ward)", "random effects of 'ward' cross the shards, which are divided by 'site'"),
        ("y ~ x", "no random effects"),
        ("y ~ poly(x, 8) + (1 | site)", r"'poly\(x, 8\)': of shards, poly has degrees up to 7"),
        (
            "y ~ poly(x, ward) + (1 | site)",
            "degree=ward has the values of the column 'ward'. It must be a whole number",
        ),
        ("y ~ within(x, I(site / 2)) + (1 | site)", "the clusters must be a column"),
        ("y ~ within(x) + (1 | site)", r"within\(\) lacks 'g'"),
        ("y ~ scale(log(x)) + (1 | site)", r"in shard-00000\.parquet, 'log\(x\)' is not finite in"),
        ("y ~ scale(arm) + (1 | site)", "'arm' is text"),
        ("y ~ I(x - np.mean(x)) + (1 | site)", r"'np\.mean' in the formula depends on all rows"),
        ("y ~ x + (1 | sites)", "sites"),
    ],
)
def test_formulas_that_shards_cannot_take_are_refused(shards: hl.Shards, formula: str, message: str) -> None:
    with pytest.raises((DesignError, hl.errors.FormulaError), match=message):
        shards.model(formula)


@pytest.mark.parametrize(
    ("formula", "code", "remedy"),
    [
        ("y ~ z + (1 | site)", "separation", "Use hl.MAP() or hl.ImportanceSampling(), whose priors"),
        ("y ~ z + (1 | site) + (1 | ward)", "separation", "Use hl.MAP(), whose priors"),
        ("y ~ w + (1 + w | site)", "singular_fit", "or use hl.MAP() or hl.ImportanceSampling(), whose default prior"),
        ("y ~ w + (1 + w | site) + (1 | ward)", "singular_fit", "or use MAP with an sd prior"),
    ],
)
def test_remedies_name_samplers_that_shards_have(tmp_path: Path, formula: str, code: str, remedy: str) -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"site": np.repeat(np.arange(40), 10), "ward": np.arange(400) % 7, "w": rng.normal(size=400)})
    rows["y"] = rng.integers(0, 2, 400)
    shards = hl.Shards.write(rows.assign(z=rows["y"]), tmp_path / "shards", group="site", shards=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        findings = {one.code: one.remedy for one in shards.model(formula).fit("laplace").diagnostics.findings}
    assert remedy in findings[code]
    assert not any("NUTS" in one for one in findings.values())


def test_quadrature_that_is_not_possible_names_engines_of_shards(shards: hl.Shards) -> None:
    model = shards.model("y ~ x + (1 | site) + (1 | ward)")
    with pytest.raises(EngineError, match=r"hl\.Laplace\(\) and hl\.MAP\(\) take any random effects"):
        model.fit("agq")


def test_other_engines_and_other_functions_are_refused(shards: hl.Shards) -> None:
    model = shards.model("y ~ x + (1 | site)")
    refused: list[tuple[hl.NUTS | hl.Laplace | hl.AGQ, str]] = [
        (hl.NUTS(), "hl.NUTS"),
        (hl.Laplace(restricted=True), "restricted"),
        (hl.AGQ(df="between-within"), "df="),
    ]
    for engine, message in refused:
        with pytest.raises(EngineError, match=message):
            model.fit(engine)
    with pytest.raises(FitError, match=r"is not a Fit \(got ShardedFit\)\. A fit of shards has methods instead"):
        hl.summary(model.fit("laplace"))  # type: ignore[arg-type]


def test_what_passes_over_the_shards_once_has_a_bar(
    shards: hl.Shards, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fit, bars, all_results = shards.model("y ~ x + (1 | site)").fit("laplace"), [], objective.all_results

    def recorded(task: Any, numbers: Any, executor: Any, what: str | None, **options: Any) -> Any:
        bars.append(what)
        return all_results(task, numbers, executor, what, **options)

    monkeypatch.setattr(objective, "all_results", recorded)
    fit.ranef(tmp_path / "effects")
    fit.predictions(tmp_path / "rows")
    fit.robust()
    assert bars == ["Writing effects of clusters", "Predicting", "Adding up scores"]


@pytest.mark.parametrize(
    ("last", "message"), [(1, "before its first round"), (5, "in round 5, at a log-likelihood of -")]
)
def test_an_interruption_says_how_far_the_fit_got(
    shards: hl.Shards, monkeypatch: pytest.MonkeyPatch, last: int, message: str
) -> None:
    model, rounds = shards.model("y ~ x + (1 | site)"), []
    evaluate = Sums.evaluate

    def interrupted(sums: Sums, nodes: int, psi: np.ndarray) -> tuple[float, np.ndarray, bool]:
        rounds.append(psi)
        if len(rounds) == last:
            raise KeyboardInterrupt
        return evaluate(sums, nodes, psi)

    monkeypatch.setattr(Sums, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt, match=message):
        model.fit("laplace")


@pytest.mark.slow
def test_processes_do_not_change_a_bit(shards: hl.Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_statistics, "PLACES", 50)  # the knots are asked for twice
    formula = "y ~ bs(x, df=4) * arm + scale(within(x, site)) + (1 + x | site)"
    alone = shards.model(formula).fit("laplace").estimate
    with ProcessPoolExecutor(2) as pool:
        other = shards.model(formula, executor=pool).fit("laplace", executor=pool).estimate
    assert other.log_likelihood == alone.log_likelihood
    np.testing.assert_array_equal(other.vector, alone.vector)
    np.testing.assert_array_equal(other.covariance, alone.covariance)
