"""States known beforehand."""

from qdbjax.states.entropies import relative_entropy as relative_entropy, von_neumann_entropy as von_neumann_entropy
from qdbjax.states.thermal import GibbsState as GibbsState, gibbs as gibbs
