"""Population-based training on dev (Jaderberg et al. 2017): the worst half copies the best and moves a little.

Here every member starts from the base again, as the rules of this project ask for, so a copy takes the recipe alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.search.peers.random_search import first_batch
from benchmarks.search.peers.ranking import Ranked, codes, dev, proposals
from benchmarks.search.space import SIZES, Codes, random_codes
from judgement.history import History
from judgement.search.policy import Proposal

STEPPED, RESAMPLED = 0.3, 0.08
"""Share of the axes that move by a step, and that are drawn anew."""


@dataclass(frozen=True)
class Population(Ranked):
    """The last round is the population."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """All members explore; the worst half from a copy of the best quarter."""
        if history.round == 1:
            return proposals(first_batch(slots, history.campaign.seed))
        last = sorted(history.of_round(history.round - 1), key=dev, reverse=True)
        rows = codes(last)
        quarter = max(1, len(rows) // 4)
        rows[len(rows) // 2 :] = rows[rng.integers(quarter, size=len(rows) - len(rows) // 2)]
        return proposals(explored(rows, rng))


def explored(rows: Codes, rng: np.random.Generator) -> Codes:
    """Some axes a step up or down, a few anywhere."""
    step = np.where(rng.random(rows.shape) < STEPPED, rng.choice([-1, 1], rows.shape), 0)
    moved = np.clip(rows + step, 0, SIZES - 1)
    return np.where(rng.random(rows.shape) < RESAMPLED, random_codes(rng, len(rows)), moved)
