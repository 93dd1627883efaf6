"""The No-U-Turn sampler on the posterior of all parameters and cluster effects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING

from ...display import ShownAsCall
from ...errors import EngineError
from ...fits.arguments import NO_POSTERIOR, refuse_sampling_weights, require_model
from ...fits.findings import Finding
from ...fits.fit import Fit
from ...fits.posterior import values_per_draw
from ...python_process import usable_cores
from ...validation import (
    agree,
    choice,
    flag,
    path,
    probability,
    quoted_list,
    refuse_beyond_memory,
    seed_or_new,
    seed_or_none,
    whole_number,
)
from .effects_form import form_of_effects
from .finished_fit import finished_fit
from .options import BACKENDS, LEAST_DRAWS, SamplerOptions

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

PARAMETERIZATIONS = ("auto", "noncentered")
EFFECTS = ("auto", "sampled", "integrated")
#: Default tuning steps and acceptance rates: for the native density, which starts well scaled, and for the PyMC graph.
NATIVE_TUNE, GRAPH_TUNE = 400, 1000
NATIVE_ACCEPT, GRAPH_ACCEPT = 0.8, 0.9
MOST_CHAINS = 10_000


@dataclass(frozen=True, repr=False)
class NUTS(ShownAsCall):
    """No-U-Turn sampling (Hoffman and Gelman 2014, Journal of Machine Learning Research 15: 1593-1623).

    Parameters
    ----------
    draws : int
        Draws kept from each chain.
    tune : int, optional
        Steps of adaptation before them, not kept; by default 400 with the native backend and 1,000 with the others.
    chains : int
        Independent chains; R-hat needs four or more to be reliable.
    cores : int, optional
        Chains run at the same time; by default as many as the machine has cores.
    seed : int, optional
        Repeats the draws exactly. If not given, a random seed is drawn and kept in the fit's diagnostics.
    target_accept : float, optional
        Target acceptance rate, between 0 and 1; higher means smaller steps and fewer divergences. By default 0.8 with
        the native backend and 0.9 with the others.
    backend : {"native", "nutpie", "pymc", "numpyro", "blackjax"}
        What runs the chains. "native" samples this package's own compiled density, which needs no compiling for a new
        model; the others compile the model's PyMC graph first. The last two need ``pip install "hierlogit[jax]"``.
    parameterization : {"auto", "noncentered"}
        Native backend only. "auto" first finds the centre and scale of the posterior, and centres each cluster's
        effects by the information in its data; "noncentered" samples standardised effects, as the other backends always
        do. The posterior is the same.
    effects : {"auto", "sampled", "integrated"}
        Native backend only. "sampled" samples the cluster effects together with the parameters. "integrated" integrates
        out those of the factor with the most levels, by Gauss-Hermite quadrature at every step, and draws them
        afterwards from their exact conditional distribution; it takes one effect for each level. "auto" integrates
        where levels have fewer than three rows on average, so that the chains would mix badly. The posterior is the
        same.
    progress : bool
        Whether to show a progress bar, with the time that remains for each chain.
    store_u : bool
        Whether the posterior also keeps the standardised effects ``u_<group>``.
    store : str or path, optional
        Native backend only. A new folder to which the draws are written while they are made, for long runs;
        `hierlogit.recover` reads it, even if the process has died.

    Raises
    ------
    EngineError
        If an option is out of its range or the backend is unknown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.NUTS(draws=2000, seed=7).chains
    4
    """

    draws: int = 1000
    tune: int | None = None
    chains: int = 4
    cores: int | None = None
    seed: int | None = None
    target_accept: float | None = None
    backend: str = "native"
    parameterization: str = "auto"
    effects: str = "auto"
    progress: bool = True
    store_u: bool = False
    store: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            "draws": whole_number("NUTS: draws", self.draws, EngineError, least=LEAST_DRAWS),
            "chains": whole_number("NUTS: chains", self.chains, EngineError, least=1, most=MOST_CHAINS),
            "seed": seed_or_none("NUTS: seed", self.seed, EngineError),
            "backend": choice("NUTS: backend", self.backend, tuple(BACKENDS), EngineError),
            "parameterization": choice("NUTS: parameterization", self.parameterization, PARAMETERIZATIONS, EngineError),
            "effects": choice("NUTS: effects", self.effects, EFFECTS, EngineError),
            "progress": flag("NUTS: progress", self.progress, EngineError),
            "store_u": flag("NUTS: store_u", self.store_u, EngineError),
        }
        if self.tune is not None:
            checked["tune"] = whole_number("NUTS: tune", self.tune, EngineError, least=1)
        if self.cores is not None:
            checked["cores"] = whole_number("NUTS: cores", self.cores, EngineError, least=1, most=MOST_CHAINS)
        if self.target_accept is not None:
            checked["target_accept"] = probability("NUTS: target_accept", self.target_accept, EngineError)
        if self.effects == "integrated" and self.backend != "native":
            raise EngineError(f"NUTS: effects='integrated' needs backend='native', not {self.backend!r}.")
        if self.store is not None:
            checked["store"] = self._folder(self.store)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _folder(self, store: object) -> str:
        folder = path("NUTS: store", store, EngineError)
        if self.backend != "native":
            raise EngineError(f"NUTS: store needs backend='native'; {self.backend!r} cannot write while it samples.")
        return str(folder)

    def options(self, backend: str) -> SamplerOptions:
        """The options of one run by that back end, defaults and seed filled in."""
        native = backend == "native"
        return SamplerOptions(
            draws=self.draws,
            tune=self.tune if self.tune is not None else NATIVE_TUNE if native else GRAPH_TUNE,
            chains=self.chains,
            cores=self.cores or min(self.chains, usable_cores()),
            seed=seed_or_new(self.seed, EngineError),
            target_accept=self.target_accept
            if self.target_accept is not None
            else (NATIVE_ACCEPT if native else GRAPH_ACCEPT),
            backend=backend,
            parameterization=self.parameterization,
            progress=self.progress,
            store_u=self.store_u,
            store=None if self.store is None else str(self.store),
        )

    def run[M: ModelSpec](self, model: M) -> Fit[M]:
        """Sample the posterior of `model`."""
        return self._run(model, tried="")

    def _run[M: ModelSpec](self, model: M, tried: str) -> Fit[M]:
        require_model(model)
        refuse_sampling_weights(model, "hl.NUTS()", NO_POSTERIOR, EngineError)
        backend, notes = self._backend_for(model)
        self._refuse_beyond_memory(model, backend)
        self._require(backend)
        effects, about_effects = form_of_effects(model, self.effects, backend)
        options = replace(self.options(backend), effects=effects)
        if backend == "native":
            from .nutpie_backend import sample_native as sample
        else:
            from .pymc_backend import sample_graph as sample
        draws, stats, seconds, options = sample(model, options)
        return finished_fit(model, options, (*notes, *about_effects), draws, stats, seconds, tried)

    def _refuse_beyond_memory(self, model: ModelSpec, backend: str) -> None:
        each = values_per_draw(model)
        if backend != "native":
            refuse_beyond_memory("NUTS: draws", self.draws, self.chains * each, EngineError)
        elif self.store is None:
            # It reserves room for the draws of a chain, fills it as it draws, and may be interrupted. Where there is
            # not even that much, the process is aborted.
            refuse_beyond_memory("NUTS: draws", self.draws, each, EngineError, copies=1)

    def _backend_for(self, model: ModelSpec) -> tuple[str, tuple[Finding, ...]]:
        from ...density.joint.model_arrays import unknown_families

        unknown = unknown_families(model) if self.backend == "native" else []
        if not unknown:
            return self.backend, ()
        note = Finding(
            "backend_changed",
            "note",
            f"The compiled density does not support the prior family {quoted_list(unknown)}.",
            "PyMC's graph was sampled instead, which has to be compiled for each model.",
        )
        return "nutpie", (note,)

    def _require(self, backend: str) -> None:
        from importlib.util import find_spec

        missing = [package for package in BACKENDS[backend] if find_spec(package) is None]
        if missing:
            raise EngineError(
                f"NUTS(backend={backend!r}) needs {', '.join(missing)}, which {agree(missing, 'is', 'are')} not "
                "installed. "
                'Run pip install "hierlogit[jax]", or choose backend="native".'
            )


def sampled_instead[M: ModelSpec](model: M, engine: NUTS, tried: str) -> Fit[M]:
    """The fit by NUTS after another engine has been tried in vain, which its advice does not name.

    Parameters
    ----------
    model : Model
    engine : NUTS
    tried : str
        Name of the other engine.
    """
    return engine._run(model, tried)
