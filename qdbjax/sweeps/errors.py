"""What a store that cannot be used is refused with."""


class StoreError(ValueError):
    """A store of a sweep that cannot be used as asked for: says which, why, and what to do."""
