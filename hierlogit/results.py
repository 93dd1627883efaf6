"""Classes of results, for annotations and ``isinstance``."""

import lazy_loader

# The stub's imports are relative to the package, as those of `hierlogit/__init__.pyi` are.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__package__, __file__)
