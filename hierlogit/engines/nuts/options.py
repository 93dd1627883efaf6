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
#: Among the numbers of a draw, the error of the quadrature in its log density.
INTEGRATION_ERROR = "integration_error"
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
    effects : {"sampled", "integrated"}
        What was done with the effects of the factor with the most columns.
    nodes : int or None
        Quadrature nodes by which they were integrated out.
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
    effects: str = "sampled"
    nodes: int | None = None

    def settings(self) -> dict[str, Any]:
        """The options for a fit's diagnostics, which hold the seed apart; nodes only if there are any."""
        left_out = {"seed"} if self.nodes else {"seed", "nodes"}
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def checks_of(options: SamplerOptions) -> tuple[str, ...]:
    """Names of numbers of each draw that tell how well it was computed."""
    return (INTEGRATION_ERROR,) if options.effects == "integrated" else ()
