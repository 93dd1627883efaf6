"""Time from the start of Python to a fit, with nothing compiled yet and with everything compiled.

Each measurement is a process of its own, with a new home folder and a cache folder that is new or has been filled::

    python benchmarks/first_minute.py --json build/first_minute.json
    python benchmarks/first_minute.py --repeats 1 --only second

The kinds are ``first`` (nothing compiled), ``second`` (everything compiled), ``four`` (four processes that start at
once with nothing compiled) and ``trouble``: folders that cannot be written, where Numba's test of a folder is made to
fail; a full disk, which is a limit of the size of files; and damaged files, which are cut in half. A fit by glmm is
among the second ones if it is installed. The table is printed and written into ``docs/benchmarks.md`` with the machine;
numbers are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cases import CASES, Case
from machine import ONE_THREAD_A_CHAIN, description, is_installed, python_versions
from study_pages import markdown_table, write_between

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
CASE: Case = CASES["contraception_slope"]
MODEL = f"""
import hierlogit as hl
model = hl.Model({CASE.formula!r}, hl.datasets.load("contraception"))
"""
LIBRARIES = "import pandas, scipy.optimize"
LAPLACE = f"{MODEL}model.fit('laplace')"
NUTS = f"{MODEL}fit = model.fit(hl.NUTS(seed=1, progress=False))"
GLMM = f"import glmm, pandas; glmm.fit(pandas.read_csv({str(CASE.table)!r}), {CASE.r_formula!r}, 'binomial')"
REPORT = "from hierlogit.cli.app import app; app(['report', 'fit.nc'])"  # the command `hierlogit report fit.nc`
UNWRITABLE = f"""
import numba.core.caching
def refuse(locator):
    raise PermissionError
numba.core.caching._CacheLocator.ensure_cache_path = refuse
{LAPLACE}
"""
KINDS = ("first", "second", "four", "trouble")
#: Processes that start at once.
TOGETHER = 4
#: Size of files on what passes for a full disk, in bytes.
SMALL = 4096


@contextmanager
def new_folders() -> Iterator[tuple[Path, dict[str, str]]]:
    """A new folder to work in, and an environment with a home and a cache in it.

    Python may keep its byte code, as an installed package has it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "home").mkdir()
        own = {
            "HOME": str(folder / "home"),
            "NUMBA_CACHE_DIR": str(folder / "cache"),
            "MPLBACKEND": "agg",
            "PYTHONDONTWRITEBYTECODE": "",
        }
        yield folder, os.environ | ONE_THREAD_A_CHAIN | own


def start(code: str, folder: Path, environment: dict[str, str], prepare: Callable[[], None] | None = None) -> Any:
    """A process that runs the code."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,  # noqa: PLW1509 - this program has no threads
    )


def run(
    codes: list[str], folder: Path, environment: dict[str, str], prepare: Callable[[], None] | None = None
) -> tuple[float, str]:
    """Seconds that processes take which start together, and what the last one of them says."""
    began = time.perf_counter()
    started = [start(code, folder, environment, prepare) for code in codes]
    said = [process.communicate()[1] for process in started]
    seconds = time.perf_counter() - began
    for process, text in zip(started, said, strict=True):
        if process.returncode:
            raise RuntimeError(text)
    return seconds, " ".join(said[-1].split())


def firsts(repeats: int) -> dict[str, list[float]]:
    """First fits, each with a cache of its own."""
    found: dict[str, list[float]] = {"first Laplace fit": [], "first NUTS fit": []}
    for _ in range(repeats):
        for name, code in zip(found, (LAPLACE, NUTS), strict=True):
            with new_folders() as (folder, environment):
                found[name].append(run([code], folder, environment)[0])
    return found


def seconds_of_later_ones(repeats: int) -> dict[str, list[float]]:
    """Everything again, once it has been compiled; the kinds take turns."""
    codes = {
        "import of pandas and scipy.optimize": LIBRARIES,
        "import of hierlogit": "import hierlogit",
        "second Laplace fit": LAPLACE,
        **({"fit by glmm": GLMM} if is_installed("glmm") else {}),
        "second NUTS fit": NUTS,
        "`hierlogit report` of the NUTS fit": REPORT,
    }
    found: dict[str, list[float]] = {name: [] for name in codes}
    with new_folders() as (folder, environment):
        for code in (LAPLACE, f"{NUTS}; fit.save('fit.nc')", REPORT):
            run([code], folder, environment)
        for _ in range(repeats):
            for name, code in codes.items():
                found[name].append(run([code], folder, environment)[0])
                (folder / "report.html").unlink(missing_ok=True)
    return found


def four() -> dict[str, list[float]]:
    """Several first fits at once, on one cache."""
    with new_folders() as (folder, environment):
        return {f"{TOGETHER} first NUTS fits at once": [run([NUTS] * TOGETHER, folder, environment)[0]]}


def troubles() -> dict[str, tuple[list[float], str]]:
    """Laplace fits where something is wrong with the cache, and what they say."""
    found: dict[str, tuple[list[float], str]] = {}

    def enter(name: str, outcome: tuple[float, str]) -> None:
        found[name] = [outcome[0]], outcome[1]

    with new_folders() as (folder, environment):
        enter("folders that cannot be written", run([UNWRITABLE], folder, environment))
        enter("full disk", run([LAPLACE], folder, environment, _small_files))
    with new_folders() as (folder, environment):
        run([LAPLACE], folder, environment)
        for path in (folder / "cache").rglob("*.nb?"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        enter("damaged files", run([LAPLACE], folder, environment))
    return found


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))


def measured(asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each process, and what was said where something was wrong."""
    found: dict[str, list[float]] = {}
    said: dict[str, str] = {}
    if "first" in asked.only:
        found |= firsts(asked.repeats)
    if "second" in asked.only:
        found |= seconds_of_later_ones(asked.repeats)
    if "four" in asked.only:
        found |= four()
    if "trouble" in asked.only:
        for name, (seconds, text) in troubles().items():
            found[name], said[name] = seconds, text
    return {"machine": description(), "versions": python_versions(), "seconds": found, "said": said}


def table(found: dict[str, Any]) -> str:
    """The machine, and medians as a table in Markdown."""
    rows = []
    for name, seconds in found["seconds"].items():
        warns = "" if name not in found["said"] else "yes" if "Warning" in found["said"][name] else "no"
        shown = [f"{value:.{1 if value >= 2 else 2}f}" for value in (statistics.median(seconds), max(seconds))]
        rows.append((name, str(len(seconds)), *shown, warns))
    machine, versions = found["machine"], found["versions"]
    packages = [f"{name} {versions[name]}" for name in ("Python", "numba", "glmm") if name in versions]
    measured_on = f"Machine of this table: {machine['processor']}, {machine['cores']} cores; {', '.join(packages)}."
    heads = ("process", "runs", "median, s", "longest, s", "warns")
    return f"{measured_on}\n\n{markdown_table(heads, rows)}"


def main() -> None:
    """Measure, print the table, and write it into the page if everything was measured."""
    parser = argparse.ArgumentParser(description="Time from the start of Python to a fit.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--json", type=Path, help="file for all measurements")
    asked = parser.parse_args()
    found = measured(asked)
    if asked.json is not None:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))  # noqa: T201
    if set(asked.only) == set(KINDS):
        write_between(PAGE, "<!-- first minute -->", "<!-- end of first minute -->", table(found))


if __name__ == "__main__":
    main()
