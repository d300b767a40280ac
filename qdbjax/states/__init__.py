"""States known beforehand."""

from qdbjax.states.thermal import GibbsState as GibbsState, gibbs as gibbs
