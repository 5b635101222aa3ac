"""When the data service owes a round its snapshot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from eventstore.effect import NOTHING, Append, Effect, Work
from judgement.deciders import version
from judgement.history import History
from schemas.base import Frozen, digest
from schemas.envelope import round_stream
from schemas.evidence import Basis
from schemas.scores import Cost

QUEUE = "data"
ATTEMPTS = 1_000
"""A round cannot begin without data, so it is tried until the data deadline offers the last snapshot instead."""


def refresh(history: History, now: datetime) -> Effect:
    """Queue the making of the open round's snapshot."""
    if history.policy is None or history.round in history.snapshots or history.unpublished:
        return NOTHING
    policy = history.policy
    basis = _basis(history, policy)
    payload: dict[str, Any] = {
        "round": policy.round,
        "policy": policy.model_dump(mode="json"),
        "campaign": history.campaign.model_dump(mode="json"),
        "basis": basis.model_dump(mode="json"),
    }
    if history.campaign.constitution.data:
        payload |= _collecting(history) | _fingerprints(history)
    key = round_stream(history.id, policy.round)
    return Effect(work=(Work(QUEUE, key, history.id, payload, attempts=ATTEMPTS),))


def reuse(history: History, now: datetime) -> Effect:
    """Past the data deadline the last snapshot serves again."""
    if history.policy is None or history.round in history.snapshots or not history.snapshots:
        return NOTHING
    patience = timedelta(seconds=history.campaign.constitution.budget.data_seconds)
    if now < history.policy_times[history.round] + patience:
        return NOTHING
    last = history.snapshots[max(history.snapshots)]
    again = {"round": history.round, "reused": True, "cost": Cost(), "basis": _basis(history, last)}
    event = last.model_copy(update=again)
    return Effect((Append(history.id, round_stream(history.id, history.round), event, expected=0),))


def _collecting(history: History) -> dict[str, Any]:
    """What collecting begins with: the last harvest, the base and the standing candidate's adapter."""
    made = [snapshot.harvest for _, snapshot in sorted(history.snapshots.items()) if snapshot.harvest]
    policy = history.policy
    assert policy is not None
    standing = history.trials[policy.standing_from].checkpoint
    return {
        "last": made[-1].model_dump(mode="json") if made else None,
        "substrate": history.substrate.model_dump(mode="json"),
        "standing": policy.standing_from,
        "adapter": {"uri": standing.uri, "sha256": standing.sha256} if standing else None,
    }


def _fingerprints(history: History) -> dict[str, Any]:
    """Where the fingerprints lie that collected rows are held against; nothing where they are not asked for."""
    if (published := history.fingerprints) is None:
        return {}
    return {"fingerprints": {"uri": published.uri, "sha256": published.sha256}}


def _basis(history: History, ground: Frozen) -> Basis:
    seed = history.campaign.seed
    return Basis(position=history.position, digest=digest(ground), seed=seed, rules=version("data"))
