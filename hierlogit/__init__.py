"""Mixed-effects logistic regression for binary outcomes in clusters: models, priors, fits, effects and plots."""

import gc
from importlib.metadata import version
from typing import Any

import lazy_loader

__version__ = version("hierlogit")

# The public names are listed in __init__.pyi, for type checkers and for this lazy import, so that `import hierlogit`
# loads none of the heavy libraries.
_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    # Libraries make many objects and no garbage while they are loaded. Searches for it would take a tenth of the time.
    searches = gc.isenabled()
    gc.disable()
    try:
        return _imported(name)
    finally:
        if searches:
            gc.enable()
