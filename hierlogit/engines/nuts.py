"""The No-U-Turn sampler on the joint posterior of all parameters and cluster effects."""

from __future__ import annotations

import os
import secrets
import warnings
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..errors import ConvergenceWarning, EngineError
from ..findings import Finding
from ..fit import EngineReport, Fit, assemble, parameter_draws, versions
from ..table import listed
from .convergence import convergence_findings, convergence_measures, status_of

if TYPE_CHECKING:
    from ..model import Model

#: What runs the chains, and the packages each needs. All but the first run PyMC's compiled graph.
BACKENDS: dict[str, tuple[str, ...]] = {
    "native": ("nutpie",),
    "nutpie": ("pymc", "nutpie"),
    "pymc": ("pymc",),
    "numpyro": ("pymc", "jax", "numpyro"),
    "blackjax": ("pymc", "jax", "blackjax"),
}
PARAMETERIZATIONS = ("auto", "noncentered")
#: Steps of tuning and acceptance rates by default: of the native density, which starts well scaled, and of the graph.
NATIVE_TUNE, GRAPH_TUNE = 400, 1000
NATIVE_ACCEPT, GRAPH_ACCEPT = 0.8, 0.9
#: Fewer draws from a chain cannot be diagnosed.
LEAST_DRAWS = 4


@dataclass(frozen=True)
class NUTS:
    """No-U-Turn sampling (Hoffman and Gelman 2014, Journal of Machine Learning Research 15: 1593-1623).

    Parameters
    ----------
    draws : int
        Draws kept from each chain.
    tune : int, optional
        Steps of adaptation before them, not kept; by default 400 of the native backend and 1,000 of the others.
    chains : int
        Independent chains; four or more let R-hat see trouble.
    cores : int, optional
        Chains run at the same time; by default as many as the machine has cores.
    seed : int, optional
        Repeats the draws exactly. Without one a random seed is taken, and kept in the report.
    target_accept : float, optional
        Wanted acceptance rate, between 0 and 1; higher means smaller steps and fewer divergences. By default 0.8 of the
        native backend and 0.9 of the others.
    backend : {"native", "nutpie", "pymc", "numpyro", "blackjax"}
        What runs the chains. "native" samples this package's own compiled density, which needs no compiling for a new
        model; the others compile the model's PyMC graph first. The last two need ``pip install "hierlogit[jax]"``.
    parameterization : {"auto", "noncentered"}
        Of the native backend: "auto" finds the posterior's centre and scale first, and centres each cluster's effects
        by the information that the data have about it; "noncentered" samples the standardised effects. The posterior is
        the same, and the other backends always use the second.
    progress : bool
        Whether to show a progress bar.
    store_u : bool
        Whether the posterior also keeps the standardised effects ``u_<group>``.
    store : str or path, optional
        A new folder to which the draws are written while they are made, for long runs: `hierlogit.recover` reads it,
        also when the process has died. Of the native backend.

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
    progress: bool = True
    store_u: bool = False
    store: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        for name, least in (("draws", LEAST_DRAWS), ("tune", 1), ("chains", 1)):
            value = getattr(self, name)
            if name == "tune" and value is None:
                continue
            if not _is_whole(value) or value < least:
                raise EngineError(f"NUTS: {name}={value!r} must be a whole number of at least {least}.")
            object.__setattr__(self, name, int(value))
        if self.cores is not None and (not _is_whole(self.cores) or self.cores < 1):
            raise EngineError(f"NUTS: cores={self.cores!r} must be a whole number of at least 1, or None.")
        if self.seed is not None and (not _is_whole(self.seed) or not 0 <= self.seed < 2**32):
            raise EngineError(f"NUTS: seed={self.seed!r} must be a whole number from 0 to 2**32 - 1, or None.")
        wanted = self.target_accept
        if wanted is not None and (not isinstance(wanted, Real) or not 0 < wanted < 1):
            raise EngineError(f"NUTS: target_accept={wanted!r} must be between 0 and 1; 0.8 or 0.9 is usual.")
        for name, known in (("backend", list(BACKENDS)), ("parameterization", list(PARAMETERIZATIONS))):
            value = getattr(self, name)
            if value not in known:
                raise EngineError(f"NUTS: {name}={value!r} is unknown; choose one of {listed(known)}.")

        if self.store is not None:
            if self.backend != "native":
                raise EngineError(
                    f"NUTS: store needs backend='native'; {self.backend!r} cannot write while it samples."
                )
            object.__setattr__(self, "store", str(self.store))

    @property
    def steps_of_tuning(self) -> int:
        """Steps of adaptation, the default filled in."""
        if self.tune is not None:
            return self.tune
        return NATIVE_TUNE if self.backend == "native" else GRAPH_TUNE

    @property
    def acceptance(self) -> float:
        """Wanted acceptance rate, the default filled in."""
        if self.target_accept is not None:
            return self.target_accept
        return NATIVE_ACCEPT if self.backend == "native" else GRAPH_ACCEPT

    @property
    def cores_used(self) -> int:
        """Chains that run at the same time."""
        return self.cores or min(self.chains, os.cpu_count() or 1)

    def run(self, model: Model) -> Fit:
        """Sample the posterior of `model`."""
        backend, notes = self._backend_for(model)
        self._require(backend)
        seed = secrets.randbits(31) if self.seed is None else self.seed
        if backend == "native":
            from .native_sampler import sample_native

            drawn, stats, seconds = sample_native(model, self, seed)
        else:
            from .graph_sampler import sample_graph

            drawn, stats, seconds = sample_graph(model, self, backend, seed)
        return finished_fit(model, self, backend, notes, seed, drawn, stats, seconds)

    def _backend_for(self, model: Model) -> tuple[str, tuple[Finding, ...]]:
        from ..density.joint_arrays import unknown_families

        unknown = unknown_families(model) if self.backend == "native" else []
        if not unknown:
            return self.backend, ()
        note = Finding(
            "backend",
            "note",
            f"The compiled density does not know the prior family {listed(unknown)}.",
            "PyMC's graph was sampled in its place, which has to be compiled for each model.",
        )
        return "nutpie", (note,)

    def _require(self, backend: str) -> None:
        from importlib.util import find_spec

        missing = [package for package in BACKENDS[backend] if find_spec(package) is None]
        if missing:
            raise EngineError(
                f"NUTS(backend={backend!r}) needs {', '.join(missing)}, which is not installed. "
                'Run pip install "hierlogit[jax]", or choose backend="native".'
            )


def finished_fit(
    model: Model,
    engine: NUTS,
    backend: str,
    notes: tuple[Finding, ...],
    seed: int,
    drawn: xr.Dataset,
    stats: xr.Dataset,
    seconds: dict[str, float],
) -> Fit:
    """Judge what a sampler has drawn, and put the fit together."""
    posterior, stats = _complete_part(drawn, stats)
    measures = convergence_measures(parameter_draws(model, posterior), stats)
    findings = convergence_findings(
        measures, posterior.sizes["chain"], posterior.sizes["draw"], (engine.chains, engine.draws)
    )
    settings = {name: value for name, value in asdict(engine).items() if name != "seed"}
    report = EngineReport(
        engine="NUTS",
        exact=True,
        status=status_of(findings),
        findings=findings + notes,
        settings=settings | {"tune": engine.steps_of_tuning, "target_accept": engine.acceptance, "backend": backend},
        seed=seed,
        measures=measures,
        seconds=seconds,
        versions=versions("arviz", "numba", "pytensor", *BACKENDS[backend]),
    )
    if findings:
        said = " ".join(f"{finding.evidence} {finding.remedy}" for finding in findings)
        warnings.warn(said, ConvergenceWarning, stacklevel=4)
    return Fit(model, assemble(model, posterior, stats), report)


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _complete_part(drawn: xr.Dataset, stats: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """The largest rectangle of chains and draws that an interrupted run has finished; all of them of a whole run.

    An interrupted sampler fills up what it has not drawn with values that are not numbers.

    Raises
    ------
    KeyboardInterrupt
        If no chain has finished its tuning: then there is nothing to keep.
    """
    finished = np.ones((drawn.sizes["chain"], drawn.sizes["draw"]), dtype=bool)
    energy = [stats["energy"]] if "energy" in stats else []
    for variable in [*drawn.data_vars.values(), *energy]:  # a run on disk may have more of one than of another
        values = variable.transpose("chain", "draw", ...).to_numpy()
        # One value of a draw says whether it was written.
        finished &= ~np.isnan(values.reshape(*values.shape[:2], -1)[..., -1])
    lengths = np.where(finished.all(axis=1), finished.shape[1], np.argmin(finished, axis=1))
    order = np.argsort(-lengths, kind="stable")
    cells = lengths[order] * np.arange(1, len(order) + 1)
    chains = int(np.argmax(cells)) + 1
    draws = int(lengths[order[chains - 1]])
    if draws < LEAST_DRAWS:
        raise KeyboardInterrupt
    part = {"chain": np.sort(order[:chains]), "draw": slice(0, draws)}
    return drawn.isel(part), stats.isel(part)
