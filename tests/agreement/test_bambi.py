"""Models that Bambi can express have the same posterior there."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import hierlogit as hl
from hierlogit.errors import ModelError

MODELS = {
    "cbpp": "p(successes, size) ~ period + (1 | herd)",
    "bacteria": "y ~ trt + week + (1 + week || ID)",
    "toenail": "outcome ~ C(visit, Helmert) + C(treatment, [[-1/2], [1/2]]) * bs(time, knots=[2, 5]) + (1 | patientID)",
    "contraception": "use ~ scale(age) + urban + livch + (1 | district) + (0 + urban || district:livch)",
}


@pytest.mark.slow
@pytest.mark.parametrize("table", ["cbpp", "bacteria"])
def test_posterior_means_agree_with_bambi(table: str) -> None:
    import arviz_stats

    model = hl.Model(MODELS[table], hl.datasets.load(table))
    ours = hl.summary(model.fit(hl.NUTS(draws=4000, seed=2, target_accept=0.95, progress=False)))
    other = model.to_bambi()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Bambi and PyMC warn of is theirs
        tree = other.fit(draws=2000, chains=4, random_seed=3, target_accept=0.95, progressbar=False)
    theirs = arviz_stats.summary(tree, round_to="none")
    names = {"Intercept": "Intercept"} | {label: label for label in ours.index[ours["component"] == "fixed"]}
    for group in model.design.groups:
        for effect in group.effects:
            names[f"sd_{group.name}[{effect}]"] = f"{'1' if effect == 'Intercept' else effect}|{group.name}_sigma"
    for label, name in names.items():
        error = np.hypot(theirs.loc[name, "mcse_mean"], ours.loc[label, "mcse_mean"])
        assert abs(ours.loc[label, "mean"] - theirs.loc[name, "mean"]) < 4 * error, label


@pytest.mark.parametrize("table", MODELS)
def test_bambi_has_the_same_parameters_and_priors(table: str) -> None:
    model = hl.Model(MODELS[table], hl.datasets.load(table))
    other = model.to_bambi()
    other.build()
    sds = {
        f"{'1' if e == 'Intercept' else t}|{g.name}_sigma"
        for g in model.design.groups
        for e, t in zip(g.effects, g.terms, strict=True)
    }
    free = {variable.name for variable in other.backend.model.free_RVs}
    assert sds <= free
    assert set(model.design.fixed_terms) <= free


def test_what_bambi_lacks_is_refused_with_the_reason() -> None:
    model = hl.Model("use ~ age + (1 + urban | district)", hl.datasets.load("contraception"))
    with pytest.raises(ModelError, match="no correlated random effects.*district.*urban"):
        model.to_bambi()
