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
