"""What all tests share: a backend that needs no screen, the reference fits, and fits made without sampling."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import settings

from hierlogit.fits.diagnostics import Diagnostics
from hierlogit.fits.fit import Fit
from hierlogit.fits.posterior import assemble
from hierlogit.model import Model
from hierlogit.model_spec import ModelSpec

mpl.use("Agg")

# A first call compiles, which no deadline can foresee. By default the examples are the same in each run.
settings.register_profile("hierlogit", deadline=None, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=1000)
# As many cases as CASES says for all tests of tests/properties/fuzz together; `make fuzz` uses it.
settings.register_profile("fuzz", deadline=None, max_examples=int(os.environ.get("CASES", "10000")), print_blob=True)
settings.load_profile("hierlogit")

# Shells start what runs in the background with interruptions ignored; tests of interruptions would then sample forever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent

# A script, not a module with examples to try.
collect_ignore = ["reference/exact_ml.py"]


@pytest.fixture
def interrupted_sampling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ctrl-C two seconds after the sampler has been started, however long it took to get there."""
    import _thread
    import threading

    import nutpie

    timer = threading.Timer(2.0, _thread.interrupt_main)
    sample = nutpie.sample

    def started(*arguments: Any, **options: Any) -> Any:
        timer.start()
        return sample(*arguments, **options)

    monkeypatch.setattr(nutpie, "sample", started)
    yield
    timer.cancel()


class CountingProcesses(ProcessPoolExecutor):
    """Processes that count what they are given."""

    submitted = 0

    def submit[**P, R](self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        self.submitted += 1
        return super().submit(fn, *args, **kwargs)


@pytest.fixture(scope="session")
def processes() -> Iterator[CountingProcesses]:
    """A process for tasks, which is started once for all tests: starting it takes longer than most of their tasks."""
    with CountingProcesses(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="session")
def page_after_scripts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Function of a page, as HTML, that returns what has become of it in a browser once its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no browser here")
    folder = tmp_path_factory.mktemp("browser")

    def shown(page: str) -> str:
        path = folder / "page.html"
        path.write_text(page, encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", "--dump-dom"]
        done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    return shown


@pytest.fixture(scope="session")
def load_tool() -> Callable[[str], ModuleType]:
    """A script of tools/ as a module, by its name."""

    @cache
    def loaded(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"tools_{name}", HERE.parent / "tools" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # its named tuples and dataclasses look it up
        spec.loader.exec_module(module)
        return module

    return loaded


@pytest.fixture(scope="session")
def messages_tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    """The module tools/messages.py: all texts of the package, and what is wrong with the form of a message."""
    return load_tool("messages")


@pytest.fixture(scope="session")
def faults_of_message(messages_tool: ModuleType) -> Callable[[str], list[str]]:
    """What is wrong with the form of an error message; nothing for a good one."""
    faults: Callable[[str], list[str]] = messages_tool.faults
    return faults


@pytest.fixture(scope="session")
def reference() -> dict[str, Any]:
    """Fits of the data sets by R software and by fine quadrature; tests/reference/README.md says what is in it."""
    fits: dict[str, Any] = json.loads((HERE / "reference" / "reference.json").read_text(encoding="utf-8"))
    return fits


def synthetic_fit(model: ModelSpec, draws: int = 200, seed: int = 1, chains: int = 2) -> Fit:
    """A fit of `model` whose draws come from normal distributions about made-up values."""
    rng = np.random.default_rng(seed)
    design, coords = model.design, model.coords
    shape, dims = (chains, draws), ("chain", "draw")
    variables: dict[str, Any] = {}
    if design.fixed_effects:
        centre = rng.normal(0, 0.6, len(design.fixed_effects)) / design.column_sds
        noise = rng.normal(0, 0.1, (*shape, len(design.fixed_effects))) / design.column_sds
        variables["beta"] = ((*dims, "fixed_effect"), centre + noise)
    for group in design.groups:
        name, dim, q = group.result_name, model.effect_dim(group), len(group.effects)
        sd = np.abs(rng.normal(0.7, 0.1, (*shape, q)))
        variables[f"sd_{name}"] = ((*dims, dim), sd)
        if group.correlated:
            cor = np.broadcast_to(np.eye(q), (*shape, q, q)).copy()
            for members in group.sets:
                for i in members:
                    for j in members:
                        if i != j:
                            cor[..., i, j] = -0.3 / (len(members) - 1)
            variables[f"cor_{name}"] = ((*dims, dim, f"{dim}_bis"), cor)
        centre = rng.normal(0, 0.7, (len(group.levels), q))
        variables[f"b_{name}"] = ((*dims, model.dim(group), dim), centre + rng.normal(0, 0.25, (*shape, *centre.shape)))
    if model.overdispersed:
        variables["phi"] = (dims, np.exp(rng.normal(1.5, 0.1, shape)))
    used = {dim for dimensions, _ in variables.values() for dim in dimensions}
    labels = {name: values for name, values in coords.items() if name in used}
    posterior = xr.Dataset(variables, coords={"chain": np.arange(chains), "draw": np.arange(draws), **labels})
    report = Diagnostics(
        "NUTS", True, "converged", seed=seed, measures={"max_rhat": 1.0, "min_ess_bulk": 400.0}, seconds={"sample": 0.1}
    )
    return Fit(model, assemble(model, posterior, None), report)


@pytest.fixture(scope="session")
def make_fit() -> Callable[..., Fit]:
    """Make a fit without sampling, from a formula and rows or from a model."""

    def make(formula: str | ModelSpec, data: Any, **options: Any) -> Fit:
        return synthetic_fit(Model(formula, data) if isinstance(formula, str) else formula, **options)

    return make


@pytest.fixture(scope="session")
def clustered_rows() -> Callable[..., pd.DataFrame]:
    """Make rows of clinics with a number, a text predictor, and a second factor that crosses the first."""

    def make(clusters: int, size: int, seed: int = 3) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        rows = clusters * size
        frame = pd.DataFrame(
            {
                "clinic": np.repeat([f"clinic {k + 1}" for k in range(clusters)], size),
                "dose": rng.uniform(0, 10, rows).round(2),
                "arm": rng.choice(["control", "new", "old"], rows),
                "reader": rng.choice(["Ann", "Bo", "Cleo", "Dee"], rows),
            }
        )
        effect = np.repeat(rng.normal(0, 0.8, clusters), size)
        p = 1 / (1 + np.exp(-(effect + 0.2 * (frame["dose"] - 5))))
        frame["healed"] = np.where(rng.uniform(size=rows) < p, "yes", "no")
        return frame

    return make
