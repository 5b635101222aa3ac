"""What a simulated campaign may spend, and the campaign that says so to its deciders."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.search.space import DEFAULT, SPACE
from judgement.drift.threshold import with_threshold
from schemas.campaign import DOMAINS, Budget, Campaign, Constitution, DriftRule, Evaluation, ItemSet
from schemas.targets import BoardTarget

RATE = 0.05
"""Share of campaigns without drift that may alarm, by the simulation at a campaign's start; the demo's default."""

CALIBRATION = 10_000
"""Seed of that simulation."""


@dataclass(frozen=True)
class Plan:
    """The same budget for every policy: trainings, queries of the target and items."""

    rounds: int = 8
    """Rounds."""
    slots: int = 8
    """Trainings in each."""
    queries: int = 2
    """Queries of the target in each round, besides one of the base."""
    dev_items: int = 200
    """Items of dev, and of each confirmation, per domain."""
    external_items: int = 500
    """Items of one query of the target, in all."""
    itemised: bool = False
    """Whether the target tells its domains apart, or gives one number."""
    max_changes: int = 16
    """Changes of one candidate against the standing recipe, for policies that obey; the demo's default."""

    threshold: float = 2.0
    """Bayes factor at which drift is said, or more where the simulated null asks for it; the demo's default."""

    def calibrated(self) -> Plan:
        """The same at the threshold that a campaign of this size gets at its start."""
        return replace(self, threshold=with_threshold(self.campaign(CALIBRATION)).constitution.drift.threshold)

    def campaign(self, seed: int) -> Campaign:
        """The campaign as its deciders know it."""
        dev, external = ItemSet(items=self.dev_items), ItemSet(items=round(self.external_items / len(DOMAINS)))
        budget = Budget(
            external_queries=1 + self.rounds * self.queries,
            external_per_round=self.queries,
            confirm_per_round=self.queries,
        )
        constitution = Constitution(
            rounds=self.rounds,
            candidates=self.slots,
            max_changes=self.max_changes,
            evaluation=Evaluation(dev=dev, confirm=dev, external=external, final=external),
            budget=budget,
            space=SPACE,
            target="sealed" if self.itemised else BoardTarget(url="http://board", items=self.external_items),
            drift=DriftRule(threshold=self.threshold, false_alarms=RATE),
        )
        return Campaign(name="simulated", seed=seed, recipe=DEFAULT, constitution=constitution)
