"""What a store or a cluster that cannot be used is refused with."""


class StoreError(ValueError):
    """A store of a sweep that cannot be used as asked for: says which, why, and what to do."""


class ClusterError(OSError):
    """A cluster that cannot be used, or has broken down: says what has happened, and what to do."""
