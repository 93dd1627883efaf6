"""Compilation ahead of the first fit, and the files that are made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hierlogit.numba_support import code_files as on_disk
from hierlogit.numba_support import compile as compiled

#: Functions for factors with more levels than usual fits have, for searches that fail to begin, and for rows of nested
#: clusters that are left out one by one.
RARE = {
    "hierlogit.density.joint.log_density.evaluate",
    "hierlogit.density.marginal.iterative_part._add_probes",
    "hierlogit.effects.numerics.nested_rows.cluster_terms",
    "hierlogit.effects.numerics.nested_rows.inner_terms",
    "hierlogit.effects.numerics.nested_rows.leave_out",
    "hierlogit.effects.numerics.nested_rows.place_outer",
    "hierlogit.effects.numerics.nested_rows.without_row",
}


def test_functions_count_once_they_have_been_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk.code_files()  # loads all modules, whose functions are left out below
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiled, "_CACHES", [])

    def first(x: float) -> float:
        return x + 1.0

    def second(x: float) -> float:
        return x + 2.0

    for function in (first, second):
        function.__module__ = "hierlogit.made_up"
    called: Any = compiled.exact_kernel(first)
    compiled.exact_kernel(second)
    before = on_disk.code_files()
    assert (before.functions, before.size) == (0, 0)
    called(1.0)
    after = on_disk.code_files()
    assert after.functions == 1
    assert after.size == sum(path.stat().st_size for path in tmp_path.rglob("*.nb?"))
    assert after.missing == (f"hierlogit.made_up.{second.__qualname__}",)
    assert after.folder.is_relative_to(tmp_path)


@pytest.mark.slow
def test_everything_is_compiled_from_an_empty_cache(tmp_path: Path) -> None:
    code = "from hierlogit.compile_ahead import compile_ahead; print(*compile_ahead().missing, sep='\\n')"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == RARE


#: Fits of the kinds that people have, in a process of its own.
FITS = """
import numpy as np
import hierlogit as hl
from hierlogit.numba_support.code_files import code_files
random = np.random.default_rng(2)
a, b = random.integers(0, 9, 200), random.integers(0, 7, 200)
rows = {"y": random.integers(0, 2, 200), "k": random.integers(0, 6, 200), "n": np.full(200, 5),
        "x": random.standard_normal(200), "a": a, "b": b, "c": a * 7 + b}
before = code_files()
for random_terms in ("(1 | a)", "(1 + x | a)", "(1 | a) + (1 + x | b)", "(1 | a/c)"):
    model = hl.Model(f"y ~ x + {random_terms}", rows)
    for engine in (hl.Laplace(), hl.NUTS(draws=20, tune=40, chains=1, seed=1, progress=False)):
        fit = model.fit(engine)
        hl.summary(fit), hl.slopes(fit, "x"), hl.vpc(fit), hl.check(fit)
    counts = hl.Model(f"p(k, n) ~ x + {random_terms}", rows, family="betabinomial")
    counts.fit("laplace"), counts.fit(hl.NUTS(draws=20, tune=40, chains=1, seed=1, progress=False))
after = code_files()
print(after.functions - before.functions, after.size - before.size)
"""


@pytest.mark.slow
def test_fits_find_everything_compiled(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    for code in ("from hierlogit.compile_ahead import compile_ahead; compile_ahead()", FITS):
        command = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"]
