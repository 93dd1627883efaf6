"""Results of long work in a file of JSON, with what they belong to, so that a repeated call goes on from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import StudyError
from .validation import agree, reason_of
from .whole_files import written_whole


def read_record(file: Path, form: str, study: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of a study in a file; None if there is no file.

    Parameters
    ----------
    file : Path
    form : str
        Name and number of the format.
    study : mapping
        What the results belong to, for JSON.

    Raises
    ------
    StudyError
        If the file belongs to another study, is damaged, or was not written by hierlogit.
    """
    if not file.exists():
        return None
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        known = record["format"] == form
        digest = record.pop("digest") if known else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known = False
    if not known:
        raise StudyError(f"store: {file} was not written by hierlogit. Name another file, or remove it.")
    if digest != digest_of(record):
        raise StudyError(
            f"store: {file} is damaged: its content is not what was written. Restore it from a copy, or remove it "
            "and repeat the call, which then computes all of it again."
        )
    other = [name for name, value in study.items() if record["study"].get(name) != value]
    if other:
        raise StudyError(
            f"store: {file} holds another study, with {agree(other, 'another', 'other')} {' and '.join(other)}. "
            "Name another file, or repeat the call that made it."
        )
    return record


def write_record(file: Path, form: str, study: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Write what a study has found so far.

    Raises
    ------
    StudyError
        If the file cannot be written.
    """
    record = {"format": form, "study": dict(study), **content}
    try:
        with written_whole(file) as partial:
            partial.write_text(json.dumps(record | {"digest": digest_of(record)}), encoding="utf-8")
    except OSError as error:
        raise StudyError(f"store: cannot write {file}: {reason_of(error)}.") from error


def digest_of(record: Mapping[str, Any]) -> str:
    """Digest of a record, the same before it is written and after it is read."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
