"""The compiled log density compared with the PyMC graph of the same model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..density.joint.geometry import non_centred
from ..density.joint.log_density import evaluate
from ..density.joint.model_arrays import joint_arrays, unknown_families
from ..density.variables import Variable, model_variables
from ..display import Facts, Shown, View
from ..errors import EngineError
from ..fits.arguments import NO_POSTERIOR, refuse_sampling_weights, require_model
from ..priors.families import Decov
from ..validation import SEED_BOUND, agree, quoted_list, whole_number

if TYPE_CHECKING:
    from ..design.grouping import GroupBlock
    from ..model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
#: Of floats, or of complex numbers where a derivative is taken by a step along the imaginary axis.
Numbers = npt.NDArray[Any]

#: How far values may differ, of a log density of up to `LARGE_VALUE`; of larger ones in proportion.
VALUE_TOLERANCE, LARGE_VALUE = 1e-8, 1e4
GRADIENT_TOLERANCE = 1e-6
#: Standard deviation of the random points, of coefficients per unit of a linear predictor and of the sds' logarithms.
SPREAD = 0.5
#: Complex steps lose no digits, so they may be as short as this.
STEP = 1e-100


@dataclass(frozen=True, repr=False)
class DensityCheck(Shown):
    """How far the compiled log density of a model is from that of its PyMC graph.

    Attributes
    ----------
    points : int
        How many positions were compared.
    seed : int
        That drew them.
    value_difference : float
        Largest distance of the difference of the two log densities from its mean: they may differ by a constant.
    value_tolerance : float
        How much of that is allowed: 1e-8, or 1e-12 of the log density where that is more.
    gradient_difference : float
        Largest difference of two derivatives, relative to the larger one where that is above 1.
    gradient_tolerance : float
    where : str
        Variables with the largest difference of derivatives: ``beta``, ``sd_<group>``, ``cor_<group>``, ``u_<group>``,
        ``phi``.
    """

    points: int
    seed: int
    value_difference: float
    value_tolerance: float
    gradient_difference: float
    gradient_tolerance: float
    where: str

    @property
    def values_agree(self) -> bool:
        """Whether values differ by a constant, but for rounding."""
        return self.value_difference <= self.value_tolerance

    @property
    def gradients_agree(self) -> bool:
        """Whether gradients are equal, but for rounding."""
        return self.gradient_difference <= self.gradient_tolerance

    @property
    def agrees(self) -> bool:
        """Whether both do."""
        return self.values_agree and self.gradients_agree

    def _view(self) -> View:
        rows = (
            ("values", self.value_difference, self.value_tolerance, self.values_agree, ""),
            ("gradients", self.gradient_difference, self.gradient_tolerance, self.gradients_agree, f" ({self.where})"),
        )
        facts = tuple(
            (
                name,
                f"{'agree' if agree else 'do NOT agree'}: they differ by up to {difference:.2g}"
                f"{'' if agree else where}, {tolerance:.2g} is allowed",
            )
            for name, difference, tolerance, agree, where in rows
        )
        title = f"Compiled log density and PyMC graph at {self.points} random points (seed {self.seed})"
        return View(title, (Facts(facts),))


def check_density(model: ModelSpec, points: int = 5, seed: int = 1) -> DensityCheck:
    """Compare the compiled log density with the PyMC graph of a model, in values and gradients.

    ``hl.NUTS()`` samples the compiled density; ``model.to_pymc()`` is the readable form of the same model, which is
    compiled for the comparison within some seconds.

    Parameters
    ----------
    model : Model
    points : int
        Number of random positions, two or more, since the log densities may differ by a constant.
    seed : int
        Repeats the positions exactly.

    Returns
    -------
    DensityCheck
        The largest differences; ``.agrees`` is true if they are rounding errors.

    Raises
    ------
    EngineError
        If the compiled density does not know a family among the model's priors, or an option is out of its range.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> hl.check_density(model, points=3).agrees
    True
    """
    require_model(model)
    refuse_sampling_weights(model, "hl.check_density", NO_POSTERIOR, EngineError)
    points = whole_number("points", points, EngineError, least=2)
    seed = whole_number("seed", seed, EngineError, least=0, most=SEED_BOUND - 1)
    unknown = unknown_families(model)
    if unknown:
        raise EngineError(
            f"the compiled density does not have the prior {agree(unknown, 'family', 'families')} "
            f"{quoted_list(unknown)}, so there is nothing to compare: hl.NUTS() samples the PyMC graph of this model."
        )
    positions = _Positions(model)
    graph = _compiled_graph(model)
    rng = np.random.default_rng(seed)
    differences, sizes, off = [], [], []
    for _ in range(points):
        x = positions.random(rng)
        value, gradient = positions.compiled(x)
        expected, gradients = graph(positions.free_variables(x) | positions.effects(x))
        differences.append(value - expected - float(positions.log_volume(x)))
        sizes.append(abs(value))
        transformed = positions.transformed_gradient(x, gradients)
        off.append(np.abs(gradient - transformed) / np.maximum(1.0, np.maximum(np.abs(gradient), np.abs(transformed))))
    worst = np.max(off, axis=0)
    return DensityCheck(
        points=points,
        seed=seed,
        value_difference=float(np.max(np.abs(np.array(differences) - np.mean(differences)))),
        value_tolerance=VALUE_TOLERANCE * max(1.0, float(np.max(sizes)) / LARGE_VALUE),
        gradient_difference=float(np.max(worst)),
        gradient_tolerance=GRADIENT_TOLERANCE,
        where=positions.names[int(np.argmax(worst))],
    )


class _Positions:
    """Positions of the compiled density in its non-centred form, and the graph's variables at them.

    The coefficients of the orthogonal basis, the logarithms of the sds and the variables of the correlations come first
    (the *few*), followed by the standardised effects.
    """

    def __init__(self, model: ModelSpec) -> None:
        self._design, self._variables = model.design, model_variables(model)
        self._joint = joint_arrays(model, non_centred(model))
        arrays = self._joint.arrays
        self._p, self._n_sds = len(arrays.gamma0), len(arrays.sd_family)
        self._few = self._p + len(arrays.centre)
        self.names = self._named()

    def _named(self) -> list[str]:
        """Name of the variable to which each entry of a position belongs."""
        fixed, names = self._variables.fixed, [""] * self._joint.n_dim
        if fixed is not None:
            names[: self._p] = [fixed.beta.name] * self._p
        for g, of_group in enumerate(self._variables.groups):
            for a in range(len(of_group.group.effects)):
                names[self._sd_at(g, a)] = of_group.sd.name
                if of_group.cor is not None:
                    for k in self._correlations_at(g, a):
                        names[k] = of_group.cor.name
            for k in self._effects_at(g, of_group.group).ravel().tolist():
                names[k] = of_group.u.name
        if self._variables.phi is not None:
            names[self._phi_at] = self._variables.phi.name
        return names

    @property
    def _phi_at(self) -> int:
        """Place of log phi, behind the log sds."""
        return self._p + self._n_sds - 1

    def _sd_at(self, g: int, a: int) -> int:
        return self._p + self._joint.effects_at[g] + a

    def _correlations_at(self, g: int, a: int) -> range:
        start, e = self._joint.arrays.cor_start, self._joint.effects_at[g] + a
        return range(self._p + self._n_sds + int(start[e]), self._p + self._n_sds + int(start[e + 1]))

    def _effects_at(self, g: int, group: GroupBlock) -> npt.NDArray[np.int64]:
        """Places of the effects of a factor, shape (levels, effects), in the user's order."""
        first, count = self._few + self._joint.starts[g], len(group.levels)
        return first + np.arange(len(group.effects)) * count + self._joint.orders[g][:, None]

    def random(self, rng: np.random.Generator) -> FloatArray:
        """A position with linear predictors near zero, whatever the scale of the columns."""
        x = rng.standard_normal(self._joint.n_dim)
        x[: self._few] *= SPREAD
        for g, group in enumerate(self._design.groups):
            lengths = np.sqrt(np.mean(group.Z**2, axis=0))
            for a, length in enumerate(lengths):
                x[self._sd_at(g, a)] -= np.log(length)
        if not self._design.groups:  # there is one variable, of a level that is no part of the model
            x[self._few :] = 0.0
        return x

    def compiled(self, x: FloatArray) -> tuple[float, FloatArray]:
        """The compiled log density and its gradient."""
        gradient, effects = np.empty_like(x), int(self._joint.arrays.variable_at[-1])
        value = evaluate(self._joint.arrays, x, gradient, np.empty(effects), np.empty(effects))
        return value, gradient

    def free_variables(self, x: Numbers) -> dict[str, Numbers]:
        """The graph's free variables except the standardised effects, on the scale of their priors."""
        fixed, values = self._variables.fixed, {}
        arrays, p = self._joint.arrays, self._p
        beta = arrays.beta0 + arrays.beta_scale.reshape(p, p) @ x[:p]
        if fixed is not None and fixed.intercept is not None:
            values[fixed.intercept.name] = self._design.column_means @ beta
        if fixed is not None and fixed.slopes is not None:
            columns = [j for stated in fixed.slopes.priors for j in stated.members]
            values |= _by_name(fixed.slopes, beta[columns] * self._design.column_sds[columns])
        for g, of_group in enumerate(self._variables.groups):
            values |= _by_name(of_group.sd, np.exp(self._log_sds(g, of_group.group, x)))
            for one, cholesky in zip(of_group.group.set_slices, of_group.cholesky, strict=True):
                if cholesky is not None:
                    values[cholesky.name] = self._cholesky(g, one, x)
        if self._variables.phi is not None:
            values[self._variables.phi.name] = np.exp(x[self._phi_at])
        return values

    def effects(self, x: FloatArray) -> dict[str, Numbers]:
        """The graph's standardised effects: those of a position, in the user's order."""
        groups = enumerate(self._variables.groups)
        return {of_group.u.name: x[self._effects_at(g, of_group.group)] for g, of_group in groups}

    def _log_sds(self, g: int, group: GroupBlock, x: Numbers) -> Numbers:
        return x[self._sd_at(g, 0) : self._sd_at(g, len(group.effects))]

    def _cholesky(self, g: int, effects: slice, x: Numbers) -> Numbers:
        """Cholesky factor of the correlation matrix of one set."""
        q = effects.stop - effects.start
        factor = np.zeros((q, q), dtype=x.dtype)
        for a, row in enumerate(factor):
            rest = np.ones((), dtype=x.dtype)
            for b, k in enumerate(self._correlations_at(g, effects.start + a)):
                row[b] = rest * np.tanh(x[k])
                rest = rest / np.cosh(x[k])
            row[a] = rest
        return factor

    def log_volume(self, x: Numbers) -> Numbers:
        """Log of the change of variables from the graph's parameters to a position, up to a constant.

        The compiled density is one of log sds and of the correlations' variables z, the graph's one of sds and of the
        entries of the Cholesky factor L: row a has ``|dL / dz| = prod_b cosh(z_ab)^-(a + 1 - b)``, rows and columns
        counted from 0. Under decov the graph has a scale and shares in place of sds.
        """
        total = np.zeros((), dtype=x.dtype)
        if self._variables.phi is not None:
            total = total + x[self._phi_at]
        for g, of_group in enumerate(self._variables.groups):
            logs = self._log_sds(g, of_group.group, x)
            total = total + np.sum(logs)
            for one in of_group.group.set_slices:
                for a in range(one.start, one.stop):
                    for b, at in enumerate(self._correlations_at(g, a)):
                        total = total - (a - one.start + 1 - b) * np.log(np.cosh(x[at]))
            for stated in of_group.sd.priors:
                if isinstance(stated.prior, Decov):
                    k, log_sds = len(stated.members), logs[list(stated.members)]
                    squares = np.sum(np.exp(2 * log_sds))
                    # As in `Decov.logpdf`: from scale and shares to sds, tau being the root of squares / k.
                    total = total + np.sum(log_sds) - (k - 1) * np.log(squares) - 0.5 * np.log(squares)
        return total

    def transformed_gradient(self, x: FloatArray, gradients: dict[str, FloatArray]) -> FloatArray:
        """The graph's gradient transformed to positions, including that of the change of variables.

        Parameters
        ----------
        x : ndarray, shape (d,)
        gradients : dict of str to ndarray
            Gradient with respect to each of the graph's free variables.
        """
        gradient = np.zeros_like(x)
        for k in range(self._few):
            moved = x.astype(complex)
            moved[k] += 1j * STEP
            values = self.free_variables(moved)
            total = self.log_volume(moved) + sum(np.sum(gradients[name] * value) for name, value in values.items())
            gradient[k] = total.imag / STEP
        for g, of_group in enumerate(self._variables.groups):
            gradient[self._effects_at(g, of_group.group)] = gradients[of_group.u.name]
        return gradient


def _by_name(vector: Variable, values: Numbers) -> dict[str, Numbers]:
    """Values of a vector if it is a free variable, or else of the free variables of which it is composed."""
    if vector.free:
        return {vector.name: values}
    by_name, first = {}, 0
    for stated in vector.priors:
        members = values[first : first + len(stated.members)]
        first += len(members)
        if isinstance(stated.prior, Decov):
            (scale, *shares), total = stated.parts, np.sum(members**2)
            by_name[scale.name] = np.sqrt(total / len(members))
            by_name |= {one.name: members**2 / total for one in shares}
        else:
            (number,) = stated.parts
            by_name[number.name] = members[0]
    return by_name


def _compiled_graph(model: ModelSpec) -> Callable[[dict[str, Numbers]], tuple[float, dict[str, FloatArray]]]:
    """Log density of the graph's free variables, without transformations, and its gradient, both by name."""
    from pymc.model.transform.conditioning import remove_value_transforms
    from pytensor.compile.mode import get_mode
    from pytensor.gradient import grad

    from ..density.pymc_graph import build_graph

    plain = remove_value_transforms(build_graph(model))
    names = [variable.name for variable in plain.free_RVs]
    inputs = [plain.rvs_to_values[variable] for variable in plain.free_RVs]
    total = plain.logp(jacobian=False)
    function = plain.compile_fn(
        [total, *grad(total, inputs)],
        inputs=inputs,
        # The quickest to compile; stabilised, or the logarithm of 1 - p has few digits where p is near 1.
        mode=get_mode("FAST_COMPILE").including("stabilize"),
        point_fn=False,
    )

    def log_density(values: dict[str, Numbers]) -> tuple[float, dict[str, FloatArray]]:
        value, *gradients = function(*(values[name] for name in names))
        return float(value), dict(zip(names, gradients, strict=True))

    return log_density
