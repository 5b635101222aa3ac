"""What must hold after the storm, whatever was broken in it."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence

from eventstore.store import EventStore
from schemas.envelope import Envelope
from services.runtime.kafka.broker import DEAD_LETTER_TOPIC
from services.runtime.kafka.reader import read_topics
from tests.chaos.system import System
from tests.cluster import SERVICES
from tests.told import told

REPEATABLE = {"TrainingStarted"}
"""A job is started once per try."""

UNHANDLED = """
SELECT e.position, e.type FROM events e
WHERE e.type = ANY ($2) AND NOT EXISTS (SELECT FROM inbox i WHERE i.consumer = $1 AND i.event = e.id)
"""
OPEN_WORK = "SELECT queue, key, state, attempt FROM work WHERE state IN ('queued', 'leased')"


async def nothing_is_lost_or_doubled(system: System, store: EventStore) -> None:
    """The log is whole, everybody has handled all of it, and nothing is left to do."""
    events = [event async for event in store.read()]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert (await store.verify({})).position == len(events)
    for service in SERVICES:
        types = list(importlib.import_module(f"services.{service}.app").SERVICE.reactions)
        assert not await system.ask(UNHANDLED, service, types), service
    assert not await system.ask(OPEN_WORK)
    assert not await read_topics(system.broker.address, {DEAD_LETTER_TOPIC})


def every_outcome_is_told_once(events: Sequence[Envelope]) -> None:
    """One end per candidate, one score per set asked for, and a score for each query that was charged."""
    ends = Counter(e.data["candidate"] for e in events if e.type == "CheckpointTrained")
    proposed = {e.data["candidate"] for e in events if e.type == "RecipeProposed"}
    assert ends == dict.fromkeys(proposed, 1)
    scores = Counter((e.data["candidate"], e.data["kind"]) for e in events if e.type == "ScoresReported")
    assert set(scores.values()) == {1}
    charged = [(e.data["candidate"], e.data["kind"]) for e in events if e.type == "SubmissionReserved"]
    assert len(set(charged)) == len(charged)
    assert set(charged) <= scores.keys()


def decided_as_undisturbed(events: Sequence[Envelope], undisturbed: Sequence[Envelope]) -> None:
    """The same decisions, recipes and scores; tries that failed are allowed, and what they cost."""
    was, ought = (told(lasting(log), also={"attempt"}) for log in (events, undisturbed))
    assert was.keys() == ought.keys()
    for stream in ought:
        assert was[stream] == ought[stream], stream


def lasting(events: Sequence[Envelope]) -> list[Envelope]:
    """The events without those of tries that led to nothing."""
    return [e for e in events if e.type not in REPEATABLE and e.data.get("terminal") is not False]
