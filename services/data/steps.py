"""When a round's snapshot is queued, and when the last one is reused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from eventstore.effect import NOTHING, Append, Effect, Work
from judgement.history import History
from schemas.envelope import round_stream
from schemas.evidence import Stored
from services.data.core import basis, reused
from services.data.orders import QUEUE, DataOrder

ATTEMPTS = 1_000
"""Tries whose workers may die; failed ones end with `budget.data_seconds` (`services.data.snapshot_job.gives_up`)."""


def refresh(history: History, now: datetime | None = None) -> Effect:
    """Queue the snapshot of the open round."""
    if history.policy is None or history.round in history.snapshots or history.unpublished:
        return NOTHING
    policy, campaign = history.policy, history.campaign
    collecting = _collecting(history) if campaign.constitution.data else {}
    order = DataOrder(round=policy.round, policy=policy, campaign=campaign, basis=basis(history, policy), **collecting)
    key = round_stream(history.id, policy.round)
    return Effect(work=(Work(QUEUE, key, history.id, order.model_dump(mode="json"), attempts=ATTEMPTS),))


def works_of(history: History, key: str) -> tuple[Work, ...]:
    """The snapshot of this key that the step above queues in this state."""
    return refresh(history).work if key == round_stream(history.id, history.round) else ()


def _collecting(history: History) -> dict[str, Any]:
    """Fields of an order that collects: the last harvest, the base, the standing adapter, the fingerprints."""
    harvests = [snapshot.harvest for _, snapshot in sorted(history.snapshots.items()) if snapshot.harvest]
    policy = history.policy
    assert policy is not None
    checkpoint = history.trials[policy.standing_from].checkpoint
    fields = {
        "last": harvests[-1] if harvests else None,
        "substrate": history.substrate,
        "standing": policy.standing_from,
        "adapter": Stored(uri=checkpoint.uri, sha256=checkpoint.sha256) if checkpoint else None,
    }
    if (published := history.fingerprints) is None:
        return fields
    return fields | {"fingerprints": Stored(uri=published.uri, sha256=published.sha256)}


def reuse(history: History, now: datetime) -> Effect:
    """After the data deadline, the last snapshot serves the open round."""
    if history.policy is None or history.round in history.snapshots or not history.snapshots:
        return NOTHING
    deadline = timedelta(seconds=history.campaign.constitution.budget.data_seconds)
    if now < history.policy_times[history.round] + deadline:
        return NOTHING
    return Effect((Append(history.id, round_stream(history.id, history.round), reused(history), expected=0),))
