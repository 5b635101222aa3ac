"""The round's recipes as a pure function of the history: the anchor, then one change or a few against it per slot."""

from __future__ import annotations

from judgement.cost import compute
from judgement.history import History
from judgement.search_basis import basis, generator, seed_of
from judgement.search_policies import policy_of
from judgement.search_policy import Proposal, SearchPolicy
from judgement.search_rules import check
from schemas.events import RecipeProposed
from schemas.evidence import Basis
from schemas.policy import Estimate
from schemas.recipe import Recipe, differences

__all__ = ["check", "propose"]


def propose(history: History, search: SearchPolicy | None = None) -> tuple[RecipeProposed, ...]:
    """The candidates of the round that the latest policy opened; slot 0 is the anchor.

    Fewer than the constitution's `candidates` where the open part of the space holds no more untried recipes.
    `search` defaults to the policy that the constitution names.
    """
    policy = history.policies[history.round]
    ground = basis(history, policy.round, "propose", scored=policy.round > 1)
    slots = history.campaign.constitution.candidates - 1
    anchor: Proposal = policy.standing, Estimate(mean=0.0, sd=0.0)
    chosen = [anchor, *(search or policy_of(history)).propose(history, slots, generator(ground))]
    return tuple(_proposal(history, slot, recipe, gain, ground) for slot, (recipe, gain) in enumerate(chosen))


def _proposal(history: History, slot: int, recipe: Recipe, gain: Estimate, ground: Basis) -> RecipeProposed:
    policy = history.policies[history.round]
    changes = differences(policy.standing, recipe, tuple(axis.knob for axis in policy.axes))
    return RecipeProposed(
        round=policy.round,
        slot=slot,
        candidate=f"r{policy.round}s{slot}",
        recipe=recipe,
        changes=changes,
        intervention=" + ".join(change.name for change in changes) or "anchor",
        predicted=gain,
        compute=compute(history, recipe),
        snapshot=history.snapshots[policy.round].snapshot,
        seed=seed_of(history.campaign.seed, policy.round, f"train {slot}"),
        basis=ground,
    )
