"""Runs the tests of tests/properties/fuzz with thousands of new cases, in two processes, and counts how they ended.

`make fuzz` makes 10,000 cases, and `CASES=2000 make fuzz` fewer. The seed is printed; `SEED=3 make fuzz` repeats a run.
Failures are kept in .hypothesis and tried first in the next run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROCESSES = 2
OUTCOMES = ("result", "finding", "error")


def main() -> int:
    """Run the tests and print the counts; the exit status is that of the tests."""
    cases = int(os.environ.get("CASES", "10000"))
    seed = int(os.environ.get("SEED", random.randrange(2**31)))
    print(f"{cases:,} cases in {PROCESSES} processes; SEED={seed} repeats them", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        tallies = [Path(folder, f"{part}.json") for part in range(PROCESSES)]
        runs = [_start(cases // PROCESSES, seed + part, tally) for part, tally in enumerate(tallies)]
        codes = _ends(runs)
        counts: Counter[tuple[str, str]] = Counter()
        for tally in filter(Path.exists, tallies):
            counts.update({(kind, end): n for kind, end, n in json.loads(tally.read_text(encoding="utf-8"))})
    _show(counts)
    return max(codes)


def _start(cases: int, seed: int, tally: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "-q",
        "-m",
        "slow or not slow",
        "--hypothesis-profile=fuzz",
        f"--hypothesis-seed={seed}",
    ]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = {**os.environ, **threads, "CASES": str(cases), "TALLY": str(tally)}
    return subprocess.Popen([*command, "tests/properties/fuzz"], cwd=ROOT, env=environment)


def _ends(runs: list[subprocess.Popen[bytes]]) -> list[int]:
    """The exit statuses of the processes, which an interruption ends too."""
    # Shells start what runs in the background with interruptions ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return [run.wait() for run in runs]
    except KeyboardInterrupt:
        for run in runs:
            run.send_signal(signal.SIGINT)
        return [run.wait() for run in runs]


def _show(counts: Counter[tuple[str, str]]) -> None:
    """A line for each kind of calls, and their sum."""
    lines: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (kind, end), count in counts.items():
        lines[kind][end] += count
        lines["all calls"][end] += count
    print(f"{'calls':<32}{'result':>10}{'finding':>10}{'our error':>10}")
    for kind in sorted(lines, key=lambda kind: (kind == "all calls", kind)):
        print(f"{kind:<32}" + "".join(f"{lines[kind][end]:>10,}" for end in OUTCOMES))


if __name__ == "__main__":
    sys.exit(main())
