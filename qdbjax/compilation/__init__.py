"""How programs are compiled: quickly or optimised, once for many functions of one kind, kept between processes."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
