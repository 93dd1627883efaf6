"""The list of a model's variables, entry by entry."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.variables import Variable, model_variables

# The rows are too few to estimate the models from.
pytestmark = pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")


def rows(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "hits": rng.integers(0, 4, n),
            "size": rng.integers(4, 9, n),
            "x": rng.normal(1990, 10, n),
            "w": rng.normal(size=n),
            "f": rng.permutation(np.repeat(["a", "b", "c"], n // 3)),
            "g": rng.permutation(np.arange(n) % 6),
            "h": rng.permutation(np.arange(n) % 4),
        }
    )


def described(one: Variable) -> tuple[str, str, tuple[str, ...], tuple[int, ...]]:
    return one.name, one.family, one.dims, one.shape


DECOV = pr.Decov(1.5, 2, 0.7)
CASES = {
    "y ~ x + f": (
        {},
        [
            ("slopes_scaled", "Normal", ("slope",), (3,)),
            ("intercept_at_means", "Normal", (), ()),
            ("beta", "Deterministic", ("fixed_effect",), (4,)),
            ("y", "Bernoulli", ("obs",), (60,)),
        ],
    ),
    "hits ~ 0 + (1 | g)": (
        {"sd": pr.HalfCauchy(2)},
        [
            ("sd_g", "HalfCauchy", ("g_effect",), (1,)),
            ("u_g", "Normal", ("g", "g_effect"), (6, 1)),
            ("b_g", "Deterministic", ("g", "g_effect"), (6, 1)),
            ("hits", "Binomial", ("obs",), (60,)),
        ],
    ),
    "y ~ x + w + (1 + w || g)": (
        {"x": pr.Cauchy(0, 1), "sd_g[w]": pr.HalfNormal(2)},
        [
            ("slopes_scaled[x]", "Cauchy", (), ()),
            ("slopes_scaled[w]", "Normal", (), ()),
            ("slopes_scaled", "Deterministic", ("slope",), (2,)),
            ("intercept_at_means", "Normal", (), ()),
            ("beta", "Deterministic", ("fixed_effect",), (3,)),
            ("sd_g[Intercept]", "Exponential", (), ()),
            ("sd_g[w]", "HalfNormal", (), ()),
            ("sd_g", "Deterministic", ("g_effect",), (2,)),
            ("u_g", "Normal", ("g", "g_effect"), (6, 2)),
            ("b_g", "Deterministic", ("g", "g_effect"), (6, 2)),
            ("y", "Bernoulli", ("obs",), (60,)),
        ],
    ),
    "y ~ 1 + (1 + w | g) + (0 + x | g) + (1 + w | h)": (
        {"sd_g": DECOV},
        [
            ("intercept_at_means", "Normal", (), ()),
            ("beta", "Deterministic", ("fixed_effect",), (1,)),
            ("tau_g_0", "Gamma", (), ()),
            ("shares_g_0", "Dirichlet", (), (2,)),
            ("tau_g_1", "Gamma", (), ()),
            ("sd_g", "Deterministic", ("g_effect",), (3,)),
            ("u_g", "Normal", ("g", "g_effect"), (6, 3)),
            ("chol_cor_g_0", "LKJCorr", ("g_effect_0", "g_effect_0_bis"), (2, 2)),
            ("cor_g", "Deterministic", ("g_effect", "g_effect_bis"), (3, 3)),
            ("b_g", "Deterministic", ("g", "g_effect"), (6, 3)),
            ("sd_h", "Exponential", ("h_effect",), (2,)),
            ("u_h", "Normal", ("h", "h_effect"), (4, 2)),
            ("chol_cor_h", "LKJCorr", ("h_effect", "h_effect_bis"), (2, 2)),
            ("cor_h", "Deterministic", ("h_effect", "h_effect_bis"), (2, 2)),
            ("b_h", "Deterministic", ("h", "h_effect"), (4, 2)),
            ("y", "Bernoulli", ("obs",), (60,)),
        ],
    ),
}


@pytest.mark.parametrize("formula", CASES)
def test_names_families_dimensions_and_shapes(formula: str) -> None:
    priors, expected = CASES[formula]
    model = hl.Model(formula.replace("hits", "p(hits, size)"), rows(), priors=priors)
    assert [described(one) for one in model_variables(model)] == expected


def test_arguments_are_those_of_the_priors_of_scaled_columns() -> None:
    data = rows()
    model = hl.Model("y ~ x + w + (1 + w | g)", data, priors={"x": pr.Normal(0.3, 2), "cor": pr.LKJ(3)})
    variables = model_variables(model)
    assert variables.fixed is not None
    assert variables.fixed.slopes is not None
    arguments = variables.fixed.slopes.arguments
    np.testing.assert_allclose(arguments["mu"], [0.3 * data["x"].std(), 0])
    np.testing.assert_allclose(arguments["sigma"], [2 * data["x"].std(), 2.5])
    assert [(one.members, one.prior) for one in variables.fixed.priors] == [
        ((k,), model.priors.fixed[label]) for k, label in enumerate(model.design.fixed_effects)
    ]
    (of_group,) = variables.groups
    np.testing.assert_allclose(of_group.sd.arguments["lam"], [1, data["w"].std()])
    (cholesky,) = of_group.cholesky
    assert cholesky is not None
    assert dict(cholesky.arguments) == {"n": 2, "eta": 3.0}


def test_joint_and_single_priors_of_one_factor() -> None:
    model = hl.Model("y ~ x + (1 + w | g) + (0 + x | g)", rows(), priors={"sd_g": DECOV, "sd_g[x]": pr.HalfNormal(3)})
    (of_group,) = model_variables(model).groups
    assert [(one.members, one.prior) for one in of_group.sd.priors] == [((0, 1), DECOV), ((2,), pr.HalfNormal(3))]
    assert [one.name for one in of_group.sd.parts] == ["tau_g_0", "shares_g_0", "sd_g[x]"]
    assert [one is None for one in of_group.cholesky] == [False, True]


def test_labels_of_all_dimensions() -> None:
    model = hl.Model("y ~ x + (1 + w | g) + (0 + f | g)", rows())
    coords = model_variables(model).coords
    assert coords["slope"] == ["x"]
    assert coords["g_effect_0"] == coords["g_effect_0_bis"] == ["Intercept", "w"]
    assert coords["g_effect_1"] == coords["g_effect_1_bis"] == ["f[a]", "f[b]", "f[c]"]
    assert "g_effect_0" not in model.coords
