"""What a user may want to choose; see the modules for the rest."""

from .allocator import keep_freed_memory as keep_freed_memory
from .cache import CacheUse as CacheUse, cache_use as cache_use, use_cache as use_cache
from .deadlock import exposed_to_deadlock as exposed_to_deadlock
from .tiers import optimize as optimize
