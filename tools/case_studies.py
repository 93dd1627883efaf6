"""Execute the case studies in place, each from a clean state: ``python tools/case_studies.py [name ...]``.

Fails if a notebook raises, writes to the error stream, leaves a progress bar or exceeds the allowed size; prints how
long each took.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FOLDER = Path(__file__).parents[1] / "case_studies"
#: Seconds that a cell may take, bytes that a notebook may have, and notebooks executed in parallel.
PATIENCE, LARGEST, WORKERS = 600, 1_500_000, 2


def execute(path: Path) -> tuple[float, list[str]]:
    """Execute a notebook and write it with its outputs; returns the seconds it took and the problems found."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError
    from traitlets.config import Config

    notebook: Any = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    started = time.perf_counter()
    with TemporaryDirectory() as sockets:
        # Kernels that start at the same time may choose the same TCP port; sockets of files do not clash.
        transport = {} if sys.platform == "win32" else {"transport": "ipc", "ip": str(Path(sockets, "kernel"))}
        client = NotebookClient(
            notebook,
            timeout=PATIENCE,
            kernel_name="python3",
            record_timing=False,
            resources=place,
            config=Config({"KernelManager": transport}),
        )
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError) as error:
            return time.perf_counter() - started, [str(error)]
    seconds = time.perf_counter() - started
    # The version of the kernel differs between machines and is irrelevant to the study.
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if not _is_removed_bar(output)]
    nbformat.write(notebook, path)
    size = path.stat().st_size
    found = [f"has {size:,} bytes; {LARGEST:,} are allowed"] if size > LARGEST else []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if "<progress" in output.get("data", {}).get("text/html", ""):
                found.append(f"cell {number} still shows a progress bar")
            if output.get("name") == "stderr":
                found.append(f"cell {number} wrote to the error stream: {output['text'].strip()}")
    return seconds, found


def _is_removed_bar(output: Any) -> bool:
    """Whether an output is what a progress bar leaves behind."""
    return output.output_type == "display_data" and not any(output.data.values())


def main(names: list[str]) -> int:
    """Execute the notebooks whose file names begin with one of `names`, or all; returns an exit status."""
    from hierlogit.compile_ahead import compile_ahead

    chosen = [path for path in sorted(FOLDER.glob("*.ipynb")) if not names or path.name.startswith(tuple(names))]
    failed = not chosen
    # Otherwise cells show bars while they wait for the compiler, and notebooks in parallel compile the same functions.
    compile_ahead()
    with ProcessPoolExecutor(WORKERS) as pool:
        for path, (seconds, found) in zip(chosen, pool.map(execute, chosen), strict=True):
            print(f"{path.name}: {seconds:.0f} s, {path.stat().st_size / 1e6:.2f} MB", flush=True)
            for problem in found:
                failed = True
                print(f"{path.name}: {problem}", file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
