"""Random search: recipes drawn evenly, the default one first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.search.peers.ranking import Ranked, proposals
from benchmarks.search.space import MIDDLE, Codes, random_codes
from judgement.history import History
from judgement.search.policy import Proposal


def first_batch(slots: int, seed: int) -> Codes:
    """Round 1 of every peer: the default recipe and random ones."""
    codes = random_codes(np.random.default_rng([seed, 21]), slots)
    codes[0] = MIDDLE
    return codes


@dataclass(frozen=True)
class RandomSearch(Ranked):
    """Nothing is learned but the final pick."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """Any recipes."""
        first = history.round == 1
        return proposals(first_batch(slots, history.campaign.seed) if first else random_codes(rng, slots))
