"""What the package is compared with: physics written out in NumPy, SciPy and mpmath, which takes nothing from it."""
