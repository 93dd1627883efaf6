"""The density with one factor's effects integrated out, against brute force, and the exact draws of these effects."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats
from scipy.special import log_expit

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.integrated import arrays as arrays_module
from hierlogit.density.integrated import c_callbacks
from hierlogit.density.integrated.accuracy import TOLERANCE, fewest_nodes
from hierlogit.density.integrated.arrays import IntegratedArrays, integrated_arrays
from hierlogit.density.integrated.c_callbacks import integration_error, write_draw
from hierlogit.density.integrated.effect_draws import draw_effects, draw_size
from hierlogit.density.integrated.log_density import evaluate
from hierlogit.density.integrated.marginal_scale import forward, forward_size, of_parameters
from hierlogit.density.joint.c_callbacks import DIVERGED, WRONG_SIZE
from hierlogit.density.joint.log_density import shared_parts
from hierlogit.density.joint.model_arrays import joint_arrays
from hierlogit.engines.nuts.adaptation_start import start_of
from hierlogit.engines.nuts.nutpie_model import IntegratedModel
from hierlogit.fits.posterior import posterior_layout
from hierlogit.model import Model

FloatArray = npt.NDArray[np.float64]

pytestmark = [
    pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning"),  # few rows on purpose
    pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning"),
]

MODELS: dict[str, tuple[str, dict[str, pr.Prior]]] = {
    "single": ("y ~ x + (1 | g)", {}),
    "no fixed effects": ("y ~ 0 + (1 | g)", {"sd": pr.Gamma(2, 1)}),
    "slope": ("y ~ x + offset(w) + (0 + w | g)", {"x": pr.StudentT(3, 0, 1), "sd": pr.HalfNormal(2)}),
    "few trials": ("p(hits, few) ~ x + (1 | g)", {}),
    "many trials": ("p(lots, many) ~ x + (1 | g)", {"sd": pr.LogNormal(0, 1)}),
    "crossed": ("y ~ x + (1 | g) + (1 + x | h)", {"sd_h": pr.Decov(2, 1.5, 1)}),
    "nested": ("y ~ w + (1 | h/g)", {"w": pr.Cauchy(0, 1)}),
    "three": ("p(hits, few) ~ x + (1 | g) + (1 | h) + (0 + w | k)", {}),
}


def rows(n: int = 60, seed: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    few, many = rng.integers(1, 6, n), rng.integers(1, 60, n)
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "few": few,
            "hits": rng.binomial(few, 0.4),
            "many": many,
            "lots": rng.binomial(many, 0.7),
            "x": rng.normal(size=n),
            "w": rng.normal(size=n),
            # Labels in another order than that of their first rows, and one to five rows for each.
            "g": rng.permutation(np.repeat([f"{k:03}" for k in rng.permutation(n)], rng.integers(1, 6, n)))[:n],
            "h": rng.choice([7, 3, 11, 5], n),
            "k": rng.choice(list("abcdef"), n),
        }
    )


def model_of(name: str) -> Model:
    formula, priors = MODELS[name]
    return hl.Model(formula, rows(), priors=priors)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return model_of(request.param)


def integrated(model: Model, nodes: int = 61) -> IntegratedArrays:
    return integrated_arrays(joint_arrays(model, start_of(model, "auto", integrated=True)), nodes)


def native(model: Model, arrays: IntegratedArrays) -> IntegratedModel:
    return IntegratedModel(model, arrays.joint, False, arrays, arrays.with_nodes(2 * arrays.nodes))


def value_at(arrays: IntegratedArrays, x: FloatArray) -> float:
    return float(evaluate(arrays.joint.arrays, arrays.blocks, x, np.empty_like(x)))


def positions(n: int, count: int = 4, spread: float = 1.0) -> Iterator[FloatArray]:
    rng = np.random.default_rng(n)
    return iter(spread * rng.standard_normal((count, n)))


# ---- against brute force -----------------------------------------------------------------------------------------


def kept(model: Model, arrays: IntegratedArrays, x: FloatArray) -> dict[str, FloatArray]:
    """What is kept of a position, by name."""
    layout = posterior_layout(model)
    sizes = [math.prod(one.shape) for one in layout.values()]
    out = np.empty(sum(sizes))
    write_draw(arrays.joint.arrays, native(model, arrays).outputs, arrays.blocks, x, out)
    parts = np.split(out, np.cumsum(sizes)[:-1])
    return {name: part.reshape(one.shape) for part, (name, one) in zip(parts, layout.items(), strict=True)}


def first_group(model: Model) -> int:
    return model.arrangement.factors[0]


def coordinates(model: Model, arrays: IntegratedArrays, x: FloatArray) -> FloatArray:
    """Fixed effects, log sds, correlation variables and other factors' effects, as one vector of the length of x."""
    values = kept(model, arrays, x)
    parts = [values["beta"]] if "beta" in values else []
    for k, group in enumerate(model.design.groups):
        name = group.result_name
        parts += [np.log(values[f"sd_{name}"])]
        parts += [np.arctanh(values[f"cor_{name}"][i, j : j + 1]) for i, j in group.correlated_pairs]
        if k != first_group(model):
            parts.append(values[f"b_{name}"].ravel())
    return np.concatenate(parts)


def log_posterior(model: Model, values: dict[str, FloatArray]) -> float:
    """Log density of the coordinates, up to a constant; the first factor's effects are integrated out on a grid."""
    design, priors = model.design, model.priors
    eta, total = design.offset.astype(float), 0.0
    if design.fixed_effects:
        beta = values["beta"]
        eta = eta + design.X @ beta
        centred = beta.copy()
        if design.has_intercept:
            centred[list(design.fixed_effects).index("Intercept")] = design.X.mean(axis=0) @ beta
        total += sum(
            float(priors.fixed[label].logpdf(b)) for label, b in zip(design.fixed_effects, centred, strict=True)
        )
    for k, group in enumerate(design.groups):
        name, sd = group.result_name, values[f"sd_{group.result_name}"]
        joined = isinstance(priors.sd[group.name][0], pr.Decov)
        total += (
            float(priors.sd[group.name][0].logpdf(sd[None])[0] if joined else 0.0)
            if joined
            else sum(float(prior.logpdf(s)) for prior, s in zip(priors.sd[group.name], sd, strict=True))
        )
        total += float(np.log(sd).sum())
        covariance = np.outer(sd, sd)
        for i, j in group.correlated_pairs:  # of two effects, so that LKJ is a power of 1 - r^2
            r = values[f"cor_{name}"][i, j]
            total += priors.cor[group.name].eta * math.log1p(-(r**2))
            covariance *= values[f"cor_{name}"]
        if k != first_group(model):
            b = values[f"b_{name}"]
            covariance = covariance if group.correlated_pairs else np.diag(sd**2)
            total += float(stats.multivariate_normal(np.zeros(len(sd)), covariance).logpdf(b).sum())
            eta = eta + (group.Z * b[group.index]).sum(axis=1)
    group = design.groups[first_group(model)]
    u = np.linspace(-12, 12, 4001)
    logits = eta[:, None] + group.Z[:, :1] * values[f"sd_{group.result_name}"][0] * u
    y, m = design.outcome.y[:, None], design.outcome.trials[:, None]
    of_rows = y * log_expit(logits) + (m - y) * log_expit(-logits)
    for level in range(len(group.levels)):
        total += float(np.logaddexp.reduce(of_rows[group.index == level].sum(axis=0) - u**2 / 2))
    return total


def test_density_is_that_of_brute_force(model: Model) -> None:
    arrays = integrated(model)
    differences = []
    for x in positions(arrays.n_dim, 3):
        step = 1e-5
        columns = [
            (coordinates(model, arrays, x + step * e) - coordinates(model, arrays, x - step * e)) / (2 * step)
            for e in np.eye(len(x))
        ]
        _, log_jacobian = np.linalg.slogdet(np.array(columns))
        differences.append(value_at(arrays, x) - log_posterior(model, kept(model, arrays, x)) - log_jacobian)
    assert np.ptp(differences) < 1e-6


def test_gradient_is_that_of_finite_differences(model: Model) -> None:
    arrays = integrated(model)
    for x in positions(arrays.n_dim):
        gradient = np.empty_like(x)
        evaluate(arrays.joint.arrays, arrays.blocks, x, gradient)
        step = 1e-5
        slopes = [
            (value_at(arrays, x + step * e) - value_at(arrays, x - step * e)) / (2 * step) for e in np.eye(len(x))
        ]
        np.testing.assert_allclose(gradient, slopes, atol=1e-6, rtol=1e-6)


def test_density_does_not_depend_on_where_nodes_are_or_how_rows_are_cut(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint = joint_arrays(model, start_of(model, "auto", integrated=True))
    expected = integrated_arrays(joint, 128)
    moved = joint.arrays._replace(score=joint.arrays.score.copy(), information=joint.arrays.information.copy())
    levels = int(joint.arrays.levels[0])
    moved.information[:levels] *= 0.7
    moved.score[:levels] += 0.2
    monkeypatch.setattr(arrays_module, "BLOCK", 700)
    monkeypatch.setattr(arrays_module, "PADDING", 0.7)
    other = integrated_arrays(type(joint)(moved, joint.orders, joint.starts, joint.effects_at), 128)
    assert len(other.blocks.kind) > len(expected.blocks.kind)
    for x in positions(expected.n_dim):
        assert value_at(other, x) == pytest.approx(value_at(expected, x), abs=1e-7)


def test_levels_with_more_rows_than_can_be_multiplied() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"y": rng.integers(0, 2, 2000), "x": rng.normal(size=2000), "g": np.arange(2000) % 2})
    model = hl.Model("y ~ x + (1 | g)", data)
    arrays = integrated(model, 21)
    here, there = np.array([0.0, 0.0, 0.7]), np.array([0.5, -0.5, 1.0])
    values, other = kept(model, arrays, here), kept(model, arrays, there)
    found = value_at(arrays, there) - value_at(arrays, here)
    step = 1e-5

    def log_jacobian(at: FloatArray) -> float:
        columns = [
            coordinates(model, arrays, at + step * e) - coordinates(model, arrays, at - step * e) for e in np.eye(3)
        ]
        return float(np.linalg.slogdet(np.array(columns))[1])

    expected = log_posterior(model, other) - log_posterior(model, values) + log_jacobian(there) - log_jacobian(here)
    assert found == pytest.approx(expected, abs=1e-4)


# ---- number of nodes ---------------------------------------------------------------------------------------------


def test_fewest_nodes_are_accurate_and_fewer_are_not() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"g": np.repeat(np.arange(200), 2), "x": rng.normal(size=400)})
    data["y"] = rng.binomial(1, 1 / (1 + np.exp(-3 * rng.normal(size=200)[data["g"]])))
    joint = joint_arrays(model := hl.Model("y ~ x + (1 | g)", data), start_of(model, "auto", integrated=True))
    chosen, finer = fewest_nodes(joint)
    assert 5 < chosen.nodes < finer.nodes / 1.5
    at = list(positions(chosen.n_dim, 200))
    assert np.std([integration_error(chosen, finer, x) for x in at]) < 3 * TOLERANCE
    assert np.std([integration_error(chosen.with_nodes(5), finer, x) for x in at]) > 3 * TOLERANCE


def test_nodes_suffice_for_a_wide_posterior_of_the_sd() -> None:
    # Single rows tell nothing of the sd, whose posterior is the prior: far wider than a normal one about its mode.
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.arange(200), "y": rng.binomial(1, 0.4, 200)})
    joint = joint_arrays(model := hl.Model("y ~ 1 + (1 | g)", data), start_of(model, "auto", integrated=True))
    chosen, finer = fewest_nodes(joint)
    far = np.zeros(chosen.n_dim)
    far[len(joint.arrays.gamma0)] = 5.0
    assert abs(integration_error(chosen, finer, far)) < 0.1
    assert abs(integration_error(chosen.with_nodes(12), finer, far)) > 0.3


# ---- draws of the effects ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["single", "many trials", "crossed", "slope"])
def test_draws_of_effects_have_their_conditional_distribution(name: str) -> None:
    model = model_of(name)
    arrays = integrated(model)
    joint, blocks = arrays.joint.arrays, arrays.blocks
    x = next(positions(arrays.n_dim, 1))
    u, b = np.zeros(int(joint.variable_at[-1])), np.zeros(int(joint.variable_at[-1]))
    scratch, of_draws = np.zeros(forward_size(joint)), np.zeros(draw_size(blocks))
    forward(joint, blocks, x, u, b, scratch)
    gamma, _, cholesky, _ = shared_parts(joint, of_parameters(joint, scratch))
    group = model.design.groups[first_group(model)]
    order = arrays.joint.orders[first_group(model)]
    drawn = []
    for key in range(2000):
        draw_effects(joint, blocks, gamma, cholesky[0], np.uint64(key), of_draws, u, b)
        drawn.append(u[order])
    assert not np.any(np.diff(np.array(drawn), axis=0) == 0)

    values = kept(model, arrays, x)
    design, sd = model.design, cholesky[0]  # with its sign, as the draws have theirs
    eta = design.offset + design.X @ values["beta"]
    for k, other in enumerate(design.groups):
        if k != first_group(model):
            eta = eta + (other.Z * values[f"b_{other.result_name}"][other.index]).sum(axis=1)
    grid = np.linspace(-9, 9, 6001)
    logits = eta[:, None] + group.Z[:, :1] * sd * grid
    y, m = design.outcome.y[:, None], design.outcome.trials[:, None]
    of_rows = y * log_expit(logits) + (m - y) * log_expit(-logits)
    p_values = []
    for level in range(len(group.levels)):
        log_density = of_rows[group.index == level].sum(axis=0) - grid**2 / 2
        cumulative = np.cumsum(np.exp(log_density - log_density.max()))
        p_values.append(
            stats.kstest(np.interp(np.array(drawn)[:, level], grid, cumulative / cumulative[-1]), "uniform").pvalue
        )
    assert min(p_values) > 1e-3 / len(p_values)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3  # and of different levels they are independent


def test_effects_of_levels_are_those_of_the_users_labels() -> None:
    # One cluster with only events and one without any, in an order that sorting would change, of different sizes.
    data = pd.DataFrame({"g": np.repeat(["z", "a", "m", "c"], [30, 10, 20, 5]), "x": 0.0})
    data["y"] = (data["g"].isin(["z", "m"])).astype(int)
    model = hl.Model("y ~ 1 + (1 | g)", data)
    arrays = integrated(model, 21)
    effects = kept(model, arrays, np.ones(arrays.n_dim))["b_g"][:, 0]
    by_label = dict(zip(model.design.groups[0].levels, effects, strict=True))
    assert min(by_label["z"], by_label["m"]) > 0 > max(by_label["a"], by_label["c"])


# ---- C functions -------------------------------------------------------------------------------------------------


def test_c_functions_give_what_python_gets(model: Model) -> None:
    arrays = integrated(model, 9)
    of_model = native(model, arrays)
    _, table, _, same = of_model.c_functions()
    density, write = c_callbacks.log_density_callback, c_callbacks.expand_callback
    assert table is same
    address = table.ctypes.data
    for x in positions(arrays.n_dim, 40):
        gradient, found, value = np.empty_like(x), np.empty_like(x), np.empty(1)
        expected = of_model.log_density(x, gradient)
        pointers = [
            one.ctypes.data_as(kind) for one, kind in zip((x, found, value), density.ctypes.argtypes[1:4], strict=True)
        ]
        assert density.ctypes(len(x), *pointers, address) == 0
        assert value[0] == pytest.approx(expected, rel=1e-13)
        np.testing.assert_allclose(found, gradient, rtol=1e-10, atol=1e-12)
        out, other = np.empty(of_model.n_out), np.empty(of_model.n_out)
        of_model.write(x, out)
        pointers = [one.ctypes.data_as(kind) for one, kind in zip((x, other), write.ctypes.argtypes[2:4], strict=True)]
        assert write.ctypes(len(x), len(other), *pointers, address) == 0
        np.testing.assert_allclose(other, out, rtol=1e-8, atol=1e-8)
    assert (
        density.ctypes(
            len(x) + 1,
            *[
                one.ctypes.data_as(kind)
                for one, kind in zip((x, found, value), density.ctypes.argtypes[1:4], strict=True)
            ],
            address,
        )
        == WRONG_SIZE
    )


def test_positions_where_the_density_is_no_number_are_turned_back(model: Model) -> None:
    arrays = integrated(model, 9)
    of_model = native(model, arrays)
    density, (_, table, *_) = c_callbacks.log_density_callback, of_model.c_functions()
    for number in (np.nan, np.inf, -np.inf, 1e300):
        for place in range(arrays.n_dim):
            x = np.full(arrays.n_dim, 0.1)
            x[place] = number
            gradient, value = np.empty_like(x), np.empty(1)
            pointers = [
                one.ctypes.data_as(kind)
                for one, kind in zip((x, gradient, value), density.ctypes.argtypes[1:4], strict=True)
            ]
            code = density.ctypes(len(x), *pointers, table.ctypes.data)
            assert code == (0 if np.isfinite(value[0]) and np.isfinite(gradient).all() else DIVERGED)
            of_model.write(x, np.empty(of_model.n_out))  # comes to an end


def test_rules_differ_in_their_nodes_alone() -> None:
    arrays = integrated(model_of("single"), 9)
    table = c_callbacks.table_of(arrays, arrays.with_nodes(18), native(model_of("single"), arrays).outputs)
    half = len(table) // 2
    assert table[c_callbacks.FINER] == table.ctypes.data + 8 * half
    differing = np.flatnonzero(table[:half] != table[half:])
    nodes = 2 * c_callbacks.BLOCKS
    assert set(differing) <= {*range(nodes, nodes + 4), c_callbacks.FINER}
