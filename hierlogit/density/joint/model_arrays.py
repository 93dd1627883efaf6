"""The arrays of the joint density from a model and a geometry, and the numbers of the model's levels in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...priors import families as pr
from ..kernels import binomial_residuals as residuals
from ..kernels import scale_priors as scales
from .arrays import Joint, OneFactorJoint, OverdispersedJoint
from .geometry import Geometry, centring_matrix, level_counts, level_positions, row_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...design.grouping import GroupBlock
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FAMILIES: dict[type[pr.Prior], int] = {
    pr.Normal: scales.NORMAL,
    pr.StudentT: scales.STUDENT_T,
    pr.Cauchy: scales.CAUCHY,
    pr.Laplace: scales.LAPLACE,
    pr.HalfNormal: scales.HALF_NORMAL,
    pr.HalfStudentT: scales.HALF_STUDENT_T,
    pr.HalfCauchy: scales.HALF_CAUCHY,
    pr.Exponential: scales.EXPONENTIAL,
    pr.Gamma: scales.GAMMA,
    pr.LogNormal: scales.LOG_NORMAL,
    pr.Decov: scales.DECOV,
}
#: Rows handled together, so that what is computed for them stays in the fastest cache.
BATCH = 2048


@dataclass(frozen=True)
class JointArrays:
    """The arrays of a model's joint density.

    Attributes
    ----------
    arrays : Joint
    orders : tuple of ndarray of int, shape (J,)
        For each of the design's groups, the number of each level in the density.
    starts : tuple of int
        For each of the design's groups, where its factor's variables start among those of all levels and effects.
    effects_at : tuple of int
        For each of the design's groups, where its effects start among the sds.
    """

    arrays: Joint
    orders: tuple[IntArray, ...]
    starts: tuple[int, ...]
    effects_at: tuple[int, ...]

    @cached_property
    def of_effects(self) -> Joint:
        """Arrays that give the same effects as `arrays` at less cost: without rows, where these do not matter.

        The centre of a level depends on the rows only through the effects of other factors.
        """
        if len(self.arrays.q) > 1:
            return self.arrays
        empty, levels = np.empty(0), len(self.arrays.row_start)
        return self.arrays._replace(
            y=empty,
            trials=empty,
            offset=empty,
            X=empty,
            Z=empty,
            row_start=np.zeros(levels, dtype=np.int64),
            batch_start=_whole([0, levels - 1]),
            kind=_whole([residuals.ONE]),
            most=_whole([levels - 1, 0]),
        )

    @property
    def n_dim(self) -> int:
        """Length of the sampler's position."""
        return len(self.arrays.gamma0) + len(self.arrays.centre) + int(self.arrays.variable_at[-1])


def unknown_families(model: ModelSpec) -> list[str]:
    """Families of a model's priors that are not implemented in the compiled density."""
    used = [*model.priors.fixed.values(), *(prior for group in model.priors.sd.values() for prior in group)]
    used += [] if model.priors.phi is None else [model.priors.phi]
    return sorted({type(prior).__name__ for prior in used if type(prior) not in FAMILIES})


def class_of_arrays(model: ModelSpec) -> type[Joint]:
    """The class of a model's arrays, by which compiled functions know what they can leave out."""
    if model.overdispersed:
        return OverdispersedJoint
    return Joint if model.arrangement.row_index.several_factors else OneFactorJoint


def joint_arrays(model: ModelSpec, geometry: Geometry) -> JointArrays:
    """A model's rows, priors and geometry in the order in which compiled code reads them."""
    arrangement, design = model.arrangement, model.design
    row_index = arrangement.row_index
    groups = [design.groups[k] for k in arrangement.factors]
    counts = level_counts(arrangement)
    inverse = np.linalg.inv(arrangement.triangular)
    centring = centring_matrix(model)
    beta0, beta_scale = inverse @ geometry.gamma0, inverse @ geometry.gamma_scale
    sd = [_sd_priors(group, model.priors.sd[group.name]) for group in groups]
    cor_power = [
        model.priors.cor[group.name].eta + (len(members) - 2 - b) / 2
        for group in groups
        for members in group.sets
        for a in range(1, len(members))
        for b in range(a)
    ]
    # The set that each effect belongs to, where that set starts, and where the effect stands.
    sets = [one for group in groups for one in group.set_slices for _ in range(one.start, one.stop)]
    first = [one.start for one in sets]
    place = [i for group in groups for i in range(len(group.effects))]
    starts_of_rows = _starts(np.array(place, dtype=np.int64) - np.array(first, dtype=np.int64))
    sizes = [one.stop - one.start for one in sets]
    if model.priors.phi is not None:  # as if it were the sd of one more effect
        sd.append(_scale_priors([model.priors.phi]))
        first, sizes = [*first, 0], [*sizes, 1]
    widths = np.array([len(group.effects) for group in groups], dtype=np.int64)
    variables, batches = _starts(row_index.q * np.array(counts)), _batches(row_index.row_start)
    arrays = class_of_arrays(model)(
        y=row_index.y,
        trials=row_index.trials,
        offset=np.ascontiguousarray(row_index.offset),
        X=row_index.X.ravel(order="F"),
        Z=row_index.Z,
        weighted_Z=_flat([geometry.weighted_Z]),
        gamma0=geometry.gamma0,
        gamma_scale=_flat([geometry.gamma_scale]),
        beta0=beta0,
        beta_scale=_flat([beta_scale]),
        centred0=centring @ beta0,
        centred_scale=_flat([centring @ beta_scale]),
        beta_arguments=_flat([np.array(_location_scale(model.priors.fixed[k])) for k in design.fixed_effects]),
        centre=geometry.centre,
        width=geometry.width,
        growth=geometry.growth,
        attenuation=_flat(geometry.attenuation),
        attenuation0=geometry.attenuation0,
        sd_arguments=_flat([np.array(one) for _, arguments in sd for one in arguments]),
        cor_power=np.array(cor_power, dtype=float),
        information=_flat(geometry.information),
        score=_flat(geometry.score),
        cross_information=_flat(geometry.cross_information),
        coupling_by_fixed=_flat([geometry.coupling.by_fixed]),
        coupling_entry=geometry.coupling.entry,
        coupling_stretch=geometry.coupling.stretch,
        beta_family=_whole([FAMILIES[type(model.priors.fixed[k])] for k in design.fixed_effects]),
        sd_family=_whole([family for families, _ in sd for family in families]),
        set_size=_whole(sizes),
        set_first=_whole(first),
        cor_start=starts_of_rows,
        q=row_index.q,
        levels=_whole(counts),
        level_of=np.concatenate(row_levels(arrangement)),
        row_start=row_index.row_start,
        batch_start=batches,
        kind=_kinds(row_index.trials, row_index.row_start[batches]),
        most=_whole([int(np.diff(batches).max()), int(np.diff(row_index.row_start[batches]).max())]),
        effect_at=_starts(widths) if groups else np.zeros(2, dtype=np.int64),
        variable_at=variables,
        information_at=_starts(row_index.q**2 * np.array(counts)),
        coupling_start=geometry.coupling.start,
        coupling_index=geometry.coupling.index,
    )
    back = {k: t for t, k in enumerate(arrangement.factors)}
    positions = level_positions(arrangement)
    orders = tuple(
        np.searchsorted(positions[back[k]][:, 0], arrangement.positions[k][:, 0]).astype(np.int64)
        for k in range(len(design.groups))
    )
    starts = tuple(int(variables[back[k]]) for k in range(len(design.groups)))
    effects_at = tuple(int(arrays.effect_at[back[k]]) for k in range(len(design.groups)))
    return JointArrays(arrays, orders, starts, effects_at)


def _batches(row_start: IntArray) -> IntArray:
    """Bounds of the batches of levels: as many levels as have up to `BATCH` rows, and at least one."""
    bounds, levels = [0], len(row_start) - 1
    while bounds[-1] < levels:
        stop = int(np.searchsorted(row_start, row_start[bounds[-1]] + BATCH, side="right")) - 1
        bounds.append(max(stop, bounds[-1] + 1))
    return _whole(bounds)


def _kinds(trials: FloatArray, starts: IntArray) -> IntArray:
    """How many trials the rows of each batch have."""
    return _whole([residuals.kind_of(trials[start:stop]) for start, stop in pairwise(starts)])


def _location_scale(prior: pr.CoefficientPrior) -> tuple[float, float, float]:
    return getattr(prior, prior.location), getattr(prior, prior.scale), getattr(prior, "nu", 0.0)


def _sd_priors(group: GroupBlock, priors: tuple[pr.ScalePrior, ...]) -> tuple[list[int], list[list[float]]]:
    """Family and three arguments of each effect's prior; a joint prior stands with the first effect of its set."""
    firsts = {one.start for one in group.set_slices}
    families, arguments = _scale_priors(priors)
    joined = [isinstance(prior, pr.Decov) and k not in firsts for k, prior in enumerate(priors)]
    return [scales.JOINED if one else family for one, family in zip(joined, families, strict=True)], arguments


def _scale_priors(priors: Sequence[pr.ScalePrior]) -> tuple[list[int], list[list[float]]]:
    """Family and three arguments of each prior."""
    arguments = [list(prior.arguments().values()) for prior in priors]
    return [FAMILIES[type(prior)] for prior in priors], [one + [0.0] * (3 - len(one)) for one in arguments]


def _flat(arrays: list[FloatArray]) -> FloatArray:
    return np.concatenate([np.empty(0), *(np.asarray(one, dtype=float).ravel() for one in arrays)])


def _whole(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)


def _starts(lengths: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
