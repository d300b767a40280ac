"""Other packages: QuTiP."""

from qdbjax.interop.qutip import to_qutip as to_qutip
