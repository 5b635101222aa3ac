"""Every decision of a campaign, each a pure function from the history to the event that records it.

A round is proposed, its submissions are chosen, drift is assessed, the policy is revised; at the end the final
candidates are chosen and the campaign finishes. The search policy that the constitution names makes the choices
(`judgement.search.registry`); the functions here turn them into events with a basis. `RULES` maps each decision to its
function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from judgement.advice import accepted_recipes, weighed_advice
from judgement.basis import DIGITS, basis, generator, seed_of
from judgement.cost import compute
from judgement.drift.assess import assess, verdicts
from judgement.drift.threshold import with_threshold
from judgement.explain import decisions as explain
from judgement.explain import policy as explain_policy
from judgement.history import History
from judgement.search.beliefs import dead_ends, first_axes, interventions, replicate_sd, revised_axes
from judgement.search.policy import Model, Proposal, SearchPolicy, gains
from judgement.search.prior import prior_gains
from judgement.search.promote import Rival, announced_best, mode, promotion, rivals
from judgement.search.registry import policy_of
from schemas.base import Frozen
from schemas.campaign import Campaign, Substrate
from schemas.events import CampaignFinished, CampaignStarted, PolicyUpdated, Proposer, RecipeProposed, SubmissionsChosen
from schemas.evidence import Basis, Submission
from schemas.policy import Distrust, Estimate, Policy
from schemas.recipe import Recipe, differences
from schemas.scores import BASE

ClosedBy = Literal["complete", "deadline"]
"""Why a round was closed."""


def campaign_start(campaign: Campaign, substrate: Substrate) -> CampaignStarted:
    """The first event of a campaign: its drift threshold is set by simulation here, before any result exists."""
    campaign = with_threshold(campaign)
    return CampaignStarted(campaign=campaign, constitution_sha256=campaign.constitution_sha256, substrate=substrate)


def first_policy(history: History) -> PolicyUpdated:
    """Version 0, which opens round 1 on the campaign's own recipe; nothing is learned yet but a warm start's prior."""
    campaign = history.campaign
    policy = Policy(
        version=0,
        round=1,
        standing=campaign.recipe,
        standing_from=BASE,
        axes=first_axes(campaign.constitution.space, campaign.warm),
        mode="recipe stabilisation",
    )
    return PolicyUpdated(
        policy=policy,
        changed=explain_policy.first_changes(campaign),
        why=explain_policy.first_reasons(campaign),
        basis=basis(history, 0, "policy", scored=False),
    )


def propose(history: History) -> tuple[RecipeProposed, ...]:
    """The candidates of the round that the latest policy opened; slot 0 is the anchor.

    Fewer than the constitution's `candidates` where the open part of the space holds no more untried recipes. Where the
    campaign has an advisor, its sound proposals come first and the search fills the rest.
    """
    policy, search = history.policies[history.round], policy_of(history)
    ground = basis(history, policy.round, "propose", scored=policy.round > 1)
    anchor: Proposal = policy.standing, Estimate(mean=0.0, sd=0.0)
    advised = accepted_recipes(history)
    # The search draws as many recipes as without an advisor, so that advice does not change its random numbers.
    slots = history.campaign.constitution.candidates - 1
    suggestions = search.propose(history, slots, generator(ground))
    searched = [proposal for proposal in suggestions if proposal[0] not in advised][: slots - len(advised)]
    proposals = [anchor, *_advised_proposals(history, search, advised), *searched]
    return tuple(
        _proposed(history, slot, recipe, gain, ground, "advisor" if 0 < slot <= len(advised) else "search")
        for slot, (recipe, gain) in enumerate(proposals)
    )


def _advised_proposals(history: History, search: SearchPolicy, advised: Sequence[Recipe]) -> list[Proposal]:
    """The advisor's recipes with the gain that the search policy's model expects; in round 1 the prior's."""
    if not advised:
        return []
    policy, campaign = history.policies[history.round], history.campaign
    if policy.round == 1:
        expected = prior_gains(campaign.constitution.space, policy.standing, advised)
    else:
        rng = np.random.default_rng(seed_of(campaign.seed, policy.round, "advice"))
        expected = gains(search.model(history), policy.standing, advised, rng)
    return list(zip(advised, expected, strict=True))


def _proposed(
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


def choose_submissions(history: History, round_: int, closed_by: ClosedBy) -> SubmissionsChosen:
    """The round's candidates to confirm and to query the target for; those not ended are given up."""
    confirm, external = policy_of(history).choose_submissions(history, round_)
    return SubmissionsChosen(
        round=round_,
        closed_by=closed_by,
        expired=tuple(t.candidate for t in history.of_round(round_) if not t.ended),
        confirm=confirm,
        external=external,
        basis=basis(history, round_, "submissions"),
    )


def update(history: History) -> PolicyUpdated:
    """The policy of the next round, after this round's `DriftAssessed`."""
    last = history.policies[history.round]
    model = policy_of(history).bound(history)
    ground = basis(history, last.round, "policy")
    threshold = history.campaign.constitution.promotion
    against = rivals(history, model, last.standing)
    promoted = promotion(against, threshold)
    policy = _next_policy(history, model, last, promoted, ground)
    return PolicyUpdated(
        policy=policy,
        changed=explain_policy.changes(last, policy, promoted, threshold),
        why=explain_policy.reasons(history, policy, promoted, against),
        basis=ground,
    )


def _next_policy(history: History, model: Model, last: Policy, promoted: Rival | None, ground: Basis) -> Policy:
    standing = last.standing
    if promoted and promoted.trial.recipe:
        standing = promoted.trial.recipe
    spread = replicate_sd(history)
    beliefs = interventions(history, model, spread)
    closed = dead_ends(history, model, standing)
    drifts = sorted(history.standing_drifts.items())
    return Policy(
        version=last.version + 1,
        round=last.round + 1,
        standing=standing,
        standing_from=promoted.trial.candidate if promoted else last.standing_from,
        axes=revised_axes(history, model, standing, closed, generator(ground)),
        interventions=beliefs,
        distrusted=tuple(
            Distrust(scope=scope, direction=d.assessment.direction, level=d.assessment.level, since=d.round)
            for scope, d in drifts
        ),
        dead_ends=closed,
        noise=spread,
        mode=mode(history, beliefs),
        best=announced_best(history),
    )


def choose_final(history: History) -> SubmissionsChosen:
    """The one query of the final set: the base, and the winner unless it is the base itself."""
    name, estimate = policy_of(history).final(history)
    final = [Submission(candidate=BASE, reason="What the campaign started from; every gain is measured against it.")]
    if name != BASE:
        final.append(Submission(candidate=name, reason=explain.winner(history.trials[name], estimate)))
    return SubmissionsChosen(
        round=history.round,
        closed_by="complete",
        confirm=(),
        external=(),
        final=tuple(final),
        basis=basis(history, history.round, "final"),
    )


def finish(history: History) -> CampaignFinished:
    """The end of the campaign, after the final scores; a winner without a final score has shown no gain.

    A campaign whose first round's data was given up ends with the base.
    """
    if history.dataless:
        return _without_data(history)
    chosen = history.submissions[history.campaign.constitution.rounds + 1].final[-1].candidate
    base, best = (history.trials[c].scores.get("final") for c in (BASE, chosen))
    ground = basis(history, history.round, "finish")
    if base is None or best is None or chosen == BASE:
        return CampaignFinished(
            winner=BASE,
            gain=Estimate(mean=0.0, sd=0.0),
            why=explain_policy.unproven(history, history.trials[chosen]),
            basis=ground,
        )
    gain = Estimate(mean=round(best.score - base.score, DIGITS), sd=round((best.se**2 + base.se**2) ** 0.5, DIGITS))
    return CampaignFinished(
        winner=chosen, gain=gain, why=explain.finished(history.trials[chosen], base, best, gain), basis=ground
    )


def _without_data(history: History) -> CampaignFinished:
    failure = history.data_failures[max(history.data_failures)]
    seconds = history.campaign.constitution.budget.data_seconds
    return CampaignFinished(
        winner=BASE,
        gain=Estimate(mean=0.0, sd=0.0),
        why=explain.without_data(failure.round, failure.error, seconds),
        basis=basis(history, failure.round, "finish", scored=False),
        reason="no data",
    )


def _drift(history: History, _: ClosedBy) -> tuple[Frozen, ...]:
    assessed = assess(history, history.round)
    return (assessed, *verdicts(history, assessed))


Decider = Callable[[History, ClosedBy], tuple[Frozen, ...]]
"""(history, what ended the round: a recorded fact that no state holds) -> every event that is decided at this state."""

RULES: dict[tuple[str, int], Decider] = {
    ("propose", 3): lambda history, _: (*propose(history), *weighed_advice(history)),
    ("submissions", 1): lambda history, closed_by: (choose_submissions(history, history.round, closed_by),),
    ("final", 2): lambda history, _: (choose_final(history),),
    ("drift", 2): _drift,
    ("policy", 2): lambda history, _: (update(history) if history.policies else first_policy(history),),
    ("finish", 1): lambda history, _: (finish(history),),
}
"""(decider, version of its rules) -> the function that decides; `judgement.deciders` says which version is in force.

Rules of earlier versions stay here beside today's for as long as this release is to replay the logs that they decided.
"""

DECIDES = {
    "RecipeProposed": "propose",
    "AdviceWeighed": "propose",
    "SubmissionsChosen": "submissions",
    "DriftAssessed": "drift",
    "DriftDetected": "drift",
    "DriftCleared": "drift",
    "PolicyUpdated": "policy",
    "CampaignFinished": "finish",
}
"""Event type -> its decider; the choice of the final set has a decider of its own, `final`."""
