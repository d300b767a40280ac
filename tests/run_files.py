"""Parts of run files that several tests share."""

TWO_BATHS = """
[[baths]]
name = "hot"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", strength = 0.01, cutoff = 10.0 }

[[baths]]
name = "cold"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", strength = 0.01, cutoff = 10.0 }
temperature = 0.2
"""
