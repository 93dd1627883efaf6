"""Mixed-effects logistic regression for binary outcomes in clusters: models, priors, fits, effects and plots."""

import gc
import sys
from typing import Any

import lazy_loader

# The public names are listed in __init__.pyi, for type checkers and for this lazy import, so that `import hierlogit`
# loads none of the heavy libraries.
_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Reading it takes longer than all the rest of this import.
        from importlib.metadata import version

        return version(__name__)
    # Libraries make many objects and no garbage while they are loaded. Searches for it would take a tenth of the time.
    searches, loaded = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        return _imported(name)
    finally:
        if searches:
            if len(sys.modules) > loaded:
                _skip_search()
            gc.enable()


def _skip_search() -> None:
    """Let Python look for garbage among what is there when it next looks through everything, not in the next moment."""
    if gc.get_freeze_count() == 0:  # a program that keeps objects from being searched may go on doing so
        gc.freeze()
        gc.unfreeze()
