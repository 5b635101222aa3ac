"""The policy's four decisions, each a pure function of the history: open, choose, revise, finish.

`search` defaults everywhere to the policy that the constitution names.
"""

from __future__ import annotations

from typing import Literal

from judgement.basis import DIGITS, basis, generator
from judgement.constitution import check
from judgement.explain import decisions as explain
from judgement.explain import policy as explain_policy
from judgement.history import History
from judgement.search import ladder
from judgement.search.axis_beliefs import dead_ends, opening, revised
from judgement.search.beliefs import interventions, noise
from judgement.search.policy import SearchPolicy
from judgement.search.pool import Model
from judgement.search.promote import Rival, mode, promotion, rivals
from judgement.search.registry import policy_of
from schemas.events import CampaignFinished, PolicyUpdated, SubmissionsChosen
from schemas.evidence import Basis, Submission
from schemas.policy import Distrust, Estimate, Policy
from schemas.scores import BASE

__all__ = ["check", "choose_final", "choose_submissions", "finish", "first_policy", "update"]


def first_policy(history: History) -> PolicyUpdated:
    """Version 0, which opens round 1 on the campaign's own recipe, with nothing learned but what it was given."""
    campaign = history.campaign
    space = campaign.constitution.space
    policy = Policy(
        version=0,
        round=1,
        standing=campaign.recipe,
        standing_from=BASE,
        axes=opening(space, campaign.warm),
        mode="recipe stabilisation",
    )
    return PolicyUpdated(
        policy=policy,
        changed=explain_policy.first(campaign),
        why=explain_policy.opening(campaign),
        basis=basis(history, 0, "policy", scored=False),
    )


def choose_submissions(
    history: History,
    round_: int,
    closed_by: Literal["complete", "deadline"],
    search: SearchPolicy | None = None,
) -> SubmissionsChosen:
    """The round's candidates to confirm and to query externally; those not ended are given up."""
    confirm, external = (search or policy_of(history)).choose_submissions(history, round_)
    return SubmissionsChosen(
        round=round_,
        closed_by=closed_by,
        expired=tuple(t.candidate for t in history.of_round(round_) if not t.ended),
        confirm=confirm,
        external=external,
        basis=basis(history, round_, "submissions"),
    )


def update(history: History, search: SearchPolicy | None = None) -> PolicyUpdated:
    """The policy of the next round, after this round's `DriftAssessed`."""
    last = history.policies[history.round]
    model = (search or policy_of(history)).bound(history)
    ground = basis(history, last.round, "policy")
    threshold = history.campaign.constitution.promotion
    found = rivals(history, model, last.standing)
    promoted = promotion(found, threshold)
    policy = _revise(history, model, last, promoted, ground)
    return PolicyUpdated(
        policy=policy,
        changed=explain_policy.changes(last, policy, promoted, threshold),
        why=explain_policy.why(history, policy, promoted, found),
        basis=ground,
    )


def _revise(history: History, model: Model, last: Policy, promoted: Rival | None, ground: Basis) -> Policy:
    standing = last.standing
    if promoted and promoted.trial.recipe:
        standing = promoted.trial.recipe
    spread = noise(history)
    beliefs = interventions(history, model, spread)
    closed = dead_ends(history, model, standing)
    return Policy(
        version=last.version + 1,
        round=last.round + 1,
        standing=standing,
        standing_from=promoted.trial.candidate if promoted else last.standing_from,
        axes=revised(history, model, standing, closed, generator(ground)),
        interventions=beliefs,
        distrusted=distrust(history),
        dead_ends=closed,
        noise=spread,
        mode=mode(history, beliefs),
        best=ladder.best(history),
    )


def distrust(history: History) -> tuple[Distrust, ...]:
    """The standing drifts as the policy carries them."""
    drifts = sorted(history.standing_drifts.items())
    return tuple(
        Distrust(scope=scope, direction=d.assessment.direction, level=d.assessment.level, since=d.round)
        for scope, d in drifts
    )


def choose_final(history: History, search: SearchPolicy | None = None) -> SubmissionsChosen:
    """The one query of the final set: the base, and the winner where it is not the base itself."""
    name, estimate = (search or policy_of(history)).final(history)
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
    """The end of the campaign, after the final scores; a winner that could not be measured has shown no gain."""
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
