"""p-values adjusted for their number: by the definition, and by how often a right model is doubted."""

from __future__ import annotations

import numpy as np
import pytest

from hierlogit.diagnostics.fit.measures import CheckResult, adjusted_for_number, as_table


def test_adjusted_p_values_are_shares_of_smallest_p_values() -> None:
    simulated = np.array([[0.5, 0.02, 0.9], [0.04, 0.6, 0.3], [0.7, 0.5, 0.01], [0.2, 0.3, 0.4]])
    found = adjusted_for_number(np.array([0.3, 0.03, 0.25]), simulated)
    # Smallest of all three: 0.02, 0.04, 0.01, 0.2; without the second check: 0.5, 0.04, 0.01, 0.2; the first alone.
    np.testing.assert_allclose(found, [(1 + 3) / 5, (1 + 2) / 5, (1 + 3) / 5])


def test_more_doubtful_checks_are_never_adjusted_to_less() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        p = random.uniform(size=6)
        found = adjusted_for_number(p, random.uniform(size=(99, 6)))
        assert np.all(np.diff(found[np.argsort(p)]) >= 0)
        assert np.all(found[p > 0.02] >= 0.01)


def test_checks_without_a_p_value_do_not_count() -> None:
    simulated = np.random.default_rng(1).uniform(size=(200, 3))
    with_gap = adjusted_for_number(np.array([0.02, np.nan, 0.3]), simulated)
    np.testing.assert_array_equal(with_gap[[0, 2]], adjusted_for_number(np.array([0.02, 0.3]), simulated[:, [0, 2]]))
    assert np.isnan(with_gap[1])
    assert np.isnan(adjusted_for_number(np.full(3, np.nan), np.ones((0, 3)))).all()


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_chance_of_any_false_alarm_is_the_level(correlation: float) -> None:
    """Six checks of normal numbers, two hundred simulated data sets each."""
    from scipy.special import ndtr

    random = np.random.default_rng(5)
    smallest = []
    for _ in range(1000):
        shared, own = random.normal(size=(201, 1)), random.normal(size=(201, 6))
        p = ndtr(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
        smallest.append(adjusted_for_number(p[0], p[1:]).min())
    for level in (0.05, 0.2):
        assert np.mean(np.array(smallest) < level) == pytest.approx(
            level, abs=3.5 * np.sqrt(level * (1 - level) / 1000)
        )


def test_findings_say_how_likely_their_evidence_is() -> None:
    one = CheckResult("link_misfit", "", "bend", 3.0, 0.1, 0.0123, False, "The link bends", "Look there.")
    assert one.finding(0.04).evidence == "The link bends (p = 0.012, adjusted for all checks 0.04)."
    tiny = CheckResult("link_misfit", "", "bend", 9.0, 0.1, 1e-30, False, "The link bends", "Look there.")
    assert "(p < 0.0001, adjusted for all checks 0.005)" in tiny.finding(0.005).evidence
    threshold = CheckResult("integration_error", "", "move", 1.0, np.nan, np.nan, True, "Too coarse", "More nodes.")
    assert threshold.finding(np.nan).evidence == "Too coarse."
    unmade = CheckResult.not_made("prior_data_conflict", "", "sensitivity", "no priors.")
    table = as_table([one, unmade], np.array([0.04, np.nan]), np.array([True, False]))
    assert table["not_made"].tolist() == ["", "no priors."]
    assert table["found"].tolist() == [True, False]
