"""Fits by R packages, in one R process that stays alive between calls and times each fit itself."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from cases import Case
from machine import peak_memory
from measure import Fit, Outcome

R_ENGINES = ("lme4", "glmmTMB")

_SCRIPT = Path(__file__).with_name("r_peers.R")


class RProcess:
    """An R process that fits models on request.

    Parameters
    ----------
    patience : float
        Seconds after which a fit is stopped, together with R. The next fit starts a new process.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._folder = tempfile.TemporaryDirectory()
        self._table = Path(self._folder.name) / "table.csv"
        self._reader = ThreadPoolExecutor(1)
        self._process: subprocess.Popen[str] | None = None

    def close(self) -> None:
        """End R and remove the table."""
        self._end()
        self._reader.shutdown()
        self._folder.cleanup()

    def versions(self) -> dict[str, str]:
        """Return the versions of R and of the installed packages; empty if there is no R."""
        if shutil.which("Rscript") is None:
            return {}
        return dict(word.split("=", 1) for word in self._ask("versions"))

    @property
    def peak_memory(self) -> float | None:
        """Largest resident memory of R so far, in MiB, if it runs and the system provides it."""
        return None if self._process is None else peak_memory(self._process.pid)

    def give(self, frame: pd.DataFrame) -> None:
        """Pass the data of the following fits to R."""
        frame.to_csv(self._table, index=False)
        if self._process is not None:
            self._load()

    def fit(self, engine: str, case: Case) -> Fit:
        """Return the function that fits `case` with the R package `engine`."""

        def call() -> Outcome:
            _, wall, cpu, log_likelihood, errors, *said = self._ask("fit", engine, case.r_formula)
            return Outcome(
                log_likelihood=float(log_likelihood),
                standard_errors=tuple(float(word) for word in errors.split(",")),
                seconds=(float(wall), float(cpu)),
                notes=tuple(note for note in said if note),
            )

        return call

    def _ask(self, *words: str) -> list[str]:
        if self._process is None:
            self._start()
            if self._table.exists():
                self._load()
        return self._exchange(*words)

    def _load(self) -> None:
        self._exchange("load", str(self._table))

    def _start(self) -> None:
        self._process = subprocess.Popen(
            ["Rscript", "--vanilla", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _exchange(self, *words: str) -> list[str]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\t".join(words) + "\n")
        process.stdin.flush()
        try:
            answer = self._reader.submit(process.stdout.readline).result(self.patience)
        except TimeoutError:
            self._end()
            raise TimeoutError(f"ended after {self.patience:g} s") from None
        if not answer:
            self._end()
            raise RuntimeError("R ended without an answer")
        told = answer.rstrip("\n").split("\t")
        if told[0] == "error":
            raise RuntimeError(told[1])
        return told

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    self._reader.submit(stream.close).result()  # after a line that is still being waited for
