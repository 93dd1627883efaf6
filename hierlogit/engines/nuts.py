"""The No-U-Turn sampler on the joint posterior of all parameters and cluster effects."""

from __future__ import annotations

import os
import secrets
import time
import warnings
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import ConvergenceWarning, EngineError
from ..fit import EngineReport, Fit, assemble, parameter_draws, posterior_variables, versions
from ..table import listed
from .convergence import convergence_findings, convergence_measures, status_of

if TYPE_CHECKING:
    from ..model import Model

#: Samplers that run PyMC's compiled graph, and the packages each needs besides PyMC.
BACKENDS: dict[str, tuple[str, ...]] = {
    "nutpie": ("nutpie",),
    "pymc": (),
    "numpyro": ("jax", "numpyro"),
    "blackjax": ("jax", "blackjax"),
}


#: Fewer draws from a chain cannot be diagnosed.
LEAST_DRAWS = 4


@dataclass(frozen=True)
class NUTS:
    """No-U-Turn sampling (Hoffman and Gelman 2014, Journal of Machine Learning Research 15: 1593-1623).

    Parameters
    ----------
    draws : int
        Draws kept from each chain.
    tune : int
        Steps of adaptation before them, not kept.
    chains : int
        Independent chains; four or more let R-hat see trouble.
    cores : int, optional
        Chains run at the same time; by default as many as the machine has cores.
    seed : int, optional
        Repeats the draws exactly. Without one a random seed is taken, and kept in the report.
    target_accept : float
        Wanted acceptance rate, between 0 and 1; higher means smaller steps and fewer divergences.
    backend : {"nutpie", "pymc", "numpyro", "blackjax"}
        What runs the chains. The last two need ``pip install "hierlogit[jax]"``.
    progress : bool
        Whether to show a progress bar.
    store_u : bool
        Whether the posterior also keeps the standardised effects ``u_<group>``.

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
    tune: int = 1000
    chains: int = 4
    cores: int | None = None
    seed: int | None = None
    target_accept: float = 0.9
    backend: str = "nutpie"
    progress: bool = True
    store_u: bool = False

    def __post_init__(self) -> None:
        for name, least in (("draws", LEAST_DRAWS), ("tune", 1), ("chains", 1)):
            value = getattr(self, name)
            if not _is_whole(value) or value < least:
                raise EngineError(f"NUTS: {name}={value!r} must be a whole number of at least {least}.")
            object.__setattr__(self, name, int(value))
        if self.cores is not None and (not _is_whole(self.cores) or self.cores < 1):
            raise EngineError(f"NUTS: cores={self.cores!r} must be a whole number of at least 1, or None.")
        if self.seed is not None and (not _is_whole(self.seed) or not 0 <= self.seed < 2**32):
            raise EngineError(f"NUTS: seed={self.seed!r} must be a whole number from 0 to 2**32 - 1, or None.")
        if not isinstance(self.target_accept, Real) or not 0 < self.target_accept < 1:
            raise EngineError(f"NUTS: target_accept={self.target_accept!r} must be between 0 and 1; 0.9 is usual.")
        if self.backend not in BACKENDS:
            raise EngineError(f"NUTS: backend={self.backend!r} is unknown; choose one of {listed(list(BACKENDS))}.")

    def run(self, model: Model) -> Fit:
        """Sample the posterior of `model`."""
        self._require_backend()
        seed = secrets.randbits(31) if self.seed is None else self.seed
        started = time.perf_counter()
        graph = model.to_pymc()
        built = time.perf_counter()
        tree = self._sample(graph, seed)
        sampled = time.perf_counter()

        drawn, stats = _complete_part(tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset())
        posterior = self._public(model, drawn)
        measures = convergence_measures(parameter_draws(model, posterior), stats)
        findings = convergence_findings(
            measures, posterior.sizes["chain"], posterior.sizes["draw"], (self.chains, self.draws)
        )
        report = EngineReport(
            engine="NUTS",
            exact=True,
            status=status_of(findings),
            findings=findings,
            settings={name: value for name, value in asdict(self).items() if name != "seed"},
            seed=seed,
            measures=measures,
            seconds=_stages(built - started, sampled - built, drawn.attrs.get("sampling_time")),
            versions=versions("pymc", "pytensor", "arviz", *BACKENDS[self.backend]),
        )
        if findings:
            said = " ".join(f"{finding.evidence} {finding.remedy}" for finding in findings)
            warnings.warn(said, ConvergenceWarning, stacklevel=3)
        return Fit(model, assemble(model, posterior, stats), report)

    def _require_backend(self) -> None:
        from importlib.util import find_spec

        missing = [package for package in BACKENDS[self.backend] if find_spec(package) is None]
        if missing:
            raise EngineError(
                f"NUTS(backend={self.backend!r}) needs {', '.join(missing)}, which is not installed. "
                'Run pip install "hierlogit[jax]", or choose backend="nutpie".'
            )

    def _sample(self, graph: Any, seed: int) -> xr.DataTree:
        import pymc as pm

        tree: xr.DataTree = pm.sample(
            draws=self.draws,
            tune=self.tune,
            chains=self.chains,
            cores=self.cores or min(self.chains, os.cpu_count() or 1),
            random_seed=seed,
            model=graph,
            nuts_sampler=self.backend,
            nuts={"target_accept": self.target_accept},
            progressbar=self.progress,
            quiet=not self.progress,
            compute_convergence_checks=False,
        )
        return tree

    def _public(self, model: Model, drawn: xr.Dataset) -> xr.Dataset:
        names = posterior_variables(model)
        if self.store_u:
            names += [f"u_{group.result_name}" for group in model.design.groups]
        # Copies, because the JAX samplers return arrays that cannot be written to.
        kept = drawn[names].map(lambda values: values.copy(data=np.array(values)), keep_attrs=True)
        for name in names:
            if name.startswith("cor_"):  # exactly 1, without the rounding errors of its Cholesky factor
                np.einsum("...ii->...i", kept[name].values)[...] = 1.0
        return kept.drop_vars([name for name in kept.coords if name not in kept.dims])


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
    first = drawn[next(iter(drawn.data_vars))].transpose("chain", "draw", ...).to_numpy()
    finished = ~np.isnan(first).reshape(*first.shape[:2], -1).all(axis=-1)
    lengths = np.where(finished.all(axis=1), finished.shape[1], np.argmin(finished, axis=1))
    order = np.argsort(-lengths, kind="stable")
    cells = lengths[order] * np.arange(1, len(order) + 1)
    chains = int(np.argmax(cells)) + 1
    draws = int(lengths[order[chains - 1]])
    if draws < LEAST_DRAWS:
        raise KeyboardInterrupt
    part = {"chain": np.sort(order[:chains]), "draw": slice(0, draws)}
    return drawn.isel(part), stats.isel(part)


def _stages(building: float, whole: float, sampling: float | None) -> dict[str, float]:
    if sampling is None:
        return {"build": building, "sample": whole}
    return {"build": building, "compile": whole - float(sampling), "sample": float(sampling)}
