"""Functions that a second process compiles: when it starts, is waited for and ends, and what its failures do."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import types

import hierlogit as hl
from hierlogit import python_process
from hierlogit.density.joint import c_callbacks
from hierlogit.density.joint.arrays import Joint
from hierlogit.density.marginal import fixed_effects, gauss_hermite, laplace_gradient, nested_gauss_hermite
from hierlogit.design.arrangement import OneFactorRowIndex
from hierlogit.engines.maximum.integrator import compiled_later
from hierlogit.numba_support import compiled_beside as beside
from hierlogit.numba_support.compile import _NoCache
from hierlogit.numba_support.inlining import KernelTaking, annotated_types


class Function:
    """A function that is yet to be compiled."""

    class_name = None

    def __init__(self, name: str) -> None:
        self.function_name = name

    def is_left(self) -> bool:
        return True

    def compile_ahead(self) -> None: ...


NAME = "hierlogit.density.marginal.laplace_gradient.differentiate"
FUNCTIONS = [Function(NAME)]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Processes that were started, as on a machine with two cores."""
    found: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        found.append(real(*args, **options))
        return found[-1]

    monkeypatch.setattr(beside, "usable_cores", lambda: 2)
    monkeypatch.setattr(python_process.subprocess, "Popen", start)
    return found


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has another program run in the second process."""

    def change(program: str) -> None:
        monkeypatch.setattr(beside, "PROGRAM", program)

    return change


SLEEPS = "import time; time.sleep(600)"


def waited() -> int:
    return sum(1 for _ in beside.waits(NAME))


def test_nothing_is_started_where_all_is_compiled(started: list[subprocess.Popen[bytes]]) -> None:
    functions = c_callbacks.CALLBACKS[Joint]
    for one in functions:
        one.compile_ahead()
    with beside.compiled_beside(functions):
        pass
    assert not started


def test_nothing_is_started_where_nothing_can_be_kept(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(laplace_gradient.differentiate, "_cache", _NoCache(len))
    monkeypatch.setattr(type(laplace_gradient.differentiate), "signatures", [])
    with beside.compiled_beside([laplace_gradient.differentiate]):
        pass
    assert not started


def test_nothing_is_started_where_all_cores_have_a_process(
    started: list[subprocess.Popen[bytes]], runs: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(SLEEPS)
    with beside.compiled_beside(FUNCTIONS), beside.compiled_beside([Function("another.function")]):
        assert len(started) == 1
    monkeypatch.setattr(beside, "usable_cores", lambda: 1)
    with beside.compiled_beside(FUNCTIONS):
        assert len(started) == 1


def test_a_function_is_compiled_by_one_process(
    started: list[subprocess.Popen[bytes]], runs: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(SLEEPS)
    monkeypatch.setattr(beside, "usable_cores", lambda: 8)
    with beside.compiled_beside(FUNCTIONS), beside.compiled_beside(FUNCTIONS):
        assert len(started) == 1


def test_the_process_has_this_ones_search_path_and_is_waited_for(
    started: list[subprocess.Popen[bytes]],
    runs: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    said = tmp_path / "said"
    runs(f"import sys, json, time; time.sleep(0.3); open({str(said)!r}, 'w').write(str(sys.path) + sys.argv[1])")
    monkeypatch.setattr(sys, "path", [*sys.path, "a place of its own"])
    with beside.compiled_beside(FUNCTIONS):
        assert waited() > 0
        assert started[0].returncode == 0
    assert "a place of its own" in said.read_text()
    assert NAME in said.read_text()


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import no_such_module_at_all"])
def test_a_process_that_fails_is_no_failure(
    started: list[subprocess.Popen[bytes]], runs: Callable[[str], None], program: str
) -> None:
    runs(program)
    with beside.compiled_beside(FUNCTIONS):
        waited()
    assert started[0].returncode not in (0, None)


def test_a_process_that_does_not_end_is_not_waited_for_forever(
    started: list[subprocess.Popen[bytes]], runs: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(SLEEPS)
    monkeypatch.setattr(beside, "PATIENCE", 0.3)
    before = time.monotonic()
    with beside.compiled_beside(FUNCTIONS):
        assert waited() > 0
    assert time.monotonic() - before < 60
    assert started[0].returncode is not None
    assert waited() == 0


def test_the_process_ends_when_the_body_is_interrupted(
    started: list[subprocess.Popen[bytes]], runs: Callable[[str], None]
) -> None:
    runs(SLEEPS)
    with pytest.raises(KeyboardInterrupt), beside.compiled_beside(FUNCTIONS):
        raise KeyboardInterrupt
    assert started[0].returncode is not None


@pytest.mark.parametrize("executable", ["", None, "/opt/statistics/bin/frozen-program"])
def test_a_program_that_is_no_interpreter_is_not_started_again(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with beside.compiled_beside(FUNCTIONS):
        assert waited() == 0
    assert not started


def test_a_system_that_starts_no_processes_is_no_failure(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_args: Any, **_options: Any) -> subprocess.Popen[bytes]:
        raise OSError

    monkeypatch.setattr(python_process.subprocess, "Popen", refused)
    with beside.compiled_beside(FUNCTIONS):
        assert waited() == 0
    assert not started


def test_the_process_ends_with_this_one(tmp_path: Path) -> None:
    program = f"""
import os, signal
from hierlogit.numba_support import compiled_beside as side
class Function:
    function_name = {NAME!r}
    class_name = None
    def is_left(self):
        return True
side.usable_cores = lambda: 2
side.PROGRAM = "import os, time; open({str(tmp_path / "number")!r}, 'w').write(str(os.getpid())); time.sleep(600)"
with side.compiled_beside([Function()]):
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


#: Functions on the search path, compiled by this process and by a second one.
MODULE = """
from typing import NamedTuple
import numpy as np
import numpy.typing as npt
from hierlogit.numba_support.compile import kernel
from hierlogit.numba_support.struct_by_address import by_address

@by_address
class Pair(NamedTuple):
    one: npt.NDArray[np.float64]
    other: npt.NDArray[np.float64]

@by_address
class OtherPair(Pair):
    pass

@kernel
def first(pair: Pair, factor: float) -> float:
    return factor * pair.one[0]

@kernel
def total(values: npt.NDArray[np.float64], start: float) -> float:
    for one in values:
        start += one
    return start
"""
WAITS = """
import sys, time
import numpy as np
from hierlogit.numba_support import compiled_beside as beside
from on_the_path import total
beside.usable_cores = lambda: 2
beside.PATIENCE = 600
with beside.compiled_beside([total]):
    assert beside._RUNNING
    assert total(np.arange(4.0), 1.0) == 7.0
    assert not total.is_left()
print(sum(total.stats.cache_hits.values()), sum(total.stats.cache_misses.values()))
with beside.compiled_beside([total]):
    assert not beside._RUNNING
"""


def test_a_call_takes_what_the_beside_has_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "on_the_path.py").write_text(MODULE)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *sys.path]))
    ran = subprocess.run([sys.executable, "-c", WAITS], capture_output=True, text=True, check=True, timeout=300)
    assert ran.stdout.split() == ["1", "0"], ran.stderr


FOR_A_CLASS = """
import numpy as np
from hierlogit.numba_support import compiled_beside as beside
from on_the_path import OtherPair, Pair, first
beside.usable_cores = lambda: 2
beside.PATIENCE = 600
with beside.compiled_beside([first.taking(OtherPair)]):
    assert beside._RUNNING
    assert first(OtherPair(np.array([3.0]), np.array([1.0])), 2.0) == 6.0
print(sum(first.stats.cache_hits.values()), sum(first.stats.cache_misses.values()))
assert first.taking(Pair).is_left() and not first.taking(OtherPair).is_left()
assert first(Pair(np.array([4.0]), np.array([1.0])), 2.0) == 8.0
print(sum(first.stats.cache_hits.values()), sum(first.stats.cache_misses.values()))
"""


def test_a_function_is_compiled_for_the_class_of_its_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "on_the_path.py").write_text(MODULE)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *sys.path]))
    ran = subprocess.run([sys.executable, "-c", FOR_A_CLASS], capture_output=True, text=True, check=True, timeout=300)
    assert ran.stdout.split() == ["1", "0", "1", "1"], ran.stderr


def test_types_are_those_of_the_annotations() -> None:
    laplace_types = annotated_types(laplace_gradient.differentiate.py_func)
    assert [str(one) for one in laplace_types[2:]] == [
        str(types.Array(dtype, 1, "C")) for dtype in (types.float64, types.int64, types.float64)
    ]
    assert laplace_types[0] is vars(type_of("RowIndex"))["compiled_type"]

    def function(count: int, size: float, flag: bool) -> None: ...

    assert annotated_types(function) == (types.int64, types.float64, types.boolean)


def type_of(name: str) -> type:
    kind: type = getattr(laplace_gradient, name)
    return kind


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    a = np.repeat(np.arange(12), 10)
    return {"y": rng.integers(0, 2, 120), "x": rng.normal(size=120), "a": a, "b": a * 2 + np.tile([0, 1], 60)}


LAST: tuple[Any, ...] = (fixed_effects.columns_times, fixed_effects.cross_with_effects)


def annotated(kernel: Any) -> tuple[Any, ...]:
    return annotated_types(kernel.py_func)


@pytest.mark.parametrize(
    ("formula", "nodes", "expected"),
    [
        ("y ~ x + (1 | a)", 1, [one.taking(OneFactorRowIndex) for one in (gauss_hermite.integrate, *LAST)]),
        ("y ~ x + (1 + x | a)", 5, [one.taking(OneFactorRowIndex) for one in (gauss_hermite.integrate, *LAST)]),
        ("y ~ x", 1, [laplace_gradient.differentiate.taking(OneFactorRowIndex)]),
        ("y ~ x + (1 | a/b)", 1, [nested_gauss_hermite.integrate, *LAST]),
        ("y ~ x + (1 + x | a) + (1 | b)", 1, [laplace_gradient.differentiate]),
    ],
)
def test_what_a_fit_needs_later_is_what_it_calls(
    rows: dict[str, Any], formula: str, nodes: int, expected: list[Any]
) -> None:
    model = hl.Model(formula, rows)
    assert list(compiled_later(model.design)) == expected
    with hl.errors.unsaid(hl.errors.HierlogitWarning):
        model.fit(hl.Laplace() if nodes == 1 else hl.AGQ(nodes=nodes))
    # Compiled ahead, it is not compiled again when it is called.
    for one in expected:
        assert one.types in one.kernel.overloads if isinstance(one, KernelTaking) else annotated(one) in one.overloads


def test_beta_binomial_models_have_no_beside(rows: dict[str, Any]) -> None:
    counts = rows | {"k": rows["y"], "n": np.full(120, 3)}
    assert compiled_later(hl.Model("p(k, n) ~ x + (1 | a)", counts, family="betabinomial").design) == ()


def without_shapes(
    x: np.ndarray[Any, np.dtype[np.float64]],
    y: npt.NDArray[np.int64],
    z: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> None:
    pass


def test_arrays_have_one_dimension_where_annotations_do_not_tell() -> None:
    assert annotated_types(without_shapes) == (
        types.Array(types.float64, 1, "C"),
        types.Array(types.int64, 1, "C"),
        types.Array(types.float64, 2, "C"),
    )
