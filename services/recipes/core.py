"""The round's recipes as a pure function of the history: the anchor, then one change or a few against it per slot.

Where the campaign has an advisor, its sound proposals come first; the search fills the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judgement.basis import basis, generator, seed_of
from judgement.constitution import check
from judgement.cost import compute
from judgement.history import History
from judgement.search.policy import Proposal, SearchPolicy
from judgement.search.pool import gains
from judgement.search.prior import prior_gains
from judgement.search.registry import policy_of
from schemas.events import Proposer, RecipeProposed
from schemas.evidence import Basis
from schemas.policy import Estimate
from schemas.recipe import Recipe, differences
from services.recipes.advice import taken

__all__ = ["check", "propose"]


def propose(history: History, search: SearchPolicy | None = None) -> tuple[RecipeProposed, ...]:
    """The candidates of the round that the latest policy opened; slot 0 is the anchor.

    Fewer than the constitution's `candidates` where the open part of the space holds no more untried recipes.
    `search` defaults to the policy that the constitution names.
    """
    policy = history.policies[history.round]
    search = search or policy_of(history)
    ground = basis(history, policy.round, "propose", scored=policy.round > 1)
    anchor: Proposal = policy.standing, Estimate(mean=0.0, sd=0.0)
    advised = taken(history)
    filled = [anchor, *_expected(history, search, advised)]
    filled += _searched(history, search, advised, generator(ground))
    return tuple(
        _proposal(history, slot, recipe, gain, ground, "advisor" if 0 < slot <= len(advised) else "search")
        for slot, (recipe, gain) in enumerate(filled)
    )


def _searched(
    history: History, search: SearchPolicy, advised: Sequence[Recipe], rng: np.random.Generator
) -> list[Proposal]:
    """The search's own proposals for the slots that are left; it draws as many as without an advisor."""
    slots = history.campaign.constitution.candidates - 1
    found = search.propose(history, slots, rng)
    return [proposal for proposal in found if proposal[0] not in advised][: slots - len(advised)]


def _expected(history: History, search: SearchPolicy, advised: Sequence[Recipe]) -> list[Proposal]:
    """What the built-in model expects of the advisor's recipes; in round 1 the prior alone speaks."""
    if not advised:
        return []
    policy, campaign = history.policies[history.round], history.campaign
    if policy.round == 1:
        expected = prior_gains(campaign.constitution.space, policy.standing, advised)
    else:
        rng = np.random.default_rng(seed_of(campaign.seed, policy.round, "advice"))
        expected = gains(search.model(history), policy.standing, advised, rng)
    return list(zip(advised, expected, strict=True))


def _proposal(
    history: History, slot: int, recipe: Recipe, gain: Estimate, ground: Basis, by: Proposer = "search"
) -> RecipeProposed:
    policy = history.policies[history.round]
    changes = differences(policy.standing, recipe, tuple(axis.knob for axis in policy.axes))
    return RecipeProposed(
        round=policy.round,
        slot=slot,
        candidate=f"r{policy.round}s{slot}",
        recipe=recipe,
        changes=changes,
        intervention=" + ".join(change.name for change in changes) or "anchor",
        by=by,
        predicted=gain,
        compute=compute(history, recipe),
        snapshot=history.snapshots[policy.round].snapshot,
        seed=seed_of(history.campaign.seed, policy.round, f"train {slot}"),
        basis=ground,
    )
