"""Mixed-effects logistic regression: formulas, priors, posteriors and pictures for binary outcomes in clusters."""

from importlib.metadata import version

import lazy_loader

__version__ = version("hierlogit")

# The public names stand in __init__.pyi, for type checkers and for this lazy import alike: `import hierlogit` loads
# none of the heavy libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
