"""The outcome of a policy: the verdict of the later rounds, up to the head of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.narrate import accuracy
from judgement.history import History
from schemas.envelope import Envelope
from schemas.events import DriftCleared, PolicyUpdated
from schemas.policy import Policy
from schemas.scores import Scores


@dataclass(frozen=True)
class LaterRound:
    """One round under a policy or its successors."""

    round: int
    """The round."""
    standing: str
    """Whose recipe stood in it."""
    target: Scores | None
    """The target of that recipe."""
    bayes_factor: float | None
    """Evidence for drift at its end, once assessed."""
    drifts: tuple[str, ...]
    """Where dev was not believed in it."""


@dataclass(frozen=True)
class Outcome:
    """The effect of a policy on the later rounds."""

    words: tuple[str, ...]
    """The verdict in sentences."""
    rounds: tuple[LaterRound, ...]
    """The rounds since, in their order."""


def outcome(history: History, envelopes: Sequence[Envelope], decision: Envelope) -> Outcome:
    """The verdict on a policy. The history and the envelopes reach as far as the log goes."""
    event: PolicyUpdated = decision.event
    cleared = [x.event for x in envelopes if x.type == "DriftCleared" and x.sequence > decision.sequence]
    words = [*_recipe(history, event.policy), *_drifts(history, event.policy, cleared), *_end(history)]
    assessed = any(round_ >= event.policy.round for round_ in history.assessments)
    rounds = tuple(_round(history, round_) for round_ in sorted(history.policies) if round_ >= event.policy.round)
    return Outcome(tuple(words) if assessed else ("No round has ended since: the verdict is still out.",), rounds)


def _round(history: History, round_: int) -> LaterRound:
    policy, assessed = history.policies[round_], history.assessments.get(round_)
    target = history.trials[policy.standing_from].scores.get("external")
    drifts = tuple(distrust.scope for distrust in policy.distrusted)
    return LaterRound(round_, policy.standing_from, target, assessed.bayes_factor if assessed else None, drifts)


def _recipe(history: History, policy: Policy) -> Iterator[str]:
    """How long the recipe stood that this policy made the standing one, and what took its place."""
    name = policy.standing_from
    others = [p for round_, p in sorted(history.policies.items()) if round_ > policy.round and p.standing_from != name]
    if not others:
        yield f"The recipe of {name} ({_target(history, name)}) has been the standing one ever since."
        return
    after = others[0].standing_from
    yield (
        f"The recipe of {name} ({_target(history, name)}) stood until round {others[0].round - 1}; then that of "
        f"{after} ({_target(history, after)}) took its place."
    )


def _target(history: History, name: str) -> str:
    scores = history.trials[name].scores.get("external")
    return f"target {accuracy(scores)} %" if scores else "target not measured"


def _drifts(history: History, policy: Policy, cleared: Sequence[DriftCleared]) -> Iterator[str]:
    """What later evidence made of the drifts that this policy was the first to heed."""
    last = max(history.assessments, default=policy.round)
    ends = {event.scope: event.round for event in reversed(cleared)}
    new = (distrust for distrust in policy.distrusted if distrust.since == policy.round - 1)
    for distrust in new:
        if distrust.scope in ends:
            yield f"Dev in {distrust.scope} was believed again after round {ends[distrust.scope]}."
        else:
            yield f"Dev in {distrust.scope} was still held to be {distrust.direction} after round {last}."


def _end(history: History) -> Iterator[str]:
    if history.finished and history.finished.reason == "no data":
        yield history.finished.why
    elif finished := history.finished:
        gain = f"{100 * finished.gain.mean:+.1f} ± {100 * finished.gain.sd:.1f}"
        yield f"In the end {finished.winner} won, {gain} points over the base on the final set."
