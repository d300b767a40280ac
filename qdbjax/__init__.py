"""qdbjax: differentiable open quantum systems in and out of detailed balance.

A system and its baths make a generator; a solver brings the generator to a state; thermodynamics and balance read the
state; sweeps repeat the reading and fitting inverts it.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"
# Everything is listed in __init__.pyi and imported when it is first used: diffrax, optax and optimistix alone take as
# long to import as JAX. (Scientific Python, SPEC 1.)
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
