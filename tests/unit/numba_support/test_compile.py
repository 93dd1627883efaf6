"""Named tuples taken by address, views in compiled code, and machine code on disk."""

from __future__ import annotations

import copy
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from numba import config
from numba.core.errors import TypingError

from hierlogit.density.integrated import c_callbacks as integrated_callbacks
from hierlogit.density.joint import c_callbacks
from hierlogit.density.joint.arrays import Joint, OneFactorJoint, OverdispersedJoint
from hierlogit.numba_support.compile import CFunction, kernel
from hierlogit.numba_support.struct_by_address import by_address
from hierlogit.numba_support.target import TARGET
from hierlogit.numba_support.vectors import after, view, window

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@by_address
class Pair(NamedTuple):
    numbers: FloatArray
    places: IntArray


@by_address
class Positive(Pair):
    @property
    def signed(self) -> bool:
        return False


@by_address
class Signed(Positive):
    @property
    def signed(self) -> bool:
        return True


def not_compiled() -> float:
    return float("".join(["4", "2"]).encode().hex())


@kernel
def total(pair: Positive) -> float:
    sum_of = 0.0
    for number in pair.numbers:
        if pair.signed:
            sum_of -= not_compiled()
        sum_of += number
    if not pair.signed:
        return sum_of
    return not_compiled()


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


def test_branches_that_a_class_rules_out_are_not_compiled() -> None:
    assert total(Positive(*pair())) == 7.0
    with pytest.raises(TypingError, match="not_compiled"):
        total(Signed(*pair()))


def test_constants_are_attributes_for_python_too() -> None:
    assert not Positive(*pair()).signed
    assert Signed(*pair()).signed


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


#: The first compilation of a process, interrupted while Numba's registrations are taken over, and another one.
INTERRUPTED = """
import signal
import numpy as np
from hierlogit.density.joint import c_callbacks
from hierlogit.numba_support.compile import kernel
from hierlogit.numba_support.target import TARGET

@kernel
def size(values):
    return values.size + np.empty_like(values).size

engine = TARGET.target_context.codegen()._engine._ee
real = engine._object_cache_notify

def interrupting(*arguments):
    signal.raise_signal(signal.SIGINT)
    return real(*arguments)

engine._object_cache_notify = interrupting
try:
    size(np.zeros(3))
except KeyboardInterrupt:
    print("interrupted")
engine._object_cache_notify = real
print(size(np.zeros(3)))
"""


def test_after_an_interruption_everything_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "program.py").write_text(INTERRUPTED)
    ran = subprocess.run([sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["interrupted", "6"], ran.stderr


# ---- C functions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "functions",
    [
        pytest.param(c_callbacks.CALLBACKS[Joint], id="several"),
        pytest.param(c_callbacks.CALLBACKS[OneFactorJoint], id="one"),
        pytest.param(c_callbacks.CALLBACKS[OverdispersedJoint], id="overdispersed"),
        pytest.param(integrated_callbacks.CALLBACKS, id="integrated"),
    ],
)
def test_c_functions_are_on_disk_once_they_are_compiled(functions: tuple[CFunction, ...]) -> None:
    for one in functions:
        one.compile_ahead()
        assert not one.is_left()


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
