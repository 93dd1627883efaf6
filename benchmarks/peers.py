"""Fits in this process: hierlogit and other Python packages. Each maker returns a function that fits the model.

The timed functions compute the standard errors and do not read the data. They differ in what else they include, which
`INCLUDED` lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from cases import Case
from measure import Fit, Outcome

#: What a timed call includes in addition to the fit and the standard errors.
INCLUDED = {
    "hierlogit": "nothing: the model has been built before",
    "hierlogit_model": "the model from formula and data frame",
    "glmm": "the model from formula and data frame",
    "glmm_native": "the model from formula and converted columns: the compiled part of glmm's call",
    "gpboost": "the model from ready arrays; Cholesky factors, relative tolerance 1e-10; no correlation",
    "gpboost_default": "the model from ready arrays; GPBoost's default options; no correlation",
    "lme4": "the model from formula and data frame; glmer's default options",
    "glmmTMB": "the model from formula and data frame; default options",
}

#: Engines without correlated effects, which fit another model if the case has a random slope.
UNCORRELATED = ("gpboost", "gpboost_default")


def _hierlogit(case: Case, frame: pd.DataFrame) -> Fit:
    import hierlogit as hl

    model = hl.Model(case.formula, frame)
    return lambda: _hierlogit_outcome(model.fit("laplace"))


def _hierlogit_model(case: Case, frame: pd.DataFrame) -> Fit:
    import hierlogit as hl

    return lambda: _hierlogit_outcome(hl.Model(case.formula, frame).fit("laplace"))


def _hierlogit_outcome(fit: Any) -> Outcome:
    return Outcome(float(fit.estimate.log_likelihood), _floats(fit.estimate.standard_errors))


def _glmm(case: Case, frame: pd.DataFrame) -> Fit:
    import glmm

    def call() -> Outcome:
        fit = glmm.fit(frame, case.r_formula, "binomial")
        notes = () if fit.converged else ("not converged",)
        return Outcome(float(fit.loglik), _floats(fit.se), notes=notes)

    return call


def _glmm_native(case: Case, frame: pd.DataFrame) -> Fit:
    """Call only the compiled part of glmm, with the arguments that glmm passes to it."""
    import glmm

    native = glmm._native.fit
    given: list[tuple[Any, ...]] = []

    def keep(*arguments: Any) -> Any:
        given.append(arguments)
        return native(*arguments)

    glmm._native.fit = keep
    try:
        glmm.fit(frame, case.r_formula, "binomial")
    finally:
        glmm._native.fit = native

    def call() -> Outcome:
        raw = native(*given[0])
        return Outcome(float(raw["loglik"]), _floats(raw["se"]))

    return call


def _gpboost(case: Case, frame: pd.DataFrame, default: bool = False) -> Fit:
    import gpboost
    from formulae import design_matrices

    outcome = frame[case.outcome].to_numpy(float)
    fixed = np.asarray(design_matrices(f"{case.outcome} ~ {case.fixed}", frame).common)
    options: dict[str, Any] = {"group_data": frame[list(case.groups)].to_numpy(), "likelihood": "bernoulli_logit"}
    options["num_parallel_threads"] = 1
    if not default:
        options["matrix_inversion_method"] = "cholesky"
    if case.slope is not None:
        options["group_rand_coef_data"] = (frame[case.slope] == "Y").to_numpy(float)
        options["ind_effect_group_rand_coef"] = [1]
    how = {} if default else {"delta_rel_conv": 1e-10}

    def call() -> Outcome:
        model = gpboost.GPModel(**options)
        model.fit(y=outcome, X=fixed, params=how)
        coefficients = np.asarray(model.get_coef(std_err=True, format_pandas=False))
        errors = coefficients[1] if coefficients.ndim == 2 else ()
        return Outcome(-float(model.get_current_neg_log_likelihood()), _floats(errors))

    return call


def _gpboost_default(case: Case, frame: pd.DataFrame) -> Fit:
    return _gpboost(case, frame, default=True)


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


_MAKERS: dict[str, Callable[[Case, pd.DataFrame], Fit]] = {
    "hierlogit": _hierlogit,
    "hierlogit_model": _hierlogit_model,
    "glmm": _glmm,
    "glmm_native": _glmm_native,
    "gpboost": _gpboost,
    "gpboost_default": _gpboost_default,
}

PYTHON_ENGINES = tuple(_MAKERS)


def python_fit(engine: str, case: Case, frame: pd.DataFrame) -> Fit:
    """Return the function that fits `case` with `engine`; if making it fails, the function raises that error."""
    try:
        return _MAKERS[engine](case, frame)
    except Exception as error:  # reported with the results of the other engines
        failure = error

    def fail() -> Outcome:
        raise failure

    return fail
