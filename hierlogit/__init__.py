"""Mixed-effects logistic regression for binary outcomes in clusters: models, priors, fits, effects and plots."""

from importlib.metadata import version

import lazy_loader

__version__ = version("hierlogit")

# The public names are listed in __init__.pyi, for type checkers and for this lazy import, so that `import hierlogit`
# loads none of the heavy libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
