"""Who decides in the loop: this project's services with a search policy in them, or a peer left to itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from benchmarks.search.board import NOBODY
from judgement import decisions
from judgement.constitution import check
from judgement.drift.assess import assess, verdicts
from judgement.history import History
from judgement.search.policy import Chosen, Proposal
from schemas.base import Frozen
from schemas.events import PolicyUpdated, RecipeProposed, SubmissionsChosen
from schemas.policy import Estimate
from schemas.recipe import Recipe

Decision = TypeVar("Decision", bound=Frozen)


class Refused(Exception):
    """A decision against the budget or the rules of the constitution."""


def allowed(history: History, decision: Decision) -> Decision:
    """The decision, if the constitution allows it. Raises `Refused`."""
    if refusal := check(history, decision):
        raise Refused(f"{refusal.article}: {refusal.message}")
    return decision


class Driver(Protocol):
    """The decisions of a campaign, as events."""

    def opening(self, history: History) -> PolicyUpdated:
        """The policy that opens round 1."""

    def propose(self, history: History) -> tuple[RecipeProposed, ...]:
        """The candidates of a round."""

    def submissions(self, history: History, round_: int) -> SubmissionsChosen:
        """What they are measured on."""

    def assess(self, history: History, round_: int) -> list[Frozen]:
        """What is said of drift."""

    def update(self, history: History) -> PolicyUpdated:
        """The policy that opens the next round."""

    def final(self, history: History) -> str:
        """The candidate that the campaign ends with."""


class Shipped:
    """The services' own decisions by the policy that the constitution names, held to all its rules."""

    def opening(self, history: History) -> PolicyUpdated:
        """As the policy service opens."""
        return decisions.first_policy(history)

    def propose(self, history: History) -> tuple[RecipeProposed, ...]:
        """The anchor, and changes against it."""
        return tuple(allowed(history, proposal) for proposal in decisions.propose(history))

    def submissions(self, history: History, round_: int) -> SubmissionsChosen:
        """As the policy service chooses."""
        return decisions.choose_submissions(history, round_, "complete")

    def assess(self, history: History, round_: int) -> list[Frozen]:
        """The drift test and its verdicts."""
        assessed = assess(history, round_)
        return [assessed, *verdicts(history, assessed)]

    def update(self, history: History) -> PolicyUpdated:
        """As the policy service revises."""
        return decisions.update(history)

    def final(self, history: History) -> str:
        """The winner."""
        return decisions.choose_final(history).final[-1].candidate


class Peer(Protocol):
    """A `SearchPolicy` without its belief: peers fill every slot as they like, so nothing is promoted for them."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """Recipes for all slots of the round."""

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """What the candidates are measured on."""

    def final(self, history: History) -> tuple[str, Estimate]:
        """The candidate that the campaign ends with."""


@dataclass(frozen=True)
class Free:
    """A peer: no anchor, any number of changes, no drift test."""

    peer: Peer
    """Who decides."""

    def opening(self, history: History) -> PolicyUpdated:
        """Round 1, which nothing depends on."""
        return decisions.first_policy(history)

    def propose(self, history: History) -> tuple[RecipeProposed, ...]:
        """All slots are the peer's."""
        round_, slots = history.round, history.campaign.constitution.candidates
        rng = np.random.default_rng([history.campaign.seed, 20, round_])
        chosen = self.peer.propose(history, slots, rng)
        if len(chosen) > slots:
            raise Refused(f"candidates: {len(chosen)} recipes for {slots} slots")
        return tuple(_proposal(history, slot, recipe, gain) for slot, (recipe, gain) in enumerate(chosen))

    def submissions(self, history: History, round_: int) -> SubmissionsChosen:
        """As the peer chooses."""
        confirm, external = self.peer.choose_submissions(history, round_)
        return SubmissionsChosen(round=round_, closed_by="complete", confirm=confirm, external=external, basis=NOBODY)

    def assess(self, history: History, round_: int) -> list[Frozen]:
        """Peers do not look."""
        return []

    def update(self, history: History) -> PolicyUpdated:
        """The next round."""
        last = history.policies[history.round]
        opened = last.model_copy(update={"version": last.version + 1, "round": last.round + 1})
        return PolicyUpdated(policy=opened, changed=(), why="", basis=NOBODY)

    def final(self, history: History) -> str:
        """As the peer chooses."""
        return self.peer.final(history)[0]


def _proposal(history: History, slot: int, recipe: Recipe, gain: Estimate) -> RecipeProposed:
    round_ = history.round
    return RecipeProposed(
        round=round_,
        slot=slot,
        candidate=f"r{round_}s{slot}",
        recipe=recipe,
        changes=(),
        intervention="free",
        predicted=gain,
        compute=0.0,
        snapshot=history.snapshots[round_].snapshot,
        seed=slot,
        basis=NOBODY,
    )
