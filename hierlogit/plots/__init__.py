"""Pictures of a fit. Each draws what a verb computed and returns the matplotlib axes it drew on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
