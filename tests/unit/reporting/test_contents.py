"""Contents of the sections: the same from a second process, and made here if it fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning
from hierlogit.parallel.second_process import SecondProcess
from hierlogit.reporting import contents as module
from hierlogit.reporting.contents import contents
from hierlogit.reporting.page import SECTIONS
from hierlogit.reporting.request import Request, Subject
from hierlogit.summaries.intervals import Interval

CHOSEN = {key: SECTIONS[key] for key in ("estimates", "effects", "variance")}


@pytest.fixture(scope="module")
def request_of_fit() -> Request:
    data = hl.datasets.load("bacteria")
    fit = hl.Model("y ~ week_gt2 + (1 | ID)", data).fit(hl.Laplace(seed=1, draws=200))
    return Request((Subject("", fit),), None, Interval.of(None, None), 1, 50)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[SecondProcess]:
    """The second processes that were begun, of which few sections make one."""
    found: list[SecondProcess] = []
    original = module.second_process

    @contextmanager
    def recorded() -> Iterator[SecondProcess | None]:
        with original() as process:
            if process is not None:
                found.append(process)
            yield process

    monkeypatch.setattr("hierlogit.parallel.second_process._is_useful", lambda: True)
    monkeypatch.setattr(module, "FEWEST_LONG", 1)
    monkeypatch.setattr(module, "second_process", recorded)
    return found


def alone(request: Request, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    with monkeypatch.context() as patch:
        patch.setattr(module, "FEWEST_LONG", 99)
        return contents(request, CHOSEN)


def test_contents_do_not_depend_on_who_makes_them(
    request_of_fit: Request, begun: list[SecondProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    with mpl.rc_context({"axes.facecolor": "#112233"}):
        expected = alone(request_of_fit, monkeypatch)
        assert begun == []
        # All sections are left to the second process, which then has to make them.
        monkeypatch.setattr(Future, "cancel", lambda _: False)
        assert contents(request_of_fit, CHOSEN) == expected
    assert len(begun) == 1
    assert all("not available" not in text for text in expected.values())


def test_what_a_second_process_cannot_make_is_made_here(
    request_of_fit: Request, begun: list[SecondProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def ended() -> Iterator[SecondProcess]:
        process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        executor = SecondProcess(process)
        yield executor
        executor.shutdown(wait=False)

    expected = alone(request_of_fit, monkeypatch)
    monkeypatch.setattr(module, "second_process", ended)
    assert contents(request_of_fit, CHOSEN) == expected
    assert begun == []


def test_a_fit_that_cannot_be_sent_is_reported_here(begun: list[SecondProcess]) -> None:
    data = hl.datasets.load("bacteria")
    model = hl.Model("y ~ half(week) + (1 | ID)", data, namespace={"half": lambda x: x / 2})
    request = Request((Subject("", model.fit(hl.Laplace(seed=1, draws=200))),), None, Interval.of(None, None), 1, 50)
    assert (
        "half(week)"
        in contents(request, {"effects": SECTIONS["effects"], "estimates": SECTIONS["estimates"]})["estimates"]
    )
    assert len(begun) == 1


def test_no_second_process_beside_an_executor_or_for_large_fits(
    request_of_fit: Request, begun: list[SecondProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProcessPoolExecutor(1) as executor:
        contents(replace(request_of_fit, executor=executor), CHOSEN)
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    contents(request_of_fit, CHOSEN)
    assert begun == []


def test_warnings_of_the_second_process_are_given_here() -> None:
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    future.set_result(("text", [("Look here.", ConvergenceWarning)]))
    with pytest.warns(ConvergenceWarning, match=r"Look here\."):
        assert module._of_second(future) == "text"
