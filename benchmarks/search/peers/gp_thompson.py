"""Thompson sampling on a Gaussian process of dev: this project's search without any doubt about dev."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.search.peers.pool import pool
from benchmarks.search.peers.random_search import first_batch
from benchmarks.search.peers.ranking import Ranked, codes, dev_counts, proposals, trials
from benchmarks.search.peers.surrogate import Surrogate, draws, fit, points, shares_right
from judgement.history import History
from judgement.search.policy import Proposal


@dataclass(frozen=True)
class GpThompson(Ranked):
    """Each slot goes to the best of a pool under one draw of dev."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """One joint draw for each slot."""
        if history.round == 1:
            return proposals(first_batch(slots, history.campaign.seed))
        tried = codes(trials(history))
        model = dev_surrogate(history)
        nearby = pool(tried, model.predict(points(tried))[0].sum(axis=0), rng)
        return proposals(nearby[thompson(draws(*model.predict(points(nearby)), rng, slots))])


def dev_surrogate(history: History) -> Surrogate:
    """Dev over recipes, domain by domain."""
    measured = trials(history)
    return fit(codes(measured), *shares_right([dev_counts(t) for t in measured]))


def thompson(joint_draws: np.ndarray) -> list[int]:
    """The best point of each draw, none twice."""
    chosen: list[int] = []
    for values in joint_draws:
        values[chosen] = -np.inf
        chosen.append(int(np.argmax(values)))
    return chosen
