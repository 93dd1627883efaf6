"""Plots of fits and results; each returns the matplotlib axes it drew on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
