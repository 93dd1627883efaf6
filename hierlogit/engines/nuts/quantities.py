"""Quantities whose draws tell how chains move: parameters, means of cluster effects, and single cluster effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ...fits.posterior import parameter_draws

if TYPE_CHECKING:
    import xarray as xr

    from ...design.grouping import GroupBlock
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
Kind = Literal["fixed", "sd", "cor", "phi", "mean", "effect"]

#: The largest size of a correlation that is transformed: beyond, rounding would give infinite values.
_LARGEST = 1 - 1e-12


@dataclass(frozen=True)
class Quantity:
    """A function of a posterior draw, with its name in sentences.

    Attributes
    ----------
    words : str
        ``urban[Y]``, ``sd_item[Intercept]``, ``the mean of the effects of 'item'``.
    kind : {"fixed", "sd", "cor", "phi", "mean", "effect"}
        A parameter, the mean of an effect over clusters, or the effect of one cluster.
    factor : str or None
        The grouping factor; None for fixed effects and phi.
    """

    words: str
    kind: Kind
    factor: str | None = None


def parameter_quantities(model: ModelSpec, posterior: xr.Dataset) -> Iterator[tuple[Quantity, FloatArray]]:
    """Each parameter with its draws, shape (chains, draws): sds and phi as logarithms, correlations as Fisher's z.

    On these scales, what moves together does so linearly.
    """
    parameters = parameter_draws(model, posterior)
    labels = zip(parameters["parameter"].to_numpy(), parameters["component"].to_numpy(), strict=True)
    for k, (label, component) in enumerate(labels):
        values = parameters.to_numpy()[..., k]
        if k < len(model.design.fixed_effects):
            yield Quantity(str(label), "fixed"), values
        elif label == "phi":
            with np.errstate(divide="ignore"):
                yield Quantity(str(label), "phi"), np.log(values)
        elif str(label).startswith("sd_"):
            with np.errstate(divide="ignore"):
                yield Quantity(str(label), "sd", str(component)), np.log(values)
        else:
            yield Quantity(str(label), "cor", str(component)), np.arctanh(np.clip(values, -_LARGEST, _LARGEST))


def mean_quantities(model: ModelSpec, posterior: xr.Dataset) -> Iterator[tuple[Quantity, FloatArray]]:
    """The mean of each effect over the clusters of its factor, with its draws, shape (chains, draws)."""
    for group in model.design.groups:
        means = cluster_effects(group, posterior).mean(axis=2)
        for k, effect in enumerate(group.effects):
            which = "effects" if len(group.effects) == 1 else f"{effect} effects"
            yield Quantity(f"the mean of the {which} of '{group.name}'", "mean", group.name), means[..., k]


def single_effect(group: GroupBlock, position: int) -> Quantity:
    """The effect of one cluster, by its position among the values of a draw, cluster by cluster."""
    level, effect = divmod(position, len(group.effects))
    label = group.levels.tolist()[level]
    return Quantity(f"the {group.effects[effect]} effect of cluster {label!r} of '{group.name}'", "effect", group.name)


def cluster_effects(group: GroupBlock, posterior: xr.Dataset) -> FloatArray:
    """Draws of the effects of a factor, shape (chains, draws, J, q)."""
    effects: FloatArray = posterior[f"b_{group.result_name}"].to_numpy()
    return effects
