"""Execute the case studies in place, each from a clean state: ``python tools/case_studies.py [name ...]``.

Fails where a notebook raises, writes to the error stream, takes longer than it may, or grows larger than it may.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "case_studies"
#: Seconds that a notebook may take, and bytes that it may have.
LIMIT, LARGEST = 120, 1_500_000


def execute(path: Path) -> list[str]:
    """Execute a notebook and write it with its outputs; returns what is wrong with it."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    notebook: Any = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=LIMIT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    started = time.perf_counter()
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError) as error:
        return [str(error)]
    seconds = time.perf_counter() - started
    # The version of the kernel says nothing about the study, and would change with every machine.
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(notebook, path)
    print(f"{path.name}: {seconds:.0f} s, {path.stat().st_size / 1e6:.2f} MB", flush=True)
    found = [] if seconds <= LIMIT else [f"took {seconds:.0f} s; {LIMIT} are allowed"]
    if path.stat().st_size > LARGEST:
        found.append(f"has {path.stat().st_size:,} bytes; {LARGEST:,} are allowed")
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                found.append(f"cell {number} wrote to the error stream: {output['text'].strip()}")
    return found


def main(names: list[str]) -> int:
    """Execute the notebooks whose names begin so, or all; returns an exit status."""
    os.environ.setdefault("PYTHONHASHSEED", "0")
    chosen = [path for path in sorted(FOLDER.glob("*.ipynb")) if not names or path.name.startswith(tuple(names))]
    failed = False
    for path in chosen:
        for problem in execute(path):
            failed = True
            print(f"{path.name}: {problem}", file=sys.stderr, flush=True)
    return int(failed or not chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
