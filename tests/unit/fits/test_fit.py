"""Fits and models: attributes that other packages have are answered with the right call."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

import hierlogit as hl
from hierlogit.fits.fit import ELSEWHERE


@pytest.fixture(scope="module")
def fit() -> hl.results.Fit:
    return hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")).fit(hl.Laplace(seed=1))


def test_attributes_of_other_packages_are_answered_with_a_call(fit: hl.results.Fit) -> None:
    for name, call in ELSEWHERE.items():
        assert not hasattr(fit, name)
        with pytest.raises(AttributeError, match=re.escape(f"a Fit has no attribute '{name}'. Use {call}.")):
            getattr(fit, name)


def test_the_calls_exist(fit: hl.results.Fit) -> None:
    for call in ELSEWHERE.values():
        for path in re.findall(r"hl(?:\.\w+)+", call):
            found: object = hl
            for part in path.split(".")[1:]:
                found = getattr(found, part)
        for path in re.findall(r"\bfit((?:\.\w+)+)", call):
            found = fit
            for part in path.split(".")[1:]:
                found = getattr(found, part)


def test_other_unknown_attributes_get_the_error_of_python(fit: hl.results.Fit) -> None:
    with pytest.raises(AttributeError, match="'Fit' object has no attribute 'posteror'"):
        _ = fit.posteror  # type: ignore[attr-defined]
    assert [name for name in dir(fit) if not name.startswith("_")] == sorted(
        ["data", "diagnostics", "estimate", "model", "posterior", "save", "with_priors"]
    )


def test_an_error_while_an_attribute_is_computed_is_not_hidden(fit: hl.results.Fit) -> None:
    def broken() -> None:
        raise AttributeError("the draws cannot be made")

    with pytest.raises(AttributeError, match="the draws cannot be made"):
        _ = hl.results.Fit(fit.model, broken, fit.diagnostics).data  # type: ignore[arg-type]


def test_models_say_that_they_are_fitted_first(fit: hl.results.Fit) -> None:
    message = "a Model has no attribute 'summary'. Fit it first, fit = model.fit(), and use hl.summary(fit)."
    with pytest.raises(AttributeError, match=re.escape(message)):
        _ = fit.model.summary  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="'Model' object has no attribute 'sumary'"):
        _ = fit.model.sumary  # type: ignore[attr-defined]
    for again in (copy.copy(fit.model), copy.deepcopy(fit.model), pickle.loads(pickle.dumps(fit.model))):
        assert again.design.n_rows == fit.model.design.n_rows


def test_fits_are_copied_and_pickled(fit: hl.results.Fit) -> None:
    for again in (copy.copy(fit), copy.deepcopy(fit), pickle.loads(pickle.dumps(fit))):
        assert (again.estimate.beta == fit.estimate.beta).all()
