"""Results of a study as they come in: in memory, and in a file where one is asked for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..estimate import Estimate
from ..model_spec import ModelSpec
from .tasks import Done

#: What a file calls itself.
FORMAT = "hierlogit study 1"


@dataclass(frozen=True)
class Checkpoint:
    """What has been done.

    Attributes
    ----------
    path : Path or None
        The file that holds it as well.
    study : mapping
        What the study is, as JSON can hold it: a file of another one is refused.
    done : Done
    """

    path: Path | None
    study: Mapping[str, Any]
    done: Done[list[float]]

    @classmethod
    def of(cls, store: str | os.PathLike[str] | None, study: Mapping[str, Any]) -> Checkpoint:
        """Nothing yet, or what the file has already.

        Raises
        ------
        StudyError
            If the file holds another study, or none.
        """
        if store is None:
            return cls(None, study, Done({}, {}))
        path = Path(store)
        if not path.exists():
            return cls(path, study, Done({}, {}))
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            known = record["format"] == FORMAT
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise StudyError(f"{path} holds no study of this package; name another file, or remove it.")
        other = [name for name, value in study.items() if record["study"].get(name) != value]
        if other:
            raise StudyError(
                f"{path} holds another study: its {' and '.join(other)} differ. Name another file, or repeat the call "
                "that made it."
            )
        results = {int(number): values for number, values in record["results"].items()}
        return cls(path, study, Done(results, {int(k): text for k, text in record["failures"].items()}))

    def __contains__(self, number: int) -> bool:
        return number in self.done.results or number in self.done.failures

    def add(self, more: Done[dict[str, float]]) -> None:
        """Keep what has been done, in the file too.

        Raises
        ------
        StudyError
            If a result has other parts than the fit's own.
        """
        for number, values in more.results.items():
            if list(values) != self.study["names"]:
                raise StudyError(
                    f"the statistic of replicate {number} has the parts {list(values)}, that of the fit itself "
                    f"{self.study['names']}: it must return the same parts each time."
                )
            self.done.results[number] = list(values.values())
        self.done.failures.update(more.failures)
        if self.path is not None:
            record = {
                "format": FORMAT,
                "study": dict(self.study),
                "results": self.done.results,
                "failures": self.done.failures,
            }
            # Whole at any moment: written beside the old file, then put in its place.
            beside = self.path.with_name(f"{self.path.name}.part")
            beside.write_text(json.dumps(record), encoding="utf-8")
            beside.replace(self.path)

    def first(self, n: int) -> Done[list[float]]:
        """The first `n` tasks: a file may have more."""
        return Done(
            {number: values for number, values in self.done.results.items() if number < n},
            {number: text for number, text in self.done.failures.items() if number < n},
        )


def identity(model: ModelSpec, estimate: Estimate, seed: int, names: Sequence[str]) -> dict[str, Any]:
    """What tells one study from another."""
    digest = hashlib.sha256(model.design.outcome.y.tobytes())
    digest.update(model.design.X.tobytes())
    for values in (estimate.beta, *estimate.cholesky.values()):
        # Searches repeat to the last digits only on one machine.
        digest.update(values.round(6).tobytes())
    return {
        "formula": model.formula.text,
        "data and estimates": digest.hexdigest(),
        "seed": seed,
        "names": list(names),
    }
