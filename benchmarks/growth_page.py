"""The tables of growth in the documentation, written from what `likelihood.py --growth` measured.

python benchmarks/likelihood.py --growth
python benchmarks/growth_page.py build/growth.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from growth import ENGINES
from sharded_rows import cluster_seconds
from study_pages import markdown_table, write_between

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
#: Numbers of workers for which the time of a fit is worked out, and how many times as many rows it has.
WORKERS, TIMES = 100, (1, 100)


#: What `counted_rows` calls the sources.
SOURCES = {"files": "Parquet files", "duckdb": "DuckDB", "polars": "polars"}


def growth_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Times and memory by rows and clusters, a column for each engine."""
    by_size: dict[tuple[int, int], dict[str, Mapping[str, Any]]] = {}
    for one in found:
        by_size.setdefault((one["rows"], one["clusters"]), {})[one["engine"]] = one
    engines = [engine for engine in ENGINES if any(engine in records for records in by_size.values())]
    heads = ["rows", "clusters", *(f"{name}, s" for name in engines), *(f"{name}, MiB" for name in engines)]
    rows = []
    for (size, clusters), records in by_size.items():
        of_engines = [records.get(name, {}) for name in engines]
        seconds = [_seconds(one.get("seconds")) for one in of_engines]
        memory = [_whole(one.get("peak_mib")) for one in of_engines]
        rows.append([f"{size:,}", f"{clusters:,}", *seconds, *memory])
    return markdown_table(heads, rows)


def counted_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Times and memory of experiments whose rows are counted."""
    steps = ("model", "laplace", "nuts")
    heads = ["rows", "source", "distinct rows", *(f"{name}, s" for name in ("model", "Laplace", "NUTS")), "peak MiB"]
    rows = [
        [
            f"{one['rows']:,}",
            SOURCES.get(one.get("source", ""), "–"),
            _whole(one.get("distinct")),
            *(_seconds(one.get(f"{step}_seconds")) for step in steps),
            _whole(one.get("nuts_peak_mib")),
        ]
        for one in found
    ]
    return markdown_table(heads, rows)


def sharded_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Fits of shards by several processes, and the time of a cluster."""
    heads = ["rows", "processes", "rounds", "fit, s", "round, s", "processor, s a round", "waiting", "MiB a process"]
    rows = [
        [
            f"{one['rows']:,}",
            str(one["processes"]),
            _whole(one.get("rounds")),
            _seconds(one.get("seconds")),
            _seconds(one.get("round_seconds")),
            _seconds(one.get("round_processor_seconds")),
            "–" if "waiting" not in one else f"{one['waiting']:.0%}",
            _whole(one.get("worker_peak_mib")),
        ]
        for one in found
    ]
    lines = [markdown_table(heads, rows)]
    if measured := [one for one in found if "rounds" in one]:
        one = measured[0]
        told = " and ".join(
            f"{cluster_seconds(one, WORKERS, times):.1f} s for {times * one['rows']:,} rows" for times in TIMES
        )
        lines.append(f"Worked out from the first line for a cluster of {WORKERS} workers: {told}.")
    return "\n\n".join(lines)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def main() -> None:
    """Write the tables of the parts that were measured."""
    found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for part, table in (("growth", growth_table), ("counted", counted_table), ("sharded", sharded_table)):
        if found[part]:
            write_between(PAGE, f"<!-- {part} -->", f"<!-- end of {part} -->", table(found[part]))


if __name__ == "__main__":
    main()
