"""Posterior means against rstanarm's, given the same priors: within four combined Monte-Carlo standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hierlogit as hl
from hierlogit import priors as pr

#: Model of the reference, and the table.
MODELS = {"contraception_slope": "contraception", "toenail_ri": "toenail", "verbagg_crossed": "verbagg"}


def _same_priors(reference: dict[str, Any], correlated: bool) -> dict[str, pr.Prior]:
    stated = reference["priors"]
    slopes = stated["slopes"]
    names = [reference["python_names"][name] for name in slopes["names"]]
    priors: dict[str, pr.Prior] = {
        name: pr.Normal(mean, scale)
        for name, mean, scale in zip(names, slopes["location"], slopes["scale"], strict=True)
    }
    priors["Intercept"] = pr.Normal(stated["intercept"]["location"][0], stated["intercept"]["scale"])
    covariance = stated["covariance"]
    priors["sd"] = pr.Decov(covariance["concentration"], covariance["shape"], covariance["scale"])
    if correlated:
        priors["cor"] = pr.LKJ(covariance["regularization"])
    return priors


def _our_name(name: str, design: Any) -> str:
    """``sd[district:urbanY]`` in rstanarm's words is ``sd_district[urban[Y]]`` here."""
    quantity, inside = name.removesuffix("]").split("[", 1)
    group, effects = inside.split(":", 1)
    spelled = {
        effect.replace("[", "").replace("]", ""): effect
        for effect in next(block.effects for block in design.groups if block.name == group)
    } | {"(Intercept)": "Intercept"}
    labels = ", ".join(spelled[effect] for effect in effects.split(","))
    return f"{'cor' if quantity == 'corr' else quantity}_{group}[{labels}]"


@pytest.mark.parametrize("name", MODELS)
def test_posterior_means_agree(name: str, reference: dict[str, Any]) -> None:
    expected = reference["bayes"][name]
    formula = expected["python_formula"]
    model = hl.Model(formula, hl.datasets.load(MODELS[name]))
    model = model.with_priors(_same_priors(expected, any(group.correlated for group in model.design.groups)))
    fit = model.fit(hl.NUTS(draws=500, seed=1, progress=False))
    assert fit.diagnostics.status == "converged", fit.diagnostics
    found = hl.summary(fit)

    theirs = {ours: expected["posterior"][r] for r, ours in expected["python_names"].items()}
    theirs |= {_our_name(r, model.design): values for r, values in expected["derived"].items()}
    assert set(theirs) == set(found.index)
    for label, values in theirs.items():
        error = np.hypot(values["sd"] / np.sqrt(values["ess_bulk"]), found.loc[label, "mcse_mean"])
        assert abs(found.loc[label, "mean"] - values["mean"]) < 4 * error, label
        # the spread as well: 10 % is several times the Monte-Carlo error of an sd here
        assert found.loc[label, "sd"] == pytest.approx(values["sd"], rel=0.1), label
