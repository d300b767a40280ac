"""Equilibrium states in closed form, and what is read from any state: entropy and distances."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
