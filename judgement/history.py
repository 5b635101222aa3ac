"""A campaign's events folded into the state that every decision is a function of.

Recipes, oracle, policy, console and audit all read a campaign through this fold. Across streams it relies on the log's
order only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from judgement.stamp_correction import corrected
from judgement.trial import Trial
from schemas import events as e
from schemas.advisor import AdvisorAnswered, AdvisorFailed
from schemas.base import digest
from schemas.campaign import Campaign, Substrate
from schemas.envelope import Envelope
from schemas.events import (
    CampaignPaused,
    CampaignResumed,
    CampaignStopped,
    FingerprintsPublished,
    GuardsReported,
    GuardsUnmeasured,
)
from schemas.policy import Policy
from schemas.registry import WRITERS
from schemas.scores import BASE, Cost, Kind, Scores
from schemas.unreadable import UnreadableEvent

CAMPAIGN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Services make folders of these names: no other campaign is begun, whoever appends its start."""

SOURCES = {model.__name__: {f"aevolve/{service}" for service in services} for model, services in WRITERS.items()}
"""Event type -> the sources that may write it. The database refuses others too, but its owner can change its rules."""
MOST_UNREADABLE = 1_000
"""Events that a history keeps of those that cannot be read."""

BY_HAND = "aevolve/console"
"""The source that may write every type in a campaign for tests (`aevolve emit`)."""


@dataclass
class History:
    """Everything that a campaign's decisions may depend on."""

    id: str
    position: int = 0
    campaign: Campaign = None  # type: ignore[assignment]  # set by CampaignStarted, always the first event
    substrate: Substrate = None  # type: ignore[assignment]
    constitution_sha256: str = ""
    """Hash of the constitution, as recorded at the start."""
    started_at: datetime = None  # type: ignore[assignment]
    policies: dict[int, Policy] = field(default_factory=dict)
    """Policy by the round that it opens."""
    policy_times: dict[int, datetime] = field(default_factory=dict)
    snapshots: dict[int, e.DataBatchReady] = field(default_factory=dict)
    snapshot_times: dict[int, datetime] = field(default_factory=dict)
    data_failures: dict[int, e.DataFailed] = field(default_factory=dict)
    """Why a round's data was given up, by round."""
    fingerprints: FingerprintsPublished | None = None
    """Fingerprints of the sealed sets, if the campaign's data is decontaminated."""
    advice: dict[int, AdvisorAnswered | AdvisorFailed] = field(default_factory=dict)
    """The advisor's answer or failure, by round."""
    trials: dict[str, Trial] = field(default_factory=lambda: {BASE: Trial(BASE)})
    submissions: dict[int, e.SubmissionsChosen] = field(default_factory=dict)
    submission_times: dict[int, datetime] = field(default_factory=dict)
    reservations: list[e.SubmissionReserved] = field(default_factory=list)
    assessments: dict[int, e.DriftAssessed] = field(default_factory=dict)
    standing_drifts: dict[str, e.DriftDetected] = field(default_factory=dict)
    """`DriftDetected` that is not cleared, by scope."""
    spent: Cost = field(default_factory=Cost)
    """Everything charged so far, failures included."""
    refused: set[tuple[str, str]] = field(default_factory=set)
    """Refused decisions as (type, article): each is refused once."""
    finished: e.CampaignFinished | None = None
    paused: bool = False
    stopped: bool = False
    references: dict[str, Scores] = field(default_factory=dict)
    """The base's dev under other stamps than its own, by the stamp's digest."""
    streams: dict[str, int] = field(default_factory=dict)
    """Version of each stream: the expected version of the next append."""
    last_id: UUID | None = None
    """The last event."""
    unreadable: list[UnreadableEvent] = field(default_factory=list)
    """Events that do not follow their schema, or do not fit what came before. No service wrote them as its own code
    does, so nothing more is decided: the campaign can only be stopped. The first `MOST_UNREADABLE`, without what they
    hold: anybody who can append them could else fill the memory of each service that folds the campaign."""

    @property
    def policy(self) -> Policy | None:
        """The latest policy."""
        return self.policies[max(self.policies)] if self.policies else None

    @property
    def round(self) -> int:
        """The round that the latest policy opened; 0 before the first."""
        return max(self.policies, default=0)

    @property
    def base(self) -> Trial:
        """The base model's measurements."""
        return self.trials[BASE]

    @property
    def closed(self) -> bool:
        """Whether the campaign is finished, stopped, paused or has an unreadable event: nothing is decided."""
        return self.finished is not None or self.stopped or self.paused or bool(self.unreadable)

    @property
    def dataless(self) -> bool:
        """Whether the first round's data was given up, so that no candidate can ever be proposed."""
        return not self.snapshots and bool(self.data_failures)

    @property
    def unpublished(self) -> bool:
        """Whether the campaign decontaminates its data and the sealed sets' fingerprints are not published yet."""
        rule = self.campaign.constitution.data
        return rule is not None and rule.filters.decontaminate and self.fingerprints is None

    def of_round(self, round_: int) -> list[Trial]:
        """The candidates of a round, by slot."""
        return sorted((t for t in self.trials.values() if t.round == round_ and t.recipe), key=lambda t: t.slot)

    def measured(self, kind: Kind) -> list[Trial]:
        """The trials with a score of this kind, the base first, then by round and slot."""
        return sorted((t for t in self.trials.values() if kind in t.scores), key=lambda t: (t.round, t.slot))

    def reserved(self, kind: Kind) -> int:
        """How many queries of a kind have been charged."""
        return sum(r.kind == kind for r in self.reservations)

    def apply(self, envelope: Envelope) -> None:
        """Fold one more event; events at or before the current position are ignored."""
        if envelope.sequence > self.position:
            self.take(envelope)

    def take(self, envelope: Envelope) -> None:
        """Fold an event whatever its position: for histories that are rebuilt in another order."""
        self.position = envelope.sequence
        self.streams[envelope.subject] = envelope.stream_version
        self.last_id = envelope.id
        try:
            self._check_source(envelope)
            if fold_one := FOLDS.get(envelope.type):
                fold_one(self, envelope.event, envelope.time)
        except UnreadableEvent as error:
            self._keep(UnreadableEvent(envelope, error.reason))  # anew: a raised one holds the frames that it passed
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            reason = f"it does not fit the events before it ({type(error).__name__}: {error})"
            self._keep(UnreadableEvent(envelope, reason))

    def _keep(self, error: UnreadableEvent) -> None:
        if len(self.unreadable) < MOST_UNREADABLE:
            self.unreadable.append(error)

    def _check_source(self, envelope: Envelope) -> None:
        """Raise `UnreadableEvent` for an event whose source may not write its type in this campaign."""
        by_hand = self.campaign is not None and self.campaign.test and envelope.source == BY_HAND
        sources = SOURCES.get(envelope.type, {envelope.source})
        if not by_hand and envelope.source not in sources:
            writers = " or ".join(sorted(sources))
            raise UnreadableEvent(envelope, f"its source is {envelope.source!r}, and only {writers} may write it")


def fold(campaign_id: str, envelopes: Iterable[Envelope]) -> History:
    """The state of one campaign after its events, which are in log order."""
    history = History(campaign_id)
    for envelope in envelopes:
        history.apply(envelope)
    return history


def _started(h: History, event: e.CampaignStarted, time: datetime) -> None:
    if not CAMPAIGN_ID.fullmatch(h.id):
        raise ValueError("the campaign's id is no name, which it must be in paths and streams")
    _check_new("the campaign's start", h.campaign)
    h.campaign, h.substrate, h.started_at = event.campaign, event.substrate, time
    h.constitution_sha256 = event.constitution_sha256


def _check_new(what: str, recorded: object) -> None:
    """Raise `ValueError` if the log has it already: no service writes it twice, and all that follows rests on it."""
    if recorded is not None:
        raise ValueError(f"{what} is recorded already")


def _check_open(h: History, round_: int) -> None:
    """Raise `ValueError` for a round beyond the next: one event for each number would fill the memory."""
    if round_ > h.round + 1:
        raise ValueError(f"round {round_} is not open, the last one is {h.round}")


def _policy(h: History, event: e.PolicyUpdated, time: datetime) -> None:
    if event.policy.round > h.campaign.constitution.rounds:
        raise ValueError(f"the campaign has {h.campaign.constitution.rounds} rounds")
    _check_new(f"the policy of round {event.policy.round}", h.policies.get(event.policy.round))
    h.policies[event.policy.round] = event.policy
    h.policy_times[event.policy.round] = time


def _data(h: History, event: e.DataBatchReady, time: datetime) -> None:
    _check_open(h, event.round)
    _check_new(f"the data of round {event.round}", h.snapshots.get(event.round))
    h.snapshots[event.round] = event
    h.snapshot_times[event.round] = time
    h.spent = charge(h.spent, event.cost)


def _data_failed(h: History, event: e.DataFailed, time: datetime) -> None:
    _check_open(h, event.round)
    snapshot = h.snapshots.get(event.round)
    # A round that reuses older data at its deadline does not end its job, which may fail later.
    _check_new(f"the data of round {event.round}", None if snapshot and snapshot.reused else snapshot)
    h.data_failures[event.round] = event
    h.spent = charge(h.spent, event.cost)


def _published(h: History, event: FingerprintsPublished, time: datetime) -> None:
    _check_new("the fingerprints", h.fingerprints)
    h.fingerprints = event
    h.spent = charge(h.spent, event.cost)


def _advised(h: History, event: AdvisorAnswered | AdvisorFailed, time: datetime) -> None:
    _check_open(h, event.round)
    h.spent = charge(h.spent, event.cost)
    h.advice[event.round] = event


def _proposed(h: History, event: e.RecipeProposed, time: datetime) -> None:
    _check_open(h, event.round)
    if event.candidate != f"r{event.round}s{event.slot}" or event.slot >= h.campaign.constitution.candidates:
        raise ValueError(f"{event.candidate} is no candidate of round {event.round} and slot {event.slot}")
    _check_new(f"the candidate {event.candidate}", h.trials.get(event.candidate))
    h.trials[event.candidate] = Trial(
        candidate=event.candidate,
        round=event.round,
        slot=event.slot,
        recipe=event.recipe,
        changes=event.changes,
        intervention=event.intervention,
        proposed=event,
        proposed_at=time,
        proposed_id=h.last_id,
    )


def _training_started(h: History, event: e.TrainingStarted, time: datetime) -> None:
    h.trials[event.candidate].attempts = event.attempt


def _trained(h: History, event: e.CheckpointTrained, time: datetime) -> None:
    trial = h.trials[event.candidate]
    _check_new(f"the checkpoint of {event.candidate}", trial.checkpoint)
    trial.checkpoint, trial.checkpoint_id = event, h.last_id
    h.spent = charge(h.spent, event.cost)


def _training_failed(h: History, event: e.TrainingFailed, time: datetime) -> None:
    trial = h.trials[event.candidate]
    if trial is h.base:
        raise ValueError("the base is not trained")
    _check_new(f"the checkpoint of {event.candidate}", trial.checkpoint)
    h.spent = charge(h.spent, event.cost)
    if event.terminal:
        trial.failed = event.error


def _scored(h: History, event: e.ScoresReported, time: datetime) -> None:
    trial = h.trials[event.candidate]
    h.spent = charge(h.spent, event.cost)
    if trial is h.base and event.kind == "dev" and trial.stamps.get("dev", event.stamp) != event.stamp:
        h.references[digest(event.stamp)] = event.scores
        return
    trial.scores[event.kind], trial.stamps[event.kind] = event.scores, event.stamp
    for other in h.trials.values() if trial is h.base else (trial,):
        _compare(h, other, event.kind)


def _compare(h: History, trial: Trial, kind: Kind) -> None:
    """Correct a score with another stamp than the base's to the base's stamp, or set it aside (design rule 4)."""
    reference = h.base.stamps.get(kind)
    if kind not in trial.scores or reference in (None, trial.stamps[kind]):
        return
    there, here = h.references.get(digest(trial.stamps[kind])), h.base.scores.get("dev")
    if kind in ("dev", "confirm") and there and here:
        trial.moved[kind] = trial.stamps[kind]
        trial.scores[kind] = corrected(trial.scores[kind], there, here)
        trial.stamps[kind] = reference
    else:
        del trial.scores[kind]
        _unmeasured(trial, kind, "OtherStamp")


def _unmeasured(trial: Trial, kind: Kind, error: str) -> None:
    trial.unmeasured[kind] = error
    if kind == "dev":
        trial.failed = error


def _evaluation_failed(h: History, event: e.EvaluationFailed, time: datetime) -> None:
    trial = h.trials[event.candidate]
    if event.kind == "dev":  # one job measures it; a set that two rounds chose may have two, and one may fail late
        _check_new(f"the dev score of {event.candidate}", trial.scores.get("dev"))
    h.spent = charge(h.spent, event.cost)
    if event.terminal and event.kind not in trial.scores:
        _unmeasured(trial, event.kind, event.error)


def _guards(h: History, event: GuardsReported, time: datetime) -> None:
    trial = h.trials[event.candidate]
    trial.guards, trial.guard_stamp = event.suites, event.stamp
    h.spent = charge(h.spent, event.cost)
    for other in h.trials.values() if trial is h.base else (trial,):
        _compare_guards(h.base, other)


def _compare_guards(base: Trial, trial: Trial) -> None:
    """As `_compare`."""
    if trial.guards and base.guard_stamp not in (None, trial.guard_stamp):
        trial.guards, trial.unguarded = {}, "OtherStamp"


def _unguarded(h: History, event: GuardsUnmeasured, time: datetime) -> None:
    trial = h.trials[event.candidate]
    h.spent = charge(h.spent, event.cost)
    if event.terminal and not trial.guards:
        trial.unguarded = event.error


def _submissions(h: History, event: e.SubmissionsChosen, time: datetime) -> None:
    key = event.round if not event.final else h.campaign.constitution.rounds + 1
    _check_new(f"the choice of {'the final set' if event.final else f'round {event.round}'}", h.submissions.get(key))
    if event.round != h.round:
        raise ValueError(f"round {event.round} was chosen in round {h.round}")
    h.submissions[key], h.submission_times[key] = event, time
    for candidate in event.expired:
        h.trials[candidate].expired = True


def _reserved(h: History, event: e.SubmissionReserved, time: datetime) -> None:
    h.reservations.append(event)


def _assessed(h: History, event: e.DriftAssessed, time: datetime) -> None:
    h.assessments[event.round] = event


def _detected(h: History, event: e.DriftDetected, time: datetime) -> None:
    h.standing_drifts[event.assessment.scope] = event


def _cleared(h: History, event: e.DriftCleared, time: datetime) -> None:
    h.standing_drifts.pop(event.scope, None)


def _refused(h: History, event: e.DecisionRefused, time: datetime) -> None:
    h.refused.add((event.decision, event.article))


def _finished(h: History, event: e.CampaignFinished, time: datetime) -> None:
    h.finished = event


def _paused(h: History, event: CampaignPaused, time: datetime) -> None:
    h.paused = True


def _resumed(h: History, event: CampaignResumed, time: datetime) -> None:
    h.paused = False


def _stopped(h: History, event: CampaignStopped, time: datetime) -> None:
    h.stopped = True


def charge(spent: Cost, cost: Cost) -> Cost:
    """The sum of two costs."""
    return Cost(
        tokens=spent.tokens + cost.tokens,
        compute=spent.compute + cost.compute,
        seconds=spent.seconds + cost.seconds,
        device_seconds=spent.device_seconds + cost.device_seconds,
        lost_seconds=spent.lost_seconds + cost.lost_seconds,
    )


FOLDS: dict[str, Callable[[History, Any, datetime], None]] = {
    "CampaignStarted": _started,
    "PolicyUpdated": _policy,
    "DataBatchReady": _data,
    "DataFailed": _data_failed,
    "FingerprintsPublished": _published,
    "AdvisorAnswered": _advised,
    "AdvisorFailed": _advised,
    "RecipeProposed": _proposed,
    "TrainingStarted": _training_started,
    "CheckpointTrained": _trained,
    "TrainingFailed": _training_failed,
    "ScoresReported": _scored,
    "EvaluationFailed": _evaluation_failed,
    "GuardsReported": _guards,
    "GuardsUnmeasured": _unguarded,
    "SubmissionsChosen": _submissions,
    "SubmissionReserved": _reserved,
    "DriftAssessed": _assessed,
    "DriftDetected": _detected,
    "DriftCleared": _cleared,
    "DecisionRefused": _refused,
    "CampaignFinished": _finished,
    "CampaignPaused": _paused,
    "CampaignResumed": _resumed,
    "CampaignStopped": _stopped,
}
