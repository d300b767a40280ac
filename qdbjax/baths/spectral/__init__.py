"""Spectral densities: J(ω) from formulas, tables, callables and sums of them; `qdbjax.baths` re-exports them."""
