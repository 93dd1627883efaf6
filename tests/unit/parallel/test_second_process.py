"""A second process: results, errors, output, what cannot be sent, and its end."""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest

from hierlogit.errors import FitError, FormulaError
from hierlogit.formula.parser import parse
from hierlogit.parallel import second_process as module
from hierlogit.parallel.second_process import SecondProcess, second_process
from hierlogit.parallel.tasks import all_results
from hierlogit.priors.families import Normal
from hierlogit.python_process import usable_cores

#: A program whose main module must not be imported again, and has a function.
PROGRAM = """
from hierlogit.parallel.second_process import second_process

def own():
    return 1

print("begun")
with second_process() as other:
    print(other.submit(len, "abc").result(), type(other.submit(own).exception()).__name__)
"""


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecondProcess]:
    monkeypatch.setattr("hierlogit.parallel.second_process._is_useful", lambda: True)
    with second_process() as found:
        assert found is not None
        yield found


def test_a_process_that_was_started_ahead_is_the_one_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_useful", lambda: True)
    with module.started_ahead("colorsys", "hierlogit.binomial"):
        (ahead,) = module._AHEAD
        with second_process() as other, second_process() as another:
            assert other is not None
            assert another is not None
            assert other.submit(os.getpid).result() == ahead.pid != another.submit(os.getpid).result()
            loaded = "[name in __import__('sys').modules for name in ('colorsys', 'sched')]"
            assert other.submit(eval, loaded).result() == [True, False]
    assert module._AHEAD == []
    assert ahead.poll() is not None


def test_a_process_that_nobody_asks_for_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_useful", lambda: True)
    with module.started_ahead():
        (ahead,) = module._AHEAD
    assert module._AHEAD == []
    assert ahead.poll() is not None
    monkeypatch.setattr(module, "_is_useful", lambda: False)
    with module.started_ahead():
        assert module._AHEAD == []


def test_functions_run_one_after_the_other(other: SecondProcess) -> None:
    here, times = os.getpid(), [other.submit(time.monotonic) for _ in range(3)]
    assert other.submit(os.getpid).result() != here
    assert sorted(time.result() for time in times) == [time.result() for time in times]
    assert other.submit(int, "11", base=2).result() == 3


def test_it_is_an_executor_of_tasks(other: SecondProcess) -> None:
    assert all_results(math.factorial, range(4), other, None) == {0: 1, 1: 1, 2: 2, 3: 6}


def test_errors_are_those_of_the_function(other: SecondProcess) -> None:
    with pytest.raises(ZeroDivisionError):
        other.submit(divmod, 1, 0).result()
    with pytest.raises(FormulaError, match="y ~"):
        other.submit(parse, "y ~").result()
    # A result that cannot be sent back.
    assert "cannot pickle" in str(other.submit(memoryview, b"").exception())
    assert other.submit(len, "abc").result() == 3


def test_what_is_printed_is_no_answer(other: SecondProcess) -> None:
    assert other.submit(print, "a word").result() is None
    assert other.submit(os.system, "echo another").result() == 0
    assert other.submit(len, "abc").result() == 3


def test_what_cannot_be_sent_is_an_error_at_once(other: SecondProcess) -> None:
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        other.submit(lambda: 1)


def test_a_process_that_ends_breaks_the_executor(other: SecondProcess) -> None:
    with pytest.raises(BrokenExecutor, match="the second process has ended"):
        other.submit(os._exit, 1).result()
    with pytest.raises(BrokenExecutor):
        other.submit(len, "abc").result()


def test_the_end_of_the_context_ends_a_running_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hierlogit.parallel.second_process._is_useful", lambda: True)
    start = time.monotonic()
    with second_process() as other:
        assert other is not None
        running, waiting = other.submit(time.sleep, 600), other.submit(len, "abc")
    assert time.monotonic() - start < 60
    assert waiting.cancelled()
    assert running.cancelled() or isinstance(running.exception(), BrokenExecutor)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise")
def test_it_leaves_interruptions_to_the_first_process(other: SecondProcess) -> None:
    place = other.submit(os.getpid).result()
    os.kill(place, signal.SIGINT)
    assert other.submit(os.getpid).result() == place


def test_the_main_module_is_not_imported_again(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    if usable_cores() == 1:
        pytest.skip("one core")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["begun", "3", "AttributeError"]


def test_a_program_that_embeds_python_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hierlogit.parallel.second_process.usable_cores", lambda: 2)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/opt/program")
        with second_process() as other:
            assert other is None
    monkeypatch.setattr("hierlogit.parallel.second_process.usable_cores", lambda: 1)
    with second_process() as other:
        assert other is None


def test_shutdown_waits_if_it_is_told_to(other: SecondProcess) -> None:
    last = other.submit(time.sleep, 0.2)
    other.shutdown(wait=True)
    assert last.result() is None
    with pytest.raises(RuntimeError, match="shutdown"):
        other.submit(len, "abc")


def test_values_of_this_package_are_sent(other: SecondProcess) -> None:
    assert other.submit(Normal(0, 2).logpdf, 0.5).result() == Normal(0, 2).logpdf(0.5)
    assert isinstance(other.submit(FitError, "no").result(), FitError)
