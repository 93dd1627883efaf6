"""Named tuples taken by address, views in compiled code, and the process that compiles beside this one."""

from __future__ import annotations

import copy
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from numba import config

from hierlogit.density.integrated import c_callbacks as integrated_callbacks
from hierlogit.density.joint import background_compile as side_process
from hierlogit.density.joint import c_callbacks, overdispersed_callbacks
from hierlogit.numba_support.compile import are_compiled, kernel
from hierlogit.numba_support.struct_by_address import by_address
from hierlogit.numba_support.target import TARGET
from hierlogit.numba_support.vectors import after, view, window

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@by_address
class Pair(NamedTuple):
    numbers: FloatArray
    places: IntArray


@kernel
def picked(pair: Pair, factor: float) -> float:
    total = 0.0
    for place in pair.places:
        total += factor * pair.numbers[place]
    return total


@kernel
def written(pair: Pair) -> None:
    for i in range(len(pair.numbers)):
        pair.numbers[i] = i


def pair() -> Pair:
    return Pair(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 2]))


# ---- by address --------------------------------------------------------------------------------------------------


def test_compiled_functions_read_and_write_the_arrays() -> None:
    given = pair()
    assert picked(given, 2.0) == 18.0
    written(given)
    assert given.numbers.tolist() == [0.0, 1.0, 2.0]


def test_other_arrays_need_no_other_compilation() -> None:
    picked(pair(), 1.0)
    compiled = len(picked.signatures)
    assert picked(Pair(np.arange(5.0), np.empty(0, dtype=np.int64)), 1.0) == 0.0
    assert picked(pair()._replace(numbers=np.array([3.0, 0.0, 5.0])), 1.0) == 13.0
    assert len(picked.signatures) == compiled


def test_arrays_of_two_dimensions_are_read_as_they_stand_in_memory() -> None:
    columns = np.asfortranarray([[1.0, 3.0], [2.0, 4.0]])
    assert picked(Pair(columns, np.array([2])), 1.0) == 3.0


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_an_address_of_its_own(again: Any) -> None:
    given = pair()
    assert picked(given, 1.0) == 9.0
    found = again(given)
    assert type(found) is Pair
    assert found.address != given.address
    assert picked(found, 1.0) == 9.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("numbers", np.arange(6.0)[::2]),
        ("numbers", np.arange(3)),
        ("places", np.array([0.0])),
        ("places", np.array([0], dtype=np.int32)),
    ],
)
def test_arrays_that_would_be_misread_are_refused(field: str, value: np.ndarray) -> None:
    with pytest.raises(TypeError, match=f"Pair.{field} must be a contiguous array"):
        picked(pair()._replace(**{field: value}), 1.0)


# ---- views -------------------------------------------------------------------------------------------------------


@kernel
def turned(values: FloatArray, start: int, stop: int) -> tuple[int, int, int]:
    one, other, last = view(values, start, stop), window(values, start, stop - start), after(values, start)
    for i in range(len(one)):
        one[i] += 1.0
        other[i] *= 2.0
        last[i] -= 3.0
    return len(one), len(other), len(last)


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (2, 4), (3, 3), (5, 5)])
def test_views_are_slices(start: int, stop: int) -> None:
    values, expected = np.arange(5.0), np.arange(5.0)
    expected[start:stop] = (expected[start:stop] + 1) * 2 - 3
    assert turned(values, start, stop) == (stop - start, stop - start, 5 - start)
    np.testing.assert_array_equal(values, expected)


# ---- interruptions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cached", [False, True])
def test_an_interruption_while_machine_code_is_made_is_one(
    cached: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))

    def new() -> Any:
        @kernel
        def doubled(x: float) -> float:
            return 2 * x

        return doubled

    first = new()
    if cached:
        assert first(1.0) == 2.0
        first = new()
    engine = TARGET.target_context.codegen()._engine._ee

    def interrupting(function: Any) -> Any:
        def called(*arguments: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            return function(*arguments)

        return called

    with monkeypatch.context() as patch:
        for name in ("_object_cache_notify", "_object_cache_getbuffer"):
            patch.setattr(engine, name, interrupting(getattr(engine, name)))
        with pytest.raises(KeyboardInterrupt):
            first(1.0)
    assert first(1.0) == new()(1.0) == 2.0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---- the process beside ------------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Processes that were started, as on a machine where nothing is compiled."""
    found: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        found.append(real(*args, **options))
        return found[-1]

    monkeypatch.setattr(side_process, "are_compiled", lambda _functions: False)
    monkeypatch.setattr(side_process.subprocess, "Popen", start)
    return found


def test_nothing_is_started_where_all_is_compiled(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_process, "are_compiled", lambda _functions: True)
    with side_process.density_compiled_beside(c_callbacks):
        pass
    assert not started


def test_the_process_has_this_ones_search_path_and_is_waited_for(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    program = f"import sys, json, time; time.sleep(0.3); open({str(said)!r}, 'w').write(sys.argv[1])"
    monkeypatch.setattr(side_process, "PROGRAM", program)
    monkeypatch.setattr(sys, "path", [*sys.path, "a place of its own"])
    with side_process.density_compiled_beside(c_callbacks):
        assert started[0].poll() is None
    assert "a place of its own" in said.read_text()
    assert started[0].returncode == 0


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import no_such_module_at_all"])
def test_a_process_that_fails_is_no_failure(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(side_process, "PROGRAM", program)
    with side_process.density_compiled_beside(c_callbacks):
        pass
    assert started[0].returncode != 0


def test_a_process_that_does_not_end_is_ended(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_process, "PROGRAM", "import time; time.sleep(600)")
    monkeypatch.setattr(side_process, "PATIENCE", 0.1)
    before = time.monotonic()
    with side_process.density_compiled_beside(c_callbacks):
        pass
    assert time.monotonic() - before < 60
    assert started[0].returncode is not None


def test_the_process_ends_when_the_body_is_interrupted(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_process, "PROGRAM", "import time; time.sleep(600)")
    with pytest.raises(KeyboardInterrupt), side_process.density_compiled_beside(c_callbacks):
        raise KeyboardInterrupt
    assert started[0].returncode is not None


@pytest.mark.parametrize("executable", ["", None, "/opt/statistics/bin/frozen-program"])
def test_a_program_that_is_no_interpreter_is_not_started_again(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with side_process.density_compiled_beside(c_callbacks):
        pass
    assert not started


def test_a_system_that_starts_no_processes_is_no_failure(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_args: Any, **_options: Any) -> subprocess.Popen[bytes]:
        raise OSError

    monkeypatch.setattr(side_process.subprocess, "Popen", refused)
    with side_process.density_compiled_beside(c_callbacks):
        pass
    assert not started


@pytest.mark.parametrize("module", [c_callbacks, overdispersed_callbacks, integrated_callbacks])
def test_c_functions_are_on_disk_once_they_are_compiled(module: ModuleType) -> None:
    for one in module.CALLBACKS:
        one.compile()
    assert are_compiled(module.CALLBACKS)


# ---- machine code ------------------------------------------------------------------------------------------------

#: Newton's step of a Laplace approximation: one compiled function called from here and from within another one.
STEP = """
import numpy as np
import hierlogit as hl
from hierlogit.density.marginal.conditional_mode import ascend, joint_log_density
from hierlogit.density.marginal.laplace import LaplaceLikelihood

rng = np.random.default_rng(2)
rows = {"y": rng.integers(0, 2, 240), "g": np.repeat(np.arange(12), 20)}
likelihood = LaplaceLikelihood(hl.Model("y ~ 1 + (1 | g)", rows).arrangement)
row_index, work = likelihood.arrangement.row_index, likelihood.work
eta, cholesky, parts = np.full(240, 0.3), np.array([0.9]), np.array([0])
joint_log_density(row_index, work, cholesky, eta, parts)
work.step[:] = rng.normal(size=len(work.step))
ascend(row_index, work, cholesky, eta, parts)
print(work.weight.tobytes().hex())
"""


def test_what_has_just_been_compiled_computes_as_what_is_read_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To the last bit: a sampler makes other draws of any difference.
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    command = [sys.executable, "-c", STEP]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert list(tmp_path.rglob("*.nbc"))
    assert first == second


def test_a_change_in_any_compiled_file_has_all_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hierlogit.numba_support import compile as compiled

    def function(x: float) -> float:
        return x + 1.0

    state = compiled._stamp()
    package = Path(compiled.__file__).parents[1]
    files = package.joinpath("density", "joint").glob("*.py")
    assert {name for name, _ in state} >= {path.relative_to(package).as_posix() for path in files}
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    first = compiled.exact_kernel(function)
    assert first(1.0) == 2.0
    assert sum(compiled.exact_kernel(function).stats.cache_hits.values()) == 0
    again: Any = compiled.exact_kernel(function)
    again(1.0)
    assert sum(again.stats.cache_hits.values()) == 1
    monkeypatch.setattr(compiled, "_stamp", lambda: (*state, ("new.py", "")))
    changed: Any = compiled.exact_kernel(function)
    changed(1.0)
    assert sum(changed.stats.cache_hits.values()) == 0


def test_the_process_ends_with_this_one(tmp_path: Path) -> None:
    program = f"""
import os, signal
from hierlogit.density.joint import background_compile as side
from hierlogit.density.joint import c_callbacks
side.are_compiled = lambda _functions: False
side.PROGRAM = "import os, time; open({str(tmp_path / "number")!r}, 'w').write(str(os.getpid())); time.sleep(600)"
with side.density_compiled_beside(c_callbacks):
    while not os.path.exists({str(tmp_path / "number")!r}) or not open({str(tmp_path / "number")!r}).read():
        pass
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False, timeout=120)
    started = int((tmp_path / "number").read_text())
    for _ in range(200):
        if not running(started):
            return
        time.sleep(0.05)
    raise AssertionError("the process is still running")


def running(process: int) -> bool:
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"
