"""Fits of imputed tables, pooled: estimates, draws, verbs over each table's own rows, refusals and files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, DataWarning, FitError, HierlogitError, PredictionError
from hierlogit.reporting.methods import cited, methods
from hierlogit.reporting.request import Subject
from hierlogit.reporting.script import _model
from hierlogit.results import Fit, PooledEstimate, PooledFit

FORMULA = "healed ~ dose + arm + (1 | clinic)"
M = 6


def imputed_tables(frame: pd.DataFrame, m: int = M, seed: int = 1) -> list[pd.DataFrame]:
    """The frame with every third dose drawn anew in each table."""
    rng = np.random.default_rng(seed)
    gone = np.arange(len(frame)) % 3 == 0
    return [frame.assign(dose=np.where(gone, rng.uniform(0, 10, len(frame)), frame["dose"])) for _ in range(m)]


@pytest.fixture(scope="module")
def tables(clustered_rows: Callable[..., pd.DataFrame]) -> list[pd.DataFrame]:
    return imputed_tables(clustered_rows(50, 12))


@pytest.fixture(scope="module")
def fit(tables: list[pd.DataFrame]) -> PooledFit[hl.Model]:
    return hl.fit_imputed(FORMULA, tables, hl.Laplace(seed=3))


def by_rubin(estimates: Any, errors: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Means over the imputations, the first axis, and total variances."""
    values, within = np.asarray(estimates), np.mean(np.square(errors), axis=0)
    return values.mean(axis=0), within + (1 + 1 / len(values)) * values.var(axis=0, ddof=1)


# ---- estimates and draws ---------------------------------------------------------------------------------------


def test_estimates_are_means_with_total_variances(fit: PooledFit[hl.Model]) -> None:
    summaries = [hl.summary(one) for one in fit.fits]
    mean, total = by_rubin([one["estimate"] for one in summaries], [one["se"] for one in summaries])
    table = hl.summary(fit)
    np.testing.assert_allclose(table["estimate"], mean)
    np.testing.assert_allclose(table["se"], np.sqrt(total))
    assert table["fmi"]["dose"] > 0.1
    assert table["fmi"]["arm[new]"] < 0.1
    assert np.isnan(table["df"]["sd_clinic[Intercept]"])


def test_hypotheses_and_odds_ratios_are_pooled_as_scalars(fit: PooledFit[hl.Model]) -> None:
    stated = ["arm[new] = arm[old]", "dose = 0"]
    members = [hl.hypotheses(one, stated) for one in fit.fits]
    mean, total = by_rubin([one["estimate"] for one in members], [one["se"] for one in members])
    found = hl.hypotheses(fit, stated)
    np.testing.assert_allclose(found["estimate"], mean)
    np.testing.assert_allclose(found["se"], np.sqrt(total))
    assert found["df"][1] == pytest.approx(hl.summary(fit)["df"]["dose"])
    ratios = hl.odds_ratios(fit)
    assert ratios["p_value"]["dose"] == pytest.approx(hl.summary(fit)["p_value"]["dose"])


def test_draws_have_the_total_variance(fit: PooledFit[hl.Model]) -> None:
    assert fit.estimate is not None
    beta = fit.posterior["beta"].to_numpy()
    assert beta.shape[:2] == (M, 1000)
    assert fit.posterior["imputation"].to_numpy().tolist() == list(range(1, M + 1))
    draws = beta.reshape(-1, beta.shape[2])
    np.testing.assert_allclose(draws.mean(axis=0), fit.estimate.beta, atol=0.05 * fit.estimate.standard_errors.max())
    # The variance between imputations is that of a t distribution with M - 1 degrees of freedom.
    missing = hl.summary(fit)["lambda"].to_numpy()[: draws.shape[1]]
    ratio = draws.std(axis=0) / fit.estimate.standard_errors
    np.testing.assert_allclose(ratio, np.sqrt(1 + 2 * missing / (M - 3)), rtol=0.05)
    assert ratio.max() > 1.1
    plain = np.concatenate([one.posterior["beta"].to_numpy()[0] for one in fit.fits])
    assert draws[:, 1].std() > plain[:, 1].std()


def test_effects_of_clusters_include_the_variance_between_imputations(fit: PooledFit[hl.Model]) -> None:
    members = [hl.ranef(one) for one in fit.fits]
    mean, total = by_rubin([one["mode"] for one in members], [one["conditional_sd"] for one in members])
    found = hl.ranef(fit)
    np.testing.assert_allclose(found["mode"], mean)
    np.testing.assert_allclose(found["conditional_sd"], np.sqrt(total))


# ---- verbs that compute with rows ------------------------------------------------------------------------------


def test_averages_are_over_the_rows_of_each_table(fit: PooledFit[hl.Model]) -> None:
    members = [hl.avg_comparisons(one, "dose", clusters="average", direction=True) for one in fit.fits]
    errors = [(one["estimate"] / one["z"]).to_numpy() for one in members]
    mean, total = by_rubin([one["estimate"] for one in members], errors)
    found = hl.avg_comparisons(fit, "dose", clusters="average", direction=True)
    np.testing.assert_allclose(found["estimate"], mean)
    np.testing.assert_allclose(found["estimate"] / found["t"], np.sqrt(total), rtol=1e-4)
    assert found["sd"].iloc[0] == pytest.approx(np.sqrt(total[0]), rel=0.2)
    shares = [hl.avg_predictions(one, by="arm")["estimate"] for one in fit.fits]
    np.testing.assert_allclose(hl.avg_predictions(fit, by="arm")["estimate"], np.mean(shares, axis=0))


def test_imputed_cells_are_missing_in_tables_of_rows(fit: PooledFit[hl.Model], tables: list[pd.DataFrame]) -> None:
    found = hl.predictions(fit, num_draws=60)
    gone = np.arange(len(found)) % 3 == 0
    assert found["dose"].isna().to_numpy().tolist() == gone.tolist()
    assert found["arm"].astype(str).tolist() == tables[0]["arm"].tolist()
    assert found.draws.sizes["chain"] * found.draws.sizes["draw"] == 60
    members = [hl.predictions(one)["estimate"] for one in fit.fits]
    np.testing.assert_allclose(found["estimate"], np.mean(members, axis=0))
    assert fit.imputed_rows == {"dose": int(gone.sum())}


def test_groups_of_imputed_values_are_refused(fit: PooledFit[hl.Model]) -> None:
    with pytest.raises(PredictionError, match=r"groups of rows by 'dose' differ between imputations.*newdata="):
        hl.avg_predictions(fit, by="dose")


@pytest.mark.parametrize(
    "verb", [hl.icc, hl.vpc, hl.mor, hl.r2, lambda one: hl.pcv(one, one), lambda one: hl.avg_slopes(one, "dose")]
)
def test_estimates_of_other_verbs_are_means(fit: PooledFit[hl.Model], verb: Callable[[Fit], Any]) -> None:
    members = [verb(one)["estimate"] for one in fit.fits]
    np.testing.assert_allclose(verb(fit)["estimate"], np.mean(members, axis=0))


def test_new_rows_are_coded_by_each_model(tables: list[pd.DataFrame]) -> None:
    with pytest.warns(DataWarning, match=r"'scale\(dose\)' learns other numbers from each imputed table"):
        fit = hl.fit_imputed("healed ~ scale(dose) + (1 | clinic)", tables, hl.Laplace(seed=1))
    rows = hl.datagrid(fit, dose=[2.0, 8.0])
    members = [hl.predictions(one, rows, clusters="typical")["estimate"] for one in fit.fits]
    np.testing.assert_allclose(
        hl.predictions(fit, rows, clusters="typical")["estimate"], np.mean(members, axis=0), rtol=1e-12
    )


def test_terms_are_tested_by_wald(fit: PooledFit[hl.Model]) -> None:
    tests = hl.test_terms(fit, adjust="holm").set_index("term")
    assert tests["p_value"]["dose"] == pytest.approx(hl.summary(fit)["p_value"]["dose"])
    assert np.isnan(tests["p_value"]["Intercept"])
    assert "fit.fits" in tests["reference"]["Intercept"]
    with pytest.raises(FitError, match="method='bootstrap' compares likelihoods"):
        hl.test_terms(fit, "bootstrap")


def test_every_parameter_of_beta_binomial_models_is_pooled(clustered_rows: Callable[..., pd.DataFrame]) -> None:
    frame = clustered_rows(30, 6)
    random = np.random.default_rng(5)
    counts = frame.assign(trials=10, healed=random.binomial(10, random.beta(2, 2, len(frame))))
    tables = imputed_tables(counts, 5)
    formula = "p(healed, trials) ~ dose + (1 | clinic)"
    fit = hl.fit_imputed(formula, tables, hl.Laplace(seed=1), family="betabinomial")
    found, members = hl.summary(fit), [hl.summary(one) for one in fit.fits]
    dispersions = np.array([one["estimate"]["phi"] for one in members]) ** -0.5
    assert found["estimate"]["phi"] == pytest.approx(dispersions.mean() ** -2)
    assert found["fmi"].notna().all()
    draws = fit.posterior["phi"].to_numpy().ravel()
    assert np.median(draws) == pytest.approx(found["estimate"]["phi"], rel=0.05)


@pytest.mark.parametrize(
    "call",
    [
        hl.loo, hl.icl, hl.evidence, hl.bootstrap, hl.profile, hl.check, hl.residuals, hl.calibration, hl.scores,
        hl.influence, hl.check_quadrature, hl.compare_searches, hl.test_slopes, hl.pooling, hl.ignoring_clusters,
        hl.league_table, hl.explore, lambda one: hl.compare({"a": one, "b": one}), lambda one: one.estimate.aic,
        lambda one: hl.likelihood_ratio(one, one), lambda one: hl.summary(one, interval="profile"),
        lambda one: hl.bayes_factor({"a": one, "b": one}),
    ],
)  # fmt: skip
def test_what_has_no_meaning_across_imputations_is_refused(
    fit: PooledFit[hl.Model], call: Callable[[Any], Any]
) -> None:
    with pytest.raises(FitError, match=r"imputations.*fits"):
        call(fit)


# ---- sampled fits ----------------------------------------------------------------------------------------------


def test_convergence_is_that_within_imputations(tables: list[pd.DataFrame], make_fit: Callable[..., Fit]) -> None:
    fits = [make_fit(hl.Model(FORMULA, table), None, seed=k, chains=4) for k, table in enumerate(tables)]
    pooled = hl.pool(fits)
    assert pooled.estimate is None
    dose = pooled.posterior["beta"].sel(fixed_effect="dose")
    assert float(arviz_stats.rhat(dose.to_dataset(name="x"))["x"]) > 1.5  # the synthetic fits differ
    members, found = [hl.summary(one) for one in fits], hl.summary(pooled)
    np.testing.assert_allclose(found["r_hat"], np.max([one["r_hat"] for one in members], axis=0))
    np.testing.assert_allclose(found["ess_bulk"], np.sum([one["ess_bulk"] for one in members], axis=0))
    errors = np.array([one["mcse_mean"] for one in members])
    np.testing.assert_allclose(found["mcse_mean"], np.sqrt((errors**2).sum(axis=0)) / M)
    assert found["sd"]["dose"] > max(one["sd"]["dose"] for one in members)
    assert not [finding for finding in pooled.diagnostics.findings if finding.code == "high_rhat"]
    shorter = make_fit(hl.Model(FORMULA, tables[0]), None, draws=100, chains=4)
    with pytest.raises(FitError, match=r"fits\[1\] has draws 100, and fits\[0\] 200"):
        hl.pool([fits[0], shorter])


# ---- tables and fits that do not belong together ---------------------------------------------------------------


def changed(tables: list[pd.DataFrame], **columns: Callable[[pd.DataFrame], Any]) -> list[pd.DataFrame]:
    return [tables[0], tables[1].assign(**columns)]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda t: [t[0], t[1].drop(index=[3, 17])],
            r"tables\[1\] has 598 rows, and tables\[0\] 600: .* tables\[1\] lacks the rows 3, 17 of tables\[0\]",
        ),
        (
            lambda t: [t[0].iloc[1:], t[1]],
            r"tables\[1\] has 600 rows, and .* tables\[0\] lacks the row 0 of tables\[1\]",
        ),
        (lambda t: [t[0], t[1].iloc[::-1]], r"tables\[1\] has other rows than tables\[0\]: its row 0 is labelled 599"),
        (lambda t: changed(t, clinic=lambda one: one["clinic"].replace("clinic 1", "clinic 2")), "other clusters of"),
        (lambda t: changed(t, arm=lambda one: one["arm"].replace("old", "new")), r"lacks 'arm\[old\]'"),
        (
            lambda t: changed(t, dose=lambda one: one["dose"].mask(one.index < 5)),
            r"tables\[1\]: 5 of 600 rows have mis",
        ),
        (lambda t: [t[0], t[1].drop(columns="dose")], r"tables\[1\]: .*dose"),
        (lambda t: [t[0], 3], r"tables\[1\]: data must be a table"),
        (lambda t: [t[0]], "1 imputed table, where at least two are needed"),
        (lambda t: t[0], r"has no column '\.imp'.*mice::complete"),
    ],
)
def test_tables_that_do_not_agree_are_named(
    tables: list[pd.DataFrame], spoil: Callable[[list[pd.DataFrame]], Any], message: str
) -> None:
    with pytest.raises(HierlogitError, match=message):
        hl.fit_imputed(FORMULA, spoil(tables), "laplace")


def test_rows_left_out_of_some_tables_are_counted(tables: list[pd.DataFrame]) -> None:
    holes = changed(tables, dose=lambda one: one["dose"].mask(one.index < 5))
    message = r"Left out for values that are still missing: 5 rows of tables\[1\]\. Impute these values too"
    with pytest.raises(FitError, match=message):
        hl.fit_imputed(FORMULA, holes, "laplace", missing="drop")


def test_fits_that_do_not_agree_are_named(tables: list[pd.DataFrame], fit: PooledFit[hl.Model]) -> None:
    one = fit.fits[0]
    other = hl.Model("healed ~ dose + (1 | clinic)", tables[1]).fit("laplace")
    for fits, message in [
        ([one, other], r"fits\[1\] has the formula healed ~ dose \+ \(1 \| clinic\)"),
        ([one, fit.fits[1].model.fit(hl.AGQ(nodes=3))], r"fits\[1\] has engine AGQ, and fits\[0\] Laplace"),
        ([one, fit], r"fits\[1\] is pooled already"),
        ([one, one.model], r"fits\[1\]"),
        ([one], "1 fit cannot be pooled"),
        (one, "Pass a list of the fits"),
    ]:
        with pytest.raises(FitError, match=message):
            hl.pool(fits)  # type: ignore[arg-type]


@pytest.mark.parametrize("covariance", ["robust", "jackknife"])
def test_robust_standard_errors_are_not_computed_of_pooled_fits(fit: PooledFit[hl.Model], covariance: str) -> None:
    with pytest.raises(FitError, match=r"pooled over 6 imputations.*hl\.pool\(\[hl\.robust\(one, cluster\)"):
        hl.robust(fit, covariance=covariance)


def test_fits_with_robust_standard_errors_are_pooled(fit: PooledFit[hl.Model]) -> None:
    robust = [hl.robust(one) for one in fit.fits]
    pooled = hl.pool(robust)
    within = np.mean([one.estimate.covariance[1, 1] for one in robust if one.estimate is not None])
    between = np.var([hl.summary(one)["estimate"]["dose"] for one in robust], ddof=1)
    np.testing.assert_allclose(hl.summary(pooled)["se"]["dose"] ** 2, within + (1 + 1 / M) * between)
    assert "robust, by 50 clusters of clinic" in str(pooled)
    assert hl.summary(pooled).quantity == (
        "Parameters (logit scale); robust standard errors by clinic; t with Barnard-Rubin df"
    )
    assert pooled.estimate is not None
    assert pooled.estimate.model_covariance[1, 1] == pytest.approx(hl.summary(fit)["se"]["dose"] ** 2)
    assert hl.odds_ratios(pooled).quantity.count("robust") == 1
    with pytest.raises(
        FitError, match=r"fit = hl\.pool\(\[hl\.robust\(one, covariance='jackknife'\) for one in fit\.fits"
    ):
        hl.summary(fit, covariance="jackknife")
    with pytest.raises(FitError, match=r"fits\[1\] has standard errors robust, by 50 clusters of clinic, and"):
        hl.pool([fit.fits[0], robust[1]])


def test_reports_of_pooled_robust_fits_say_so_and_their_scripts_make_them(fit: PooledFit[hl.Model]) -> None:
    subject = Subject("fit", hl.pool([hl.robust(one) for one in fit.fits]))
    text = methods(subject, "95% interval")
    assert (
        "(Barnard and Rubin 1999). Standard errors are cluster-robust, from the scores of 50 clusters of `clinic`"
        in text
    )
    assert {"Liang", "Barnard"} <= {one.text.split()[0].strip(",") for one in cited(subject)}
    assert _model(subject)[-1] == "fit = hl.pool([hl.robust(one, 'clinic') for one in fit.fits])"
    assert "Standard errors" not in methods(Subject("fit", fit), "95% interval")


def test_long_tables_of_mice_are_read(tables: list[pd.DataFrame], fit: PooledFit[hl.Model]) -> None:
    rows = np.arange(len(tables[0])) + 1
    parts = [table.assign(**{".imp": k}).assign(**{".id": rows}) for k, table in enumerate(tables, start=1)]
    gone = np.arange(len(tables[0])) % 3 == 0
    original = parts[0].assign(**{".imp": 0}, dose=parts[0]["dose"].mask(gone))
    found = hl.fit_imputed(FORMULA, pd.concat([original, *parts]), hl.Laplace(seed=3))
    assert len(found.fits) == M
    np.testing.assert_allclose(hl.summary(found)["se"], hl.summary(fit)["se"])
    assert found.model.design.table.rows[0] == 1
    spoilt = pd.concat([original.assign(dose=original["dose"] + 1), *parts]).rename(columns={".imp": "copy"})
    with pytest.warns(DataWarning, match=r"differ from observed values .* in dose \(400 rows\)"):
        hl.fit_imputed(FORMULA, spoilt, "laplace", imputation="copy")


# ---- findings, seeds, interruptions, files ---------------------------------------------------------------------


def test_few_imputations_are_a_finding(fit: PooledFit[hl.Model], tables: list[pd.DataFrame]) -> None:
    (finding,) = fit.diagnostics.findings
    assert (finding.code, finding.severity) == ("few_imputations", "note")
    assert "'dose'" in finding.evidence
    with pytest.warns(ConvergenceWarning, match="There are 3 imputations, too few"):
        few = hl.fit_imputed(FORMULA, tables[:3], "laplace")
    assert few.diagnostics.status == "check"
    for verb in (hl.ranef, hl.avg_predictions, hl.odds_ratios):
        with pytest.warns(ConvergenceWarning) as said:
            verb(few)
        assert len(said) == 1


def test_findings_of_single_imputations_say_in_how_many(tables: list[pd.DataFrame]) -> None:
    # In the second table, doses separate the outcomes.
    apart = tables[1].assign(dose=np.where(tables[1]["healed"] == "yes", 1.0, 0.0))
    with pytest.warns(ConvergenceWarning, match=r"In 1 of 6 imputations; in imputation 2: "):
        fit = hl.fit_imputed("healed ~ dose + (1 | clinic)", [tables[0], apart, *tables[2:]], "laplace")
    assert ("separation", "warning") in {(finding.code, finding.severity) for finding in fit.diagnostics.findings}
    assert np.isnan(hl.summary(fit, df="normal")["se"]["dose"])


def test_seeds_repeat_and_differ_between_imputations(tables: list[pd.DataFrame], fit: PooledFit[hl.Model]) -> None:
    with ThreadPoolExecutor(2) as executor:
        again = hl.fit_imputed(FORMULA, iter(tables), hl.Laplace(seed=3), executor=executor)
    assert again.posterior.equals(fit.posterior)
    assert len({one.diagnostics.seed for one in fit.fits}) == M


@pytest.mark.parametrize("finished", [1, 4])
def test_interruptions_keep_finished_fits(
    tables: list[pd.DataFrame], monkeypatch: pytest.MonkeyPatch, finished: int
) -> None:
    made: list[Any] = []
    run = hl.Laplace.run

    def interrupted(engine: hl.Laplace, model: Any) -> Any:
        if len(made) == finished:
            raise KeyboardInterrupt
        made.append(run(engine, model))
        return made[-1]

    monkeypatch.setattr(hl.Laplace, "run", interrupted)
    if finished == 1:
        with pytest.raises(FitError, match="interrupted after 1 fit: pooling needs at least two"):
            hl.fit_imputed(FORMULA, tables, "laplace")
        return
    with pytest.warns(ConvergenceWarning, match="4 of 6 imputed tables were fitted"):
        fit = hl.fit_imputed(FORMULA, tables, "laplace")
    assert fit.diagnostics.status == "interrupted"
    assert [one.model.design.n_rows for one in fit.fits] == [600] * 4


def test_files_and_pickles_hold_all_fits(fit: PooledFit[hl.Model], tmp_path: Path) -> None:
    for again in (hl.load(fit.save(tmp_path / "pooled.nc")), pickle.loads(pickle.dumps(fit))):
        assert isinstance(again, PooledFit)
        assert isinstance(again.estimate, PooledEstimate)
        assert again.posterior.equals(fit.posterior)
        pd.testing.assert_frame_equal(pd.DataFrame(hl.summary(again)), pd.DataFrame(hl.summary(fit)))
        assert again.diagnostics.findings == fit.diagnostics.findings


def test_pooled_random_slopes_agree_in_sign(clustered_rows: Callable[..., pd.DataFrame]) -> None:
    fits = [
        hl.Model("healed ~ dose + (1 + dose | clinic)", table).fit(hl.Laplace(seed=k))
        for k, table in enumerate(imputed_tables(clustered_rows(40, 20), 5))
    ]
    pooled = hl.pool(fits)
    assert isinstance(pooled.estimate, PooledEstimate)
    turned = fits[0].estimate
    assert turned is not None
    flipped = PooledEstimate.of([_turned(turned), *(one.estimate for one in fits[1:] if one.estimate)])
    np.testing.assert_allclose(flipped.cholesky["clinic"], pooled.estimate.cholesky["clinic"])
    np.testing.assert_allclose(flipped.covariance, pooled.estimate.covariance)
    spread = [hl.summary(one)["estimate"].iloc[2:4] for one in fits]
    np.testing.assert_allclose(
        hl.summary(pooled)["estimate"].iloc[2:4],
        np.mean(spread, axis=0),
    )


def _turned(estimate: Any) -> Any:
    """The estimate with the opposite sign of the first column of its Cholesky factor."""
    from dataclasses import replace

    signs = np.array([-1.0 if entry[2] == 0 else 1.0 for entry in estimate.entries])
    every = np.concatenate([np.ones(len(estimate.beta)), signs])
    L = estimate.cholesky["clinic"] * np.array([-1.0, 1.0])
    return replace(estimate, cholesky={"clinic": L}, covariance=estimate.covariance * np.outer(every, every))
