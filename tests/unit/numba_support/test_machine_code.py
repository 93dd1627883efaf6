"""Machine code that is read from disk, in new processes which use Numba themselves in every order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FIT = (
    "import sys, numpy as np, hierlogit as hl\n"
    "def fit():\n"
    "    found = hl.Model('y ~ week + (1 | ID)', hl.datasets.load('bacteria')).fit(hl.Laplace(seed=1))\n"
    "    return found.estimate.standard_errors.tobytes().hex()\n"
)
OWN = (
    "def own():\n"
    "    import numba\n"
    "    @numba.njit\n"
    "    def doubled(x):\n"
    "        twice = np.empty(len(x))\n"
    "        for i in range(len(x)):\n"
    "            twice[i] = 2 * x[i]\n"
    "        return twice, [i for i in range(len(x))], str(len(x))\n"
    "    values, places, text = doubled(np.arange(3.0))\n"
    "    assert values.tolist() == [0, 2, 4] and places == [0, 1, 2] and text == '3'\n"
)
#: Declares and compiles a function of the package's target, as those that are not on disk yet.
COMPILED = (
    "def compiled():\n"
    "    from hierlogit.numba_support.compile import kernel\n"
    "    from hierlogit.numba_support.vectors import vector\n"
    "    @kernel\n"
    "    def ones(n):\n"
    "        made = vector(n)\n"
    "        made[:] = 1\n"
    "        return made\n"
    "    assert ones(3).tolist() == [1, 1, 1]\n"
)


def printed(code: str, folder: Path) -> list[str]:
    """What a new process prints, in this folder."""
    program = folder / "program.py"
    program.write_text(FIT + OWN + COMPILED + code)
    command = [sys.executable, "-W", "error", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Standard errors of the fit, after which its machine code is on disk."""
    (errors,) = printed("print(fit())", tmp_path_factory.mktemp("first"))
    return errors


def test_it_takes_no_compiler(on_disk: str, tmp_path: Path) -> None:
    code = (
        "print(fit())\n"
        "from numba.core.runtime import rtsys\n"
        "print(rtsys._init, *({'yaml', 'numba.np.arrayobj', 'numba.cpython.unicode'} & set(sys.modules)))"
    )
    assert printed(code, tmp_path) == [on_disk, "False"]


@pytest.mark.parametrize(
    "code",
    [
        "import numba; own(); print(fit()); own(); compiled()",
        "import numba; print(fit()); own(); compiled()",
        "print(fit()); import numba; own(); compiled()",
        "print(fit()); compiled(); own()",
        "compiled(); print(fit()); own()",
    ],
    ids=["own function first", "Numba first", "Numba after", "compiled after", "compiled first"],
)
def test_programs_may_compile_before_and_after(on_disk: str, tmp_path: Path, code: str) -> None:
    assert printed(code, tmp_path) == [on_disk]


def test_threads_may_read_it_at_once(on_disk: str, tmp_path: Path) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as threads:\n"
        "    found = [threads.submit(fit) for _ in range(4)] + [threads.submit(own)]\n"
        "print(*{one.result() for one in found[:4]})\n"
        "found[4].result()"
    )
    assert printed(code, tmp_path) == [on_disk]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_other_processes_get_functions_and_models(on_disk: str, tmp_path: Path, start: str) -> None:
    if start == "fork" and sys.platform != "linux":
        pytest.skip("processes are forked on Linux only")
    code = (
        "import multiprocessing, warnings\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from hierlogit.numba_support.vectors import dot\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "if __name__ == '__main__':\n"
        "    print(fit())\n"
        f"    with ProcessPoolExecutor(1, multiprocessing.get_context('{start}')) as pool:\n"
        "        print(*pool.map(dot, [np.ones(2)] * 3, [np.ones(2)] * 3))\n"
        "        model = hl.Model('y ~ week + (1 | ID)', hl.datasets.load('bacteria'))\n"
        "        other = pool.submit(model.fit, hl.Laplace(seed=1)).result()\n"
        "        print(other.estimate.standard_errors.tobytes().hex())"
    )
    assert printed(code, tmp_path) == [on_disk, "2.0", "2.0", "2.0", on_disk]


def test_numbas_file_of_settings_is_read(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    (tmp_path / ".numba_config.yaml").write_text("debug_array_opt: 7\n")
    code = "import hierlogit.numba_support.compile, numba; print(numba.config.DEBUG_ARRAY_OPT)"
    assert printed(code, tmp_path) == ["7"]


#: `dot` counts no references, but its wrapper for Python does.
DOT = "from hierlogit.numba_support.vectors import dot\nprint(dot(np.ones(3), np.ones(3)))"


@pytest.fixture(scope="module")
def dot_on_disk(tmp_path_factory: pytest.TempPathFactory) -> None:
    printed(DOT, tmp_path_factory.mktemp("dot"))


@pytest.mark.usefixtures("dot_on_disk")
@pytest.mark.parametrize("before", ["", "own()"], ids=["alone", "after a function of the program"])
def test_it_needs_no_function_that_this_process_has_compiled(tmp_path: Path, before: str) -> None:
    assert printed(f"{before}\n{DOT}", tmp_path) == ["3.0"]
