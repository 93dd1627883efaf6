"""The command ``hierlogit warm`` as a module: ``python -m hierlogit.warm``."""

from __future__ import annotations

import sys

from .cli.app import app

if __name__ == "__main__":
    app(["warm", *sys.argv[1:]], prog_name="python -m hierlogit")
