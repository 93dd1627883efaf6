"""Likelihood-ratio tests: the reference distribution, what is nested in what, and the bootstrap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import hierlogit as hl
from hierlogit.errors import FitError, StudyError
from hierlogit.model_comparison.likelihood_ratio import chi_squared_tail, mixture_tail
from hierlogit.model_comparison.nesting import difference


def fitted(formula: str, data: Any = None, engine: Any = "laplace") -> hl.results.Fit:
    return hl.Model(formula, hl.datasets.load("contraception") if data is None else data).fit(engine)


@pytest.fixture(scope="module")
def fits() -> dict[str, hl.results.Fit]:
    formulas = {
        "plain": "use ~ urban",
        "age": "use ~ age + urban",
        "one": "use ~ urban + (1 | district)",
        "apart": "use ~ urban + (1 + urban || district)",
        "two": "use ~ urban + (1 + urban | district)",
        "age two": "use ~ age + urban + (1 + urban | district)",
    }
    return {name: fitted(formula) for name, formula in formulas.items()}


@pytest.mark.parametrize(
    ("smaller", "larger", "degrees"),
    [
        ("plain", "age", (1, 1)),
        ("plain", "one", (0, 1)),
        ("one", "apart", (0, 1)),
        ("one", "two", (1, 2)),
        ("apart", "two", (1, 1)),
        ("one", "age two", (2, 3)),
    ],
)
def test_the_reference_is_a_mixture_where_a_variance_is_tested(
    fits: dict[str, hl.results.Fit], smaller: str, larger: str, degrees: tuple[int, int]
) -> None:
    found = hl.likelihood_ratio(fits[smaller], fits[larger])
    ends = [one.estimate.log_likelihood for one in (fits[smaller], fits[larger]) if one.estimate is not None]
    assert found.statistic == pytest.approx(2 * (ends[1] - ends[0]), rel=1e-12)
    tails = [chi2.sf(found.statistic, d) if d else 0.0 for d in degrees]
    assert found.p_value == pytest.approx(np.mean(tails), rel=1e-10)
    assert found.naive_p_value == pytest.approx(chi2.sf(found.statistic, degrees[1]), rel=1e-10)
    assert found.parameters == degrees[1]
    assert bool(found.variances) == (degrees[0] < degrees[1])
    assert ("cannot be below zero" in " ".join(repr(found).split())) == bool(found.variances)


def test_the_additional_parameters_are_named(fits: dict[str, hl.results.Fit]) -> None:
    found = hl.likelihood_ratio(fits["one"], fits["two"])
    names = ("sd_district[urban[Y]]", "cor_district[Intercept, urban[Y]]")
    assert found.names == names
    assert " ".join(repr(found).split()).count(f"2 more in the larger model: {names[0]}, {names[1]}") == 1


def test_no_evidence_has_a_probability_of_one() -> None:
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 10), "y": np.tile([0, 1], 100)})
    found = hl.likelihood_ratio(fitted("y ~ 1", frame), fitted("y ~ 1 + (1 | g)", frame))
    assert found.statistic == 0
    assert found.p_value == 1


def test_what_is_not_nested_is_refused(fits: dict[str, hl.results.Fit]) -> None:
    def refused(smaller: hl.results.Fit | str, larger: hl.results.Fit | str, match: str) -> None:
        both = [fits[one] if isinstance(one, str) else one for one in (smaller, larger)]
        with pytest.raises(FitError, match=match):
            hl.likelihood_ratio(*both)

    refused("two", "one", r"the second one lacks the random effect 'urban\[Y\]' of 'district'")
    refused("age", "one", "'age' of the first one is not a linear combination of the fixed effects of the second")
    refused("one", "age", "the second one has no random effects of 'district'")
    refused("two", "apart", "of 'district' are correlated in the first one only")
    refused("one", "one", "no parameter that the first one lacks")
    refused("plain", fitted("use ~ urban + offset(age)"), "their offsets differ")
    refused("plain", "two", "the larger model has 2 more variances .* pass method='bootstrap'")
    refused(
        "one",
        fitted("use ~ urban + (1 + urban | district)", engine=hl.AGQ(nodes=3)),
        "'fit0' by Laplace, 'fit1' by quadrature with 3 nodes",
    )
    refused("one", fitted("use ~ urban + (1 + urban | district)", engine=hl.MAP()), "'fit1' is a fit by MAP")
    half = hl.datasets.load("contraception").iloc[:900]
    refused("one", fitted("use ~ urban + (1 + urban | district)", half), "is fitted to 900 rows and 'fit0' to 1,934")
    with pytest.raises(FitError, match="method='exact' is not allowed; choose one of 'chibar', 'bootstrap'"):
        hl.likelihood_ratio(fits["one"], fits["two"], "exact")


def test_the_same_columns_in_other_words_are_nested(fits: dict[str, hl.results.Fit]) -> None:
    # 0 + urban spans what 1 + urban does; age / 10 and age say the same.
    assert difference(fitted("use ~ 0 + urban").model.design, fits["age"].model.design).fixed == 1
    assert difference(fits["age"].model.design, fitted("use ~ I(age / 10) + urban + livch").model.design).fixed == 3


def test_rows_in_another_order_are_refused(fits: dict[str, hl.results.Fit]) -> None:
    turned = hl.datasets.load("contraception").iloc[::-1]
    with pytest.raises(FitError, match="different outcomes, or to rows in another order"):
        hl.likelihood_ratio(fits["plain"], fitted("use ~ age + urban", turned))


def test_a_smaller_fit_at_a_boundary_needs_the_bootstrap() -> None:
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 10), "y": np.tile([0, 1], 100), "x": np.tile([0, 0, 1, 1], 50)})
    smaller, larger = fitted("y ~ 1 + (1 | g)", frame), fitted("y ~ 1 + (1 + x | g)", frame)
    with pytest.raises(FitError, match="is itself at a boundary"):
        hl.likelihood_ratio(smaller, larger)
    found = hl.likelihood_ratio(smaller, larger, "bootstrap", replicates=19, seed=1)
    assert found.simulated is not None
    assert len(found.simulated) == 19


def test_bootstrap_counts_what_is_as_large(fits: dict[str, hl.results.Fit], tmp_path: Path) -> None:
    found = hl.likelihood_ratio(
        fits["plain"], fits["one"], "bootstrap", replicates=40, seed=1, store=tmp_path / "ratio.json"
    )
    assert found.simulated is not None
    assert found.p_value == (1 + np.sum(found.simulated >= found.statistic)) / 41
    assert found.p_value == 1 / 41
    assert np.all(found.simulated >= 0)
    # The same seed gives the same studies; a file with more of them goes on from those it has.
    more = hl.likelihood_ratio(
        fits["plain"], fits["one"], "bootstrap", replicates=50, seed=1, store=tmp_path / "ratio.json"
    )
    assert more.simulated is not None
    np.testing.assert_array_equal(more.simulated[:40], found.simulated)
    again = hl.likelihood_ratio(fits["plain"], fits["one"], "bootstrap", replicates=50, seed=1)
    assert again.simulated is not None
    np.testing.assert_array_equal(again.simulated, more.simulated)
    # Another test does not go on from this file.
    with pytest.raises(StudyError, match="another study"):
        hl.likelihood_ratio(
            fits["plain"], fits["two"], "bootstrap", replicates=50, seed=1, store=tmp_path / "ratio.json"
        )
    with pytest.raises(StudyError, match="replicates=0"):
        hl.likelihood_ratio(fits["plain"], fits["one"], "bootstrap", replicates=0)


def test_a_simulated_study_is_fitted_by_both_models(fits: dict[str, hl.results.Fit]) -> None:
    """The bootstrap's warm refits end where fits of the simulated tables do."""
    from hierlogit.studies.simulated_outcomes import generator, simulated_outcome

    smaller, larger = fits["one"], fits["two"]
    found = hl.likelihood_ratio(smaller, larger, "bootstrap", replicates=3, seed=7)
    assert smaller.estimate is not None
    assert found.simulated is not None
    data = hl.datasets.load("contraception")
    for number in range(3):
        y = simulated_outcome(smaller.model.design, smaller.estimate, generator(7, number))
        table = data.assign(use=y.astype(int))
        ends = [fitted(one.model.formula.text, table).estimate for one in (smaller, larger)]
        assert ends[0] is not None
        assert ends[1] is not None
        expected = 2 * (ends[1].log_likelihood - ends[0].log_likelihood)
        assert found.simulated[number] == pytest.approx(max(expected, 0.0), abs=2e-4)


@pytest.mark.slow
def test_the_mixture_holds_its_level_and_the_naive_test_does_not() -> None:
    layout = hl.Layout({"school": 1000}, size=30, predictors={"x": "normal"})
    rows = hl.simulate("y ~ x", layout, beta={"Intercept": -0.5, "x": 0.5}, seed=1)
    smaller, larger = fitted("y ~ x", rows), fitted("y ~ x + (1 | school)", rows)
    simulated = hl.likelihood_ratio(smaller, larger, "bootstrap", replicates=2000, seed=3).simulated
    assert simulated is not None
    for level in (0.1, 0.05, 0.01):
        error = np.sqrt(level * (1 - level) / 2000)
        assert np.mean([mixture_tail(one, 1) < level for one in simulated]) == pytest.approx(level, abs=3 * error)
        assert np.mean([chi_squared_tail(one, 1) < level for one in simulated]) < level - 2 * error


@pytest.mark.slow
def test_the_mixture_of_a_correlated_slope_holds_its_level() -> None:
    """With many trials in each row, so that Laplace's method is accurate; the mixture is slightly conservative."""
    layout = hl.Layout({"school": 300}, size=6, predictors={"x": "normal"})
    formula = "p(y, 30) ~ x + (1 | school)"
    rows = hl.simulate(formula, layout, beta={"Intercept": -0.5, "x": 0.5}, sd={"school": 1.0}, seed=1)
    smaller, larger = fitted(formula, rows), fitted("p(y, 30) ~ x + (1 + x | school)", rows)
    simulated = hl.likelihood_ratio(smaller, larger, "bootstrap", replicates=2000, seed=3).simulated
    assert simulated is not None
    for level in (0.1, 0.05, 0.01):
        error = np.sqrt(level * (1 - level) / 2000)
        by_mixture = np.mean([mixture_tail(one, 2) < level for one in simulated])
        assert 0.65 * level < by_mixture < level + 3 * error
        assert np.mean([chi_squared_tail(one, 2) < level for one in simulated]) < 0.8 * by_mixture
