"""Results of a study as they become available, in memory and optionally in a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..estimate import Estimate
from ..model_spec import ModelSpec
from ..parallel.tasks import Done, run_tasks
from ..parallel.workers import AnyExecutor, LostWorkerError
from ..stored_record import read_record, write_record
from ..validation import file_path, number_of, quoted_list

#: Format of a file, stored in it.
FORMAT = "hierlogit study 1"


@dataclass(frozen=True)
class Checkpoint:
    """Finished tasks of a study.

    Attributes
    ----------
    path : Path or None
        The file to which they are written as well.
    study : mapping
        Description of the study, for JSON; a file with another description is refused.
    done : Done
    """

    path: Path | None
    study: Mapping[str, Any]
    done: Done[list[float]]

    @classmethod
    def of(cls, store: str | os.PathLike[str] | None, study: Mapping[str, Any]) -> Checkpoint:
        """A checkpoint with the results in the file, or an empty one if there is no file.

        Raises
        ------
        StudyError
            If the file belongs to another study, is damaged, or was not written by hierlogit.
        """
        if store is None:
            return cls(None, study, Done({}, {}))
        file = file_path("store", store, StudyError)
        record = read_record(file, FORMAT, study)
        if record is None:
            return cls(file, study, Done({}, {}))
        results = {int(number): values for number, values in record["results"].items()}
        failures = {int(number): text for number, text in record["failures"].items()}
        return cls(file, study, Done(results, failures))

    def __contains__(self, number: int) -> bool:
        return number in self.done.results or number in self.done.failures

    def add(self, more: Done[dict[str, float]]) -> None:
        """Add results, in memory and in the file.

        Raises
        ------
        StudyError
            If a result has other components than the statistic of the fit itself.
        """
        for number, values in more.results.items():
            if list(values) != self.study["names"]:
                raise StudyError(
                    f"the statistic returned {quoted_list(list(values))} for replicate {number}, and "
                    f"{quoted_list(self.study['names'])} for the fit itself: it must return the same names each time."
                )
            self.done.results[number] = list(values.values())
        self.done.failures.update(more.failures)
        if self.path is not None:
            results = {str(number): values for number, values in self.done.results.items()}
            failures = {str(number): text for number, text in self.done.failures.items()}
            write_record(self.path, FORMAT, self.study, {"results": results, "failures": failures})

    def completed(
        self, task: Callable[[int], dict[str, float]], count: int, executor: AnyExecutor | None, what: str
    ) -> tuple[Done[list[float]], bool]:
        """Results of the first `count` tasks, after those that are missing have been run as by `run_tasks`.

        With them stands whether all tasks have been run, which is not so after an interruption.

        Raises
        ------
        StudyError
            If the executor cannot run the tasks.
        """
        missing = [number for number in range(count) if number not in self]
        try:
            finished = run_tasks(task, missing, executor, what, self.add)
        except LostWorkerError as error:
            done = number_of(len(self.done.results) + len(self.done.failures), "finished task")
            kept = f"{self.path} has {done}: repeat the call with it" if self.path else "store= keeps finished tasks"
            raise StudyError(f"{error} {kept}.") from error
        return self.first(count), finished

    def first(self, n: int) -> Done[list[float]]:
        """Results of the first `n` tasks, since a file can have more."""
        return Done(
            {number: values for number, values in sorted(self.done.results.items()) if number < n},
            {number: text for number, text in sorted(self.done.failures.items()) if number < n},
        )


def identity(model: ModelSpec, estimate: Estimate, seed: int, names: Sequence[str]) -> dict[str, Any]:
    """Formula, digest of data and estimates, seed and names, which identify a study."""
    digest = hashlib.sha256(model.design.outcome.y.tobytes())
    digest.update(model.design.X.tobytes())
    for values in (estimate.beta, *estimate.cholesky.values()):
        # The last digits of an estimate can differ between machines.
        digest.update(values.round(6).tobytes())
    return {
        "formula": model.formula.text,
        "data and estimates": digest.hexdigest(),
        "seed": seed,
        "names": list(names),
    }
