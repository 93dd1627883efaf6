"""Classes of what verbs and fits return, for annotations and ``isinstance``: nobody needs to construct them."""

import lazy_loader

# The stub's imports are relative to the package, as those of `hierlogit/__init__.pyi` are.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__package__, __file__)
