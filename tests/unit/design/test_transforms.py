"""The within/between split, and the names a formula can use."""

import numpy as np
import pytest

from hierlogit.design.transforms import Between, Within, formula_functions, formula_namespace
from hierlogit.errors import DesignError

X = np.array([1.0, 3.0, 10.0, 20.0, 5.0])
G = np.array(["a", "a", "b", "b", "c"])


def test_between_is_the_clusters_mean_and_within_the_rest() -> None:
    np.testing.assert_allclose(Between()(X, G), [2, 2, 15, 15, 5])
    np.testing.assert_allclose(Within()(X, G), [-1, 1, -5, 5, 0])


def test_known_clusters_keep_their_training_mean_and_new_ones_use_their_own_rows() -> None:
    between, within = Between(), Within()
    between(X, G)
    within(X, G)
    x, g = [0.0, 100.0, 2.0, 4.0], ["a", "b", "new", "new"]
    np.testing.assert_allclose(between(x, g), [2, 15, 3, 3])
    np.testing.assert_allclose(within(x, g), [-2, 85, -1, 1])


def test_new_rows_teach_nothing() -> None:
    between = Between()
    between(X, G)
    between([100.0], ["a"])
    between([100.0], ["new"])
    np.testing.assert_allclose(between([0.0, 7.0], ["a", "new"]), [2, 7])


def test_each_call_in_a_formula_learns_for_itself() -> None:
    assert Between.__stateful_transform__
    assert Within.__stateful_transform__


def test_a_users_functions_are_added_and_may_replace_mathematics() -> None:
    def double(x: float) -> float:
        return 2 * x

    names = formula_namespace({"log": double, "double": double, "limit": 3})
    assert names["log"] is names["double"] is double
    assert "double" in formula_functions({"double": double, "limit": 3})
    assert "limit" not in formula_functions({"limit": 3})
    assert formula_namespace()["log"] is np.log


@pytest.mark.parametrize("name", ["scale", "C", "I", "p", "B", "Sum", "offset"])
def test_names_that_formulae_looks_up_first_are_refused(name: str) -> None:
    with pytest.raises(DesignError, match=f"namespace holds '{name}'.*another name"):
        formula_namespace({name: np.log})
