"""Print the lower bounds of pyproject.toml as constraints for pip: ``python tools/lowest_bounds.py``.

Packages that are required only by other packages are not listed, and pip installs their latest compatible release.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest_bounds(text: str) -> list[str]:
    """Constraints that hold each dependency (and each of the extra `dev`) at its lower bound."""
    project = tomllib.loads(text)["project"]
    found = []
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        bound = re.fullmatch(r"([\w-]+)>=([\w.]+)(,<[\w.]+)?", requirement)
        if bound is None:
            raise ValueError(f"{requirement!r} has no lower bound of the form name>=version.")
        found.append(f"{bound[1]}=={bound[2]}")
    return found


if __name__ == "__main__":
    sys.stdout.write("\n".join(lowest_bounds(PYPROJECT.read_text(encoding="utf-8"))) + "\n")
