"""What holds for every model: the joint density is the model's, whatever the geometry, and its gradient is its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hierlogit import priors as pr
from hierlogit.binomial import log_likelihood
from hierlogit.density.joint.coupling import Coupling
from hierlogit.density.joint.geometry import Geometry, centred_by_information, non_centred
from hierlogit.density.joint.log_density import evaluate
from hierlogit.density.joint.model_arrays import JointArrays, joint_arrays
from hierlogit.density.joint.scale_variables import scales_forward, set_signs
from hierlogit.density.kernels.scale_priors import cholesky_forward, scale_priors
from hierlogit.density.log_prior import point_log_prior
from hierlogit.density.marginal.laplace import LaplaceLikelihood
from hierlogit.design.design import Design
from hierlogit.engines.maximum.objective import Objective
from hierlogit.engines.maximum.starting_values import starting_point
from hierlogit.model import Model

from .small_tables import EXPECTED_WARNINGS

pytestmark = EXPECTED_WARNINGS

NONE = ""
ONE_FACTOR = ["(1 | g)", "(1 + x | g)", "(1 + x || g)", "(1 + x + z | g)", "(1 | g) + (0 + x + z | g)"]
SEVERAL = [
    "(1 | g/h)",
    "(1 + x | g/h)",
    "(1 | g) + (1 | h)",
    "(1 + x | g) + (0 + x + z | h) + (1 | h)",
    "(1 + z || g) + (1 + x + z | h)",
    "(1 + x | g) + (1 | h) + (0 + z | k)",
]
STRUCTURES = [NONE, *ONE_FACTOR, *SEVERAL]
#: How many times as many examples `--hypothesis-profile thorough` draws.
TIMES = 1 if settings.default.max_examples <= 100 else 20
GEOMETRIES = ["non-centred", "by information", "arbitrary"]


def each(structures: list[str], examples: int) -> Callable[[Any], Any]:
    """Some examples of every structure: `structure` is the test's first argument, `data` draws the rest of a case."""
    return lambda test: pytest.mark.parametrize("structure", structures)(
        settings(max_examples=examples * TIMES)(given(data=st.data())(test))
    )


# ---- generated models --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A model, and the generator of whatever else a test needs."""

    how: str
    model: Model = field(repr=False)
    frame: pd.DataFrame = field(repr=False)
    priors: dict[str, pr.Prior] = field(repr=False)
    rng: np.random.Generator = field(repr=False)

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(self.how)  # what Hypothesis shows of a case that fails


def table(rng: np.random.Generator, n: int, sizes: tuple[int, int, int], trials: bool, coarse: bool) -> pd.DataFrame:
    x, z = rng.normal(size=(2, n))
    if coarse:  # so that rows are alike and are collapsed
        x, z = np.sign(x), (z > 0.5).astype(float)
        x[:3], z[:6] = [0.0, 1.0, -1.0], [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    m = rng.integers(1, 7, n) if trials else np.ones(n, dtype=int)
    y = rng.binomial(m, 1 / (1 + np.exp(-rng.normal(0, 1.5, n))))
    y[:2] = [0, 1]
    g, h, k = (rng.permutation(np.arange(n) % size) for size in sizes)
    offset = rng.normal(0, 0.7, n).round(0 if coarse else 3)
    return pd.DataFrame({"y": y, "m": m, "x": x, "z": z, "o": offset, "g": g, "h": h, "k": k})


def coefficient_prior(rng: np.random.Generator) -> pr.Prior:
    location, scale, nu = rng.normal(0, 0.5), rng.uniform(0.3, 3), rng.uniform(0.8, 6)
    families = (pr.Normal(location, scale), pr.StudentT(nu, location, scale), pr.Cauchy(location, scale))
    return rng.choice(np.array([*families, pr.Laplace(location, scale)], dtype=object))


def sd_prior(rng: np.random.Generator) -> pr.Prior:
    first, second = rng.uniform(0.4, 3, 2)
    families = (pr.HalfNormal(first), pr.HalfStudentT(first, second), pr.HalfCauchy(first), pr.Exponential(first))
    return rng.choice(np.array([*families, pr.Gamma(first, second), pr.LogNormal(first - 1, second)], dtype=object))


def some_priors(rng: np.random.Generator, design: Design) -> dict[str, pr.Prior]:
    """Of all families; a joint prior for all sds of a factor, or of those of its sets that have several effects."""
    found = {f"beta[{label}]": coefficient_prior(rng) for label in design.fixed_effects}
    for group in design.groups:
        joint = bool(rng.uniform() < 0.4)
        if joint:
            found[f"sd_{group.name}"] = pr.Decov(*rng.uniform(0.5, 2.5, 3))
        for members in group.sets:
            if not joint or (len(members) == 1 < len(group.effects) and rng.uniform() < 0.5):
                found |= {f"sd_{group.name}[{group.effects[i]}]": sd_prior(rng) for i in members}
        if group.correlated:
            found[f"cor_{group.name}"] = pr.LKJ(float(rng.uniform(0.4, 4)))
    return found


def case(formula: str, seed: int, *shape: Any) -> Case:
    """What the numbers make of it: `shape` are the arguments of `table`."""
    rng = np.random.default_rng(seed)
    frame = table(rng, *shape)
    model = Model(formula, frame)
    priors = some_priors(rng, model.design)
    how = f"case({formula!r}, {seed}, {', '.join(map(repr, shape))})"
    return Case(how, model.with_priors(priors), frame, priors, rng)


@st.composite
def cases(draw: st.DrawFn, structure: str, tiny: bool = False) -> Case:
    fixed = ["1", "x + z", "0 + x", "z + offset(o)", "x + offset(o)"] + ["0", "0 + offset(o)"] * bool(structure)
    sizes = (draw(st.integers(2, 4 if tiny else 9)), draw(st.integers(2, 3 if tiny else 7)), draw(st.integers(2, 4)))
    trials = draw(st.booleans())
    formula = f"{'prop(y, m)' if trials else 'y'} ~ {draw(st.sampled_from(fixed))}"
    return case(
        f"{formula} + {structure}" if structure else formula,
        draw(st.integers(0, 10_000)),
        draw(st.integers(12, 20) if tiny else st.integers(20, 60)),
        sizes,
        trials,
        draw(st.booleans()),
    )


# ---- geometries --------------------------------------------------------------------------------------------------


def converged(model: Model, gamma: np.ndarray, cholesky: np.ndarray) -> LaplaceLikelihood:
    """Laplace's method with modes to all digits, where one evaluation stops at 1e-9 or so: once more from close by."""
    likelihood = LaplaceLikelihood(model.arrangement)
    likelihood.evaluate(gamma, cholesky)
    likelihood.work.u[:] += 1e-8
    assert likelihood.evaluate(gamma, cholesky).converged
    return likelihood


def near_the_mode(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of the basis and flat Cholesky factors after two steps of EM."""
    objective = Objective(model, LaplaceLikelihood(model.arrangement), penalised=True)
    point, _ = starting_point(objective)
    return model.arrangement.triangular @ point.psi[: objective.p], objective.flat_cholesky(point.psi)


def by_information(model: Model) -> Geometry:
    gamma, cholesky = near_the_mode(model)
    return centred_by_information(model, converged(model, gamma, cholesky), gamma)


def arbitrary(model: Model, rng: np.random.Generator) -> Geometry:
    """Constants that mean nothing: the change of variables is to be exact whatever they are."""

    def numbers(like: np.ndarray, scale: float = 1.0) -> np.ndarray:
        return scale * rng.normal(size=like.shape)

    plain, information = non_centred(model), []
    for one in plain.information:
        half = numbers(one)
        information.append(np.einsum("abj,cbj->acj", half, half))
    return Geometry(
        gamma0=numbers(plain.gamma0, 0.3),
        gamma_scale=plain.gamma_scale + numbers(plain.gamma_scale, 0.2),
        centre=numbers(plain.centre, 0.3),
        width=np.exp(numbers(plain.width, 0.3)),
        growth=np.array([0.0, 0.1, 0.4])[rng.integers(3, size=plain.growth.shape)],
        attenuation=[one @ one.T for one in (numbers(like, 0.6) for like in plain.attenuation)],
        attenuation0=np.array([0.4, 1.3]),
        weighted_Z=numbers(plain.weighted_Z, 0.5),
        information=information,
        score=[numbers(one) for one in plain.score],
        cross_information=[numbers(one, 0.5) for one in plain.cross_information],
        coupling=arbitrary_coupling(plain.coupling, rng),
    )


def arbitrary_coupling(identity: Coupling, rng: np.random.Generator) -> Coupling:
    columns = identity.by_fixed.shape[1]
    count = min(2, columns)
    directions = np.linalg.qr(rng.normal(size=(columns, count)))[0]
    return Coupling(
        by_fixed=0.5 * rng.normal(size=identity.by_fixed.shape),
        start=columns * np.arange(count + 1),
        index=np.tile(np.arange(columns), count),
        entry=directions.T.ravel(),
        stretch=rng.uniform(-0.5, 2.0, size=count),
    )


def geometry_of(kind: str, example: Case) -> Geometry:
    if kind == "non-centred":
        return non_centred(example.model)
    return by_information(example.model) if kind == "by information" else arbitrary(example.model, example.rng)


# ---- densities ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evaluated:
    value: float
    gradient: np.ndarray
    u: np.ndarray
    b: np.ndarray


def at(joint: JointArrays, x: np.ndarray) -> Evaluated:
    effects = int(joint.arrays.variable_at[-1])
    # Not a number, where something is read or returned that was not written.
    gradient, u, b = np.full(len(x), np.nan), np.full(effects, np.nan), np.full(effects, np.nan)
    value = evaluate(joint.arrays, x, gradient, u, b)
    return Evaluated(value, gradient, u, b)


def arranged(model: Model, geometry: Geometry, batch: int) -> JointArrays:
    with patch("hierlogit.density.joint.model_arrays.BATCH", batch):
        return joint_arrays(model, geometry)


def few(joint: JointArrays) -> int:
    """How many entries of a position stand before the levels' effects."""
    return len(joint.arrays.gamma0) + len(joint.arrays.centre)


def position(joint: JointArrays, rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(size=joint.n_dim)
    x[: few(joint)] *= 0.6
    # Away from zero, where sds that have a sign vanish, and differences of their logarithms mean nothing.
    of_sd = x[len(joint.arrays.gamma0) :][: len(joint.arrays.growth)]
    of_sd += np.copysign(0.2, of_sd) * (joint.arrays.growth > 0)
    return x


def user_parameters(joint: JointArrays, x: np.ndarray) -> np.ndarray:
    """(beta, log sds, variables of correlations, u) at a position, for positive sds."""
    arrays, p = joint.arrays, len(joint.arrays.gamma0)
    beta = units_of_fixed_effects(joint, x) * (arrays.beta0 + arrays.beta_scale.reshape(p, p) @ x[:p])
    sign, scales, u, E = signs_at(joint, x), scales_at(joint, x), at(joint, x).u.copy(), len(arrays.growth)
    for t, (first, stop) in enumerate(pairwise(arrays.effect_at.tolist())):
        for e in range(first, stop):
            mates = first + arrays.set_first[e] + np.arange(arrays.cor_start[e + 1] - arrays.cor_start[e])
            scales[E + arrays.cor_start[e] : E + arrays.cor_start[e + 1]] *= sign[e] * sign[mates]
            start = arrays.variable_at[t] + (e - first) * arrays.levels[t]
            u[start : start + arrays.levels[t]] *= sign[e]
    return np.concatenate([beta, scales, u])


def signs_at(joint: JointArrays, x: np.ndarray) -> np.ndarray:
    """Signs of the sds at a position."""
    sign = np.ones(len(joint.arrays.growth))
    set_signs(joint.arrays, x[len(joint.arrays.gamma0) : few(joint)], sign)
    return sign


def scales_at(joint: JointArrays, x: np.ndarray) -> np.ndarray:
    """Log sds and variables of correlations at a position."""
    scales = np.empty(len(joint.arrays.centre))
    scales_forward(joint.arrays, x[len(joint.arrays.gamma0) : few(joint)], scales)
    return scales


def units_of_fixed_effects(joint: JointArrays, x: np.ndarray) -> float:
    """What the fixed effects are multiplied by, from the variance of the random part."""
    arrays, scales = joint.arrays, scales_at(joint, x)
    count = int((arrays.q**2).sum())
    sd, gradient = np.empty(len(arrays.sd_family)), np.empty(len(scales))
    unit, cholesky = np.zeros(count), np.zeros(count)
    scale_priors(arrays.sd_family, arrays.sd_arguments, arrays.set_size, scales, sd, gradient)
    sd *= signs_at(joint, x)
    own = (arrays.q, arrays.effect_at, arrays.set_first, arrays.cor_start, arrays.cor_power)
    cholesky_forward(*own, scales, sd, unit, cholesky, gradient)
    total, at_factor = 0.0, 0
    for q in arrays.q.tolist():
        L, M = (one[at_factor : at_factor + q * q].reshape(q, q) for one in (cholesky, arrays.attenuation))
        total += float(np.trace(L.T @ M @ L))
        at_factor += q * q
    bounded = total / (1 + total / arrays.attenuation0[1])
    return float(np.sqrt(1 + bounded) / np.exp(arrays.attenuation0[0]))


def non_centred_position(model: Model, parameters: np.ndarray) -> np.ndarray:
    x, p = parameters.copy(), len(model.design.fixed_effects)
    x[:p] = model.arrangement.triangular @ parameters[:p]
    return x


def effect_places(joint: JointArrays, model: Model) -> list[np.ndarray]:
    """For each of the design's groups, where its effects stand among those of all levels; shape (levels, effects)."""
    return [
        start + np.arange(len(group.effects)) * len(group.levels) + order[:, None]
        for group, start, order in zip(model.design.groups, joint.starts, joint.orders, strict=True)
    ]


#: Rows taken together: all of them, some levels, one level.
batches = st.sampled_from([768, 7, 1])


# ---- differences -------------------------------------------------------------------------------------------------

#: Central differences of the eighth order.
H, WEIGHTS = 0.004, ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))


def slopes_of(function: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """Derivatives in each entry of x, on the last axis."""
    return np.stack(
        [
            sum(weight * (function(x + times * step) - function(x - times * step)) / H for times, weight in WEIGHTS)
            for step in H * np.eye(len(x))
        ],
        axis=-1,
    )


def away_from_kinks(model: Model, joint: JointArrays, x: np.ndarray) -> bool:
    """Whether differences cross no point where the prior of a coefficient has no derivative."""
    arrays, p = joint.arrays, len(joint.arrays.gamma0)
    k, form = units_of_fixed_effects(joint, x), arrays.centred_scale.reshape(p, p)
    stated = k * (arrays.centred0 + form @ x[:p])
    # The units grow at most as the sds do.
    rate, of_sd = arrays.growth, np.abs(x[p:][: len(arrays.growth)])
    fastest = max(arrays.width.max(initial=1.0), (rate / np.tanh(rate * of_sd + (rate == 0))).max(initial=1.0))
    reach = 4 * H * (k * np.abs(form).max(axis=1, initial=0.0) + fastest * np.abs(stated))
    priors = [model.priors.fixed[label] for label in model.design.fixed_effects]
    return not any(
        isinstance(prior, pr.Laplace) and abs(value - prior.mu) <= span
        for prior, value, span in zip(priors, stated, reach, strict=True)
    )


# ---- the density -------------------------------------------------------------------------------------------------


def by_the_book(model: Model, joint: JointArrays, x: np.ndarray) -> float:
    """Log density at a non-centred position, in the user's order of rows and levels, nothing collapsed."""
    design, arrays, p = model.design, joint.arrays, len(joint.arrays.gamma0)
    E, v = len(arrays.sd_family), x[few(joint) :]
    beta = np.linalg.solve(model.arrangement.triangular, x[:p])
    eta, cholesky, total, at_z = design.offset + design.X @ beta, [], 0.0, {}
    for k in model.arrangement.factors:  # the variables of the correlations stand factor by factor, row by row
        for members in design.groups[k].sets:
            for a in members:
                for b in range(a - members[0]):
                    at_z[k, a, members[0] + b] = p + E + len(at_z)
    for k, (group, places) in enumerate(zip(design.groups, effect_places(joint, model), strict=True)):
        q, first = len(group.effects), p + joint.effects_at[k]
        rows, log_sd = np.zeros((q, q)), x[first : first + q]
        total += log_sd.sum()
        for members in group.sets:
            for a in members:
                left = 1.0
                for b in range(members[0], a):
                    z = x[at_z[k, a, b]]
                    rows[a, b] = left * np.tanh(z)
                    left *= np.sqrt(1 - np.tanh(z) ** 2)
                    # |dR / dz|: the density of z under LKJ(1), which is uniform over correlation matrices.
                    total += 0.5 * (len(members) - (b - members[0])) * np.log1p(-(np.tanh(z) ** 2))
                rows[a, a] = left
        cholesky.append(np.exp(log_sd)[:, None] * rows)
        u = v[places]
        eta = eta + np.sum(group.Z * (u @ cholesky[-1].T)[group.index], axis=1)
        total -= 0.5 * np.sum(u**2)
    if not design.groups:
        total -= 0.5 * np.sum(v**2)
    prior = point_log_prior(model, beta, cholesky)[0]
    return float(log_likelihood(design.outcome.y, design.outcome.trials, eta).sum() + prior + total)


@each(STRUCTURES, 6)
def test_value_is_the_models_own_up_to_a_constant(structure: str, data: st.DataObject) -> None:
    example, batch = data.draw(cases(structure)), data.draw(batches)
    joint = arranged(example.model, non_centred(example.model), batch)
    xs = [position(joint, example.rng) for _ in range(3)]
    expected = np.array([by_the_book(example.model, joint, x) for x in xs])
    found = np.array([at(joint, x).value for x in xs])
    assert found - found[0] == pytest.approx(expected - expected[0], rel=1e-11, abs=1e-10)


@pytest.mark.parametrize("kind", GEOMETRIES)
@each(STRUCTURES, 4)
def test_gradient_is_that_of_the_value(kind: str, structure: str, data: st.DataObject) -> None:
    example, batch = data.draw(cases(structure)), data.draw(batches)
    joint = arranged(example.model, geometry_of(kind, example), batch)
    x = position(joint, example.rng)
    assume(away_from_kinks(example.model, joint, x))
    found, expected = at(joint, x).gradient, slopes_of(lambda moved: at(joint, moved).value, x)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-8 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("kind", GEOMETRIES[1:])
@each(STRUCTURES, 3)
def test_density_in_the_users_parameters_is_the_same_in_every_geometry(
    kind: str, structure: str, data: st.DataObject
) -> None:
    example, batch = data.draw(cases(structure, tiny=True)), data.draw(batches)
    model = example.model
    joint = arranged(model, geometry_of(kind, example), batch)
    plain = joint_arrays(model, non_centred(model))
    differences = []
    for _ in range(3):
        x = position(joint, example.rng)
        parameters = user_parameters(joint, x)
        found, same = at(joint, x), at(plain, non_centred_position(model, parameters))
        assert same.b == pytest.approx(found.b, rel=1e-10, abs=1e-10)
        _, logarithm = np.linalg.slogdet(slopes_of(lambda moved: user_parameters(joint, moved), x))
        differences.append(found.value - logarithm - same.value)
    assert np.ptp(differences) < 1e-7


@pytest.mark.parametrize("kind", GEOMETRIES[:2])
@each(STRUCTURES, 3)
def test_order_of_rows_and_names_of_clusters_do_not_matter(kind: str, structure: str, data: st.DataObject) -> None:
    example = data.draw(cases(structure))
    model, rng = example.model, example.rng
    order = rng.permutation(len(example.frame))
    frame = example.frame.iloc[order].copy()
    for name in "ghk":
        frame[name] = rng.permutation([f"{name}{i}" for i in range(50)])[frame[name]]
    other = Model(model.formula.text, frame, priors=example.priors)
    joints = []
    place = near_the_mode(model)
    for one in (model, other):
        geometry = non_centred(one)
        if kind == "by information":
            geometry = centred_by_information(one, converged(one, *place), place[0])
        joints.append(arranged(one, geometry, 7))
    joint, again = joints
    x = position(joint, rng)
    moved, first = x.copy(), few(joint)
    pairs = [np.empty((2, 0), dtype=int)]
    for group, new, old_places, new_places in zip(
        model.design.groups, other.design.groups, effect_places(joint, model), effect_places(again, other), strict=True
    ):
        level = np.empty(len(group.levels), dtype=int)
        level[group.index[order]] = new.index
        pairs.append(np.stack([first + old_places.ravel(), first + new_places[level].ravel()]))
    old, new = np.concatenate(pairs, axis=1)
    moved[new] = x[old]
    found, expected = at(again, moved), at(joint, x)
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    scale = max(1.0, np.abs(expected.gradient).max())
    assert found.gradient[new] == pytest.approx(expected.gradient[old], abs=1e-8 * scale)
    assert found.gradient[:first] == pytest.approx(expected.gradient[:first], abs=1e-8 * scale)
    assert found.b[new - first] == pytest.approx(expected.b[old - first], rel=1e-8, abs=1e-8)
