"""Options of one run of the sampler as plain values, every default filled in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

#: What runs the chains, and the packages each needs. All but the first run PyMC's compiled graph.
BACKENDS: dict[str, tuple[str, ...]] = {
    "native": ("nutpie",),
    "nutpie": ("pymc", "nutpie"),
    "pymc": ("pymc",),
    "numpyro": ("pymc", "jax", "numpyro"),
    "blackjax": ("pymc", "jax", "blackjax"),
}
#: Fewer draws from a chain cannot be diagnosed.
LEAST_DRAWS = 4


@dataclass(frozen=True)
class SamplerOptions:
    """Options of one run; those of `hierlogit.NUTS` have the same names.

    Attributes
    ----------
    draws, tune, chains, cores : int
    seed : int
    target_accept : float
    backend, parameterization : str
    progress, store_u : bool
    store : str or None
    """

    draws: int
    tune: int
    chains: int
    cores: int
    seed: int
    target_accept: float
    backend: str
    parameterization: str
    progress: bool
    store_u: bool
    store: str | None

    def settings(self) -> dict[str, Any]:
        """The options for a fit's diagnostics, which hold the seed apart."""
        return {name: value for name, value in asdict(self).items() if name != "seed"}
