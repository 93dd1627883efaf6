"""The folder of a run whose draws are written to disk while it is sampled."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import EngineError
from ...fits.model_record import model_record, rows_dataset
from ...validation import reason_of
from ...whole_files import digest_of_folder, seal, written_whole
from .options import SamplerOptions

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

MODEL_FILE = "model.nc"
DRAWS_FOLDER = "draws"
#: Written when sampling has ended: the digest of what is read from the folder. A run that was killed has none.
DIGEST_FILE = "draws.sha256"
_READ = (MODEL_FILE, f"{DRAWS_FOLDER}/posterior", f"{DRAWS_FOLDER}/sample_stats")
#: Version of the layout of the folder; a reader knows all layouts up to its own.
LAYOUT = 1


def refuse_used(folder: Path) -> None:
    """Refuse a folder that is not empty.

    Raises
    ------
    EngineError
    """
    if folder.is_dir() and any(folder.iterdir()):
        there = (
            "to read the run that is in it, call hierlogit.recover(folder)"
            if (folder / MODEL_FILE).exists()
            else "there is no run in it that could be read"
        )
        raise EngineError(f"NUTS: store={str(folder)!r} is not empty. Name a new folder; {there}.")


def begin_run(folder: Path, model: ModelSpec, options: SamplerOptions) -> Path:
    """Make the folder of a run, with the model in it; returns the folder for its draws.

    Raises
    ------
    EngineError
        If it cannot be written to.
    """
    record = {"layout": LAYOUT, **model_record(model), "options": asdict(options)}
    rows = rows_dataset(model.design.table)
    rows.attrs["hierlogit_run"] = json.dumps(record)
    draws = folder / DRAWS_FOLDER
    try:
        draws.mkdir(parents=True, exist_ok=True)
        with written_whole(folder / MODEL_FILE) as partial:
            rows.to_netcdf(partial, engine="h5netcdf")
            seal(partial)
    except (OSError, ValueError, TypeError, AttributeError) as error:  # raised by the file libraries
        raise _cannot_write(folder, error) from error
    return draws


def end_run(folder: Path) -> None:
    """Write the digest of the model and of the draws, by which damage is noticed when they are read.

    Raises
    ------
    EngineError
        If it cannot be written.
    """
    try:
        with written_whole(folder / DIGEST_FILE) as partial:
            partial.write_text(digest_of_folder(folder, _READ), encoding="ascii")
    except OSError as error:
        raise _cannot_write(folder, error) from error


def is_damaged(folder: Path) -> bool:
    """Whether the files of a run that has ended are not those that were written; not known of a run that was killed."""
    digest = folder / DIGEST_FILE
    return digest.exists() and digest.read_bytes() != digest_of_folder(folder, _READ).encode()


def _cannot_write(folder: Path, error: Exception) -> EngineError:
    return EngineError(f"NUTS: cannot write to store={str(folder)!r}: {reason_of(error)}.")
