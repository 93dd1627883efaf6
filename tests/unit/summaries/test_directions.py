"""Principal components of the random effects: agreement with lme4, and what they are in words."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import FitError, HierlogitWarning
from hierlogit.fits.fit import Fit
from hierlogit.fits.principal_components import PrincipalComponents

REFERENCE = Path(__file__).parents[2] / "reference" / "zeta_reference.json"
FORMULAS = {
    "contraception_slope_short": "use ~ urban + (1 + urban | district)",
    "contraception_three": "use ~ urban + age10 + (1 + urban + age10 | district)",
}


def _fit(formula: str, data: pd.DataFrame, engine: str = "laplace") -> Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierlogitWarning)
        return hl.Model(formula, data).fit(engine)


@pytest.mark.parametrize("name", FORMULAS)
def test_components_are_those_of_lme4(name: str) -> None:
    theirs = json.loads(REFERENCE.read_text(encoding="utf-8"))["pca"][name]
    data = hl.datasets.load("contraception")
    fit = _fit(FORMULAS[name], data.assign(age10=data["age"] / 10))
    table = hl.re_pca(fit, standardized=False)
    q = len(table)
    np.testing.assert_allclose(table["sd"], theirs["sdev"], atol=2e-3)
    np.testing.assert_allclose(
        table["share"], np.array(theirs["sdev"]) ** 2 / np.sum(np.square(theirs["sdev"])), atol=2e-3
    )
    rotation = np.reshape(theirs["rotation"], (q, q))  # by column in R, and so a component in each row
    ours = table[[*fit.model.design.groups[0].effects]].to_numpy()
    np.testing.assert_allclose(np.abs((ours * rotation).sum(axis=1)), 1, atol=1e-4)
    assert ("adds nothing" in table.quantity) == theirs["singular"]
    assert ("singular_fit" in {one.code for one in fit.diagnostics.findings}) == theirs["singular"]


def test_all_loadings_are_shown_where_there_is_little_room() -> None:
    table = hl.re_pca(_fit(FORMULAS["contraception_slope_short"], hl.datasets.load("contraception")))
    long = table.rename(columns={"Intercept": "Intercept_with_a_name", "urban[Y]": "slope_with_a_name_of_its_own"})
    columns = next(line for line in repr(long).splitlines() if "direction  " in line).split()
    assert columns[-2:] == ["Intercept_with_a_name", "slope_with_a_name_of_its_own"]
    assert "cumulative" not in columns


def test_standardized_components_do_not_depend_on_units() -> None:
    data = hl.datasets.load("contraception")
    years, decades = (
        hl.re_pca(_fit(f"use ~ {name} + (1 + {name} | district)", data.assign(age10=data["age"] / 10)))
        for name in ("age", "age10")
    )
    np.testing.assert_allclose(years["sd"], decades["sd"], rtol=1e-3)


def test_sampled_fits_have_the_posterior_mean_of_their_covariance_matrix(make_fit: Callable[..., Fit]) -> None:
    fit = make_fit("use ~ urban + (1 + urban | district)", hl.datasets.load("contraception"))
    table = hl.re_pca(fit, "district", standardized=False)
    sd = fit.posterior["sd_district"].to_numpy()
    assert (table["sd"] ** 2).sum() == pytest.approx((sd**2).sum(axis=-1).mean())
    assert table["cumulative"].iloc[-1] == pytest.approx(1)
    with pytest.raises(FitError, match="no grouping factor 'women'"):
        hl.re_pca(fit, "women")


def test_effects_of_two_factors_are_described_one_by_one() -> None:
    random = np.random.default_rng(3)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(30), 20), "h": np.tile(np.arange(20), 30), "x": random.normal(size=600)}
    )
    data["y"] = (random.uniform(size=600) < 0.4).astype(int)
    table = hl.re_pca(_fit("y ~ x + (1 + x | g) + (1 | h)", data))
    assert list(table.index) == [("g", 1), ("g", 2), ("h", 1)]
    assert np.isnan(table.loc[("h", 1), "x"])
    assert "given the intercept, the slope of x adds nothing: all of the variance between 'g' lies" in table.quantity


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (np.eye(3), ""),
        (np.zeros((3, 3)), ""),
        (
            [[1, 0, 0], [0.3, 0.6, 0], [0.5, 0.5, 0]],
            "Given the intercept and the slope of time, the slope of x adds nothing: all of the variance between 'g' "
            "lies in 2 of 3 directions.",
        ),
        (
            [[1, 0, 0], [0.3, 0.6, 0], [0.5, 0.5, 0.08]],
            "Given the intercept and the slope of time, the slope of x adds nothing: 99.8% of the variance between 'g' "
            "lies in 2 of 3 directions.",
        ),
        (
            [[1, 0, 0], [0.3, 0, 0], [-0.5, 0, 0]],
            "Given the intercept, the slopes of time and x add nothing: all of the variance between 'g' lies in 1 of 3 "
            "directions.",
        ),
        # An intercept that hardly varies cannot stand for slopes.
        (
            [[1e-3, 0, 0], [0, 0.6, 0], [0, 0, 0.8]],
            "Given the slopes of time and x, the intercept adds nothing: all of the variance between 'g' lies in 2 of "
            "3 directions.",
        ),
    ],
)
def test_empty_directions_in_words(root: list[list[float]], expected: str) -> None:
    found = PrincipalComponents.of(["Intercept", "time", "x"], np.array(root, dtype=float))
    assert found.described("g") == expected


def test_without_the_empty_directions_the_rest_is_as_it_was() -> None:
    L = np.array([[1.0, 0, 0], [0.3, 0.6, 0], [0.5, 0.5, 0.04]])
    found = PrincipalComponents.of(["Intercept", "time", "x"], L)
    root = found.without_empty()
    assert np.all(np.triu(root, 1) == 0)
    values, vectors = np.linalg.eigh(L @ L.T)
    values[0] = 0
    np.testing.assert_allclose(root @ root.T, vectors @ np.diag(values) @ vectors.T, atol=1e-12)


def _nearly_one(seed: int, clusters: int = 40) -> pd.DataFrame:
    """Clusters whose slopes follow from their intercepts."""
    random = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(np.arange(clusters), 25), "x": random.normal(size=25 * clusters)})
    b = random.normal(size=clusters)[data["g"]]
    data["y"] = (random.uniform(size=len(data)) < 1 / (1 + np.exp(-b * (1 + 0.5 * data["x"])))).astype(int)
    return data


def test_a_covariance_matrix_that_is_nearly_singular_is_a_note() -> None:
    noted = 0
    for seed in range(20):
        fit = _fit("y ~ x + (1 + x | g)", _nearly_one(seed))
        codes = {one.code for one in fit.diagnostics.findings}
        assert not {"singular_fit", "nearly_singular"} <= codes
        shares = hl.re_pca(fit)["share"]
        if "nearly_singular" in codes:
            noted += 1
            (finding,) = (one for one in fit.diagnostics.findings if one.code == "nearly_singular")
            assert "the slope of x adds nothing" in finding.evidence
            assert fit.diagnostics.status == "converged"
            assert 0 < shares.iloc[1] < 0.005
    assert noted > 0
