"""Fits by samplers in Python, each in a process of its own, which runs this file::

    python benchmarks/samplers.py REQUEST

REQUEST is a `Request` as JSON. The process fits once with few draws, which imports and compiles whatever is reused by
later fits. Then it fits with the requested options, prints the time and memory of that fit as one line of JSON, and
writes the draws to a file.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import statistics
import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from machine import ONE_THREAD_A_CHAIN, peak_memory

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from posterior_cases import PosteriorCase

#: What a timed fit includes in addition to sampling.
INCLUDED = {
    "hierlogit": "model from formula and data frame, start at the mode, convergence measures of all parameters",
    "hierlogit_sampled": "as hierlogit, cluster effects sampled with the parameters",
    "hierlogit_integrated": "as hierlogit, effects of one factor integrated out at each step, and drawn afterwards",
    "hierlogit_nutpie": "model from formula and data frame, compiling its graph, convergence measures",
    "hierlogit_importance": "model from formula and data frame, mode of the marginal posterior, draws of the effects",
    "pymc": "model from formula and data frame by hierlogit's to_pymc, compiling; PyMC's default sampler, nutpie",
    "pymc_own": "as pymc, with PyMC's own sampler and its convergence checks; chains in processes of their own",
    "bambi": "model from formula and data frame, compiling; Bambi's default: PyMC's own sampler",
    "bambi_nutpie": "model from formula and data frame, compiling",
    "rstanarm": "model from formula and data frame, Rhat and n_eff; its code was compiled with the package",
}


@dataclass(frozen=True)
class Request:
    """Task of one process.

    Attributes
    ----------
    engine, model, variant : str
    draws : int
        Draws per chain.
    tune : int or None
        Adaptation steps; None for the engine's default.
    chains, cores, seed : int
    draws_file : str
        File for the draws of the parameters, an ``npz`` file with `values` (chain, draw, parameter) and `labels`.
    """

    engine: str
    model: str
    variant: str
    draws: int
    tune: int | None
    chains: int
    cores: int
    seed: int
    draws_file: str

    def options(self, cores: str, seed: str) -> dict[str, Any]:
        """Options of a sampler that uses these names for the numbers of cores and the seed."""
        given = {"draws": self.draws, "chains": self.chains, cores: self.cores, seed: self.seed}
        return given if self.tune is None else given | {"tune": self.tune}


@dataclass
class Steps:
    """Statistics of a sampler.

    Attributes
    ----------
    tuning, draws : int
        Evaluations of the density and its gradient, summed over chains.
    seconds : float
        Time of the steps, summed over chains, if it is available.
    compiled : Any
        nutpie's model.
    """

    tuning: int = 0
    draws: int = 0
    seconds: float = 0.0
    compiled: Any = None

    @property
    def total(self) -> int:
        """Total number of evaluations."""
        return self.tuning + self.draws

    def add(self, trace: Any, draw: Any) -> None:
        """Callback of PyMC's own sampler, which fixes the argument names."""
        del trace
        told = draw.stats[0]
        self.seconds += float(told["perf_counter_diff"])
        if draw.tuning:
            self.tuning += int(told["tree_size"])
        else:
            self.draws += int(told["tree_size"])


@dataclass
class _Trace:
    """nutpie's trace, which can be read only once."""

    trace: Any
    batches: Any = field(init=False)

    def __post_init__(self) -> None:
        self.batches = self.trace.get_arrow_trace()

    def get_arrow_trace(self) -> Any:
        return self.batches

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trace, name)


@contextlib.contextmanager
def _nutpie_steps() -> Iterator[Steps]:
    """Count the evaluations of nutpie, which are in only some of its results."""
    import nutpie

    steps = Steps()
    sampler = sys.modules[nutpie.sample.__module__]._BackgroundSampler
    extract = sampler._extract

    def counted(self: Any, results: Any) -> Any:
        kept = _Trace(results)
        for batch in kept.batches[1]:
            counts, tuning = (_numbers(batch.column(name)) for name in ("n_steps", "tuning"))
            steps.tuning += int(counts[tuning.astype(bool)].sum())
            steps.draws += int(counts[~tuning.astype(bool)].sum())
        steps.compiled = self._compiled_model
        return extract(self, kept)

    sampler._extract = counted
    try:
        yield steps
    finally:
        sampler._extract = extract


def _numbers(column: Any) -> np.ndarray:
    import pyarrow

    return pyarrow.array(column).to_numpy(False)


class Sampler(ABC):
    """An engine and a model.

    Parameters
    ----------
    request : Request
    case : PosteriorCase
    frame : pandas.DataFrame
    """

    def __init__(self, request: Request, case: PosteriorCase, frame: pd.DataFrame) -> None:
        self.request, self.case, self.frame = request, case, frame

    @abstractmethod
    def fit(self, request: Request, steps: Steps) -> Any:
        """The part that is timed: model, sampling, convergence diagnostics."""

    @abstractmethod
    def read(self, found: Any) -> tuple[list[str], np.ndarray, dict[str, Any]]:
        """Labels and draws of the parameters, and the other results of the engine."""


#: What this package's NUTS does with the cluster effects, where it is not left to it.
_EFFECTS = {"hierlogit_sampled": "sampled", "hierlogit_integrated": "integrated"}


class _Hierlogit(Sampler):
    def fit(self, request: Request, _steps: Steps) -> Any:
        import hierlogit as hl

        backend = "nutpie" if request.engine == "hierlogit_nutpie" else "native"
        effects = _EFFECTS.get(request.engine, "auto")
        engine = hl.NUTS(backend=backend, effects=effects, progress=False, **request.options("cores", "seed"))
        return self.case.model(self.frame, request.variant).fit(engine)

    def read(self, found: Any) -> tuple[list[str], np.ndarray, dict[str, Any]]:
        labels, values = _parameters(found.model, found.posterior)
        told = {
            "sampling_seconds": found.diagnostics.seconds["sample"],
            "stages": dict(found.diagnostics.seconds),
            "divergences": int(found.data["sample_stats"]["diverging"].sum()),
        }
        if found.diagnostics.settings["backend"] != (
            "nutpie" if self.request.engine == "hierlogit_nutpie" else "native"
        ):
            raise RuntimeError(f"sampled by another backend: {found.diagnostics.settings['backend']}")
        return labels, values, told


class _Importance(Sampler):
    """As many independent draws as the chains of the others have together."""

    def fit(self, request: Request, _steps: Steps) -> Any:
        import hierlogit as hl

        draws = max(100, request.draws * request.chains)  # the first fit asks for fewer than are allowed
        engine = hl.ImportanceSampling(draws=draws, cores=request.cores, seed=request.seed, progress=False)
        return self.case.model(self.frame, request.variant).fit(engine)

    def read(self, found: Any) -> tuple[list[str], np.ndarray, dict[str, Any]]:
        if found.diagnostics.engine != "ImportanceSampling":
            raise RuntimeError(f"sampled by {found.diagnostics.engine} instead")
        labels, values = _parameters(found.model, found.posterior)
        seconds, measures = dict(found.diagnostics.seconds), found.diagnostics.measures
        told = {"sampling_seconds": sum(seconds.values()), "stages": seconds, "divergences": 0}
        return labels, values, told | {name: measures[name] for name in ("ess_weights", "pareto_k")}


class _PyMC(Sampler):
    def fit(self, request: Request, steps: Steps) -> Any:
        import pymc as pm

        own = {"nuts_sampler": "pymc", "callback": steps.add} if request.engine == "pymc_own" else {}
        graph = self.case.model(self.frame, request.variant).to_pymc()
        return pm.sample(model=graph, progressbar=False, **own, **request.options("cores", "random_seed"))

    def read(self, found: Any) -> tuple[list[str], np.ndarray, dict[str, Any]]:
        model = self.case.model(self.frame, self.request.variant)
        labels, values = _parameters(model, found["posterior"].to_dataset())
        return labels, values, _told_by_pymc(found)


class _Bambi(Sampler):
    def __init__(self, request: Request, case: PosteriorCase, frame: pd.DataFrame) -> None:
        super().__init__(request, case, frame)
        self.model = case.model(frame, request.variant)

    def fit(self, request: Request, steps: Steps) -> Any:
        nutpie = request.engine == "bambi_nutpie"
        how = {"inference_method": "nutpie"} if nutpie else {"inference_method": "pymc", "callback": steps.add}
        return self.model.to_bambi().fit(progressbar=False, **how, **request.options("cores", "random_seed"))

    def read(self, found: Any) -> tuple[list[str], np.ndarray, dict[str, Any]]:
        import numpy as np

        design, posterior = self.model.design, found["posterior"].to_dataset()
        labels: dict[str, list[str]] = {}  # of the variables of Bambi's posterior, in the order of its levels
        for label, term in zip(design.fixed_effects, design.fixed_terms, strict=True):
            labels.setdefault(term, []).append(label)
        for group in design.groups:
            for effect, term in zip(group.effects, group.terms, strict=True):
                name = f"{'1' if term == 'Intercept' else term}|{group.name}_sigma"
                labels.setdefault(name, []).append(f"sd_{group.result_name}[{effect}]")
        parts = []
        for name, own in labels.items():
            values = posterior[name].transpose("chain", "draw", ...).to_numpy()
            parts.append(values.reshape(*values.shape[:2], len(own)))
        told = [label for own in labels.values() for label in own]
        return told, np.concatenate(parts, axis=-1), _told_by_pymc(found)


def _parameters(model: Any, posterior: Any) -> tuple[list[str], np.ndarray]:
    from hierlogit.fits.posterior import parameter_draws

    drawn = parameter_draws(model, posterior)
    return [str(label) for label in drawn["parameter"].to_numpy()], drawn.to_numpy()


def _told_by_pymc(found: Any) -> dict[str, Any]:
    return {
        "sampling_seconds": float(found["posterior"].attrs["sampling_time"]),
        "divergences": int(found["sample_stats"]["diverging"].sum()),
    }


_SAMPLERS: dict[str, type[Sampler]] = {
    "hierlogit": _Hierlogit,
    **dict.fromkeys(_EFFECTS, _Hierlogit),
    "hierlogit_nutpie": _Hierlogit,
    "hierlogit_importance": _Importance,
    "pymc": _PyMC,
    "pymc_own": _PyMC,
    "bambi": _Bambi,
    "bambi_nutpie": _Bambi,
}

PYTHON_SAMPLERS = tuple(_SAMPLERS)


def measure(request: Request) -> dict[str, Any]:
    """Fit twice, first with few draws, and return the time and memory of the second fit."""
    import numpy as np
    from posterior_cases import POSTERIOR_CASES

    case = POSTERIOR_CASES[request.model]
    sampler = _SAMPLERS[request.engine](request, case, case.frame())
    few = Request(**asdict(request) | {"draws": 10, "tune": 20, "chains": 1, "cores": 1})
    by_nutpie = request.engine not in ("hierlogit_importance", "pymc_own", "bambi")
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        start = time.perf_counter()
        sampler.fit(few, Steps())
        first = time.perf_counter() - start
    before = peak_memory()
    with warnings.catch_warnings(record=True) as caught, _nutpie_steps() if by_nutpie else _own_steps() as steps:
        warnings.simplefilter("always")
        cpu, start = _cpu_seconds(), time.perf_counter()
        found = sampler.fit(request, steps)
        seconds, cpu = time.perf_counter() - start, _cpu_seconds() - cpu
    peak = peak_memory()
    labels, values, told = sampler.read(found)
    np.savez(request.draws_file, values=values, labels=np.array(labels))
    chain_seconds = steps.seconds or told["sampling_seconds"] * min(request.cores, request.chains)
    return told | {
        "first_seconds": first,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mib": peak,
        "peak_mib_before": before,
        "evaluations_tuning": steps.tuning,
        "evaluations_draws": steps.draws,
        "us_per_evaluation": 1e6 * chain_seconds / steps.total if steps.total else None,
        "us_direct": _direct_microseconds(steps.compiled) if by_nutpie else None,
        "notes": list(dict.fromkeys(str(one.message) for one in caught)),
    }


@contextlib.contextmanager
def _own_steps() -> Iterator[Steps]:
    yield Steps()


def _cpu_seconds() -> float:
    """CPU time of this process and of its child processes that have ended."""
    told = os.times()
    return told.user + told.system + told.children_user + told.children_system


def _direct_microseconds(compiled: Any) -> float | None:
    """Median time of an evaluation of the density and its gradient on one core, called as nutpie does."""
    import numpy as np

    if hasattr(compiled, "compiled_logp_func"):
        address, data = compiled.compiled_logp_func.address, compiled.user_data
    else:
        address, data, *_ = compiled.c_functions()
    pointer = ctypes.c_void_p
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, pointer, pointer, pointer, pointer)(address)
    size = compiled.n_dim
    points = 0.3 * np.random.default_rng(1).standard_normal((16, size))
    gradient, value = np.empty(size), np.empty(1)
    places = [one.ctypes.data for one in points]
    rest = (gradient.ctypes.data, value.ctypes.data, data.ctypes.data)

    def batch(count: int) -> float:
        start = time.perf_counter()
        for k in range(count):
            function(size, places[k % 16], *rest)
        return (time.perf_counter() - start) / count

    count = max(1, min(2000, int(0.02 / batch(16))))
    return 1e6 * statistics.median(batch(count) for _ in range(25))


if __name__ == "__main__":
    os.environ.update(ONE_THREAD_A_CHAIN)
    print(json.dumps(measure(Request(**json.loads(sys.argv[1])))))  # noqa: T201
