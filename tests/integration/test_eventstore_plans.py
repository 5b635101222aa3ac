"""On a log of twenty thousand events the planner takes an index for every statement that a service repeats.

Events by type are read along the positions, from where the reader stands. An index of types would make rare types
quicker to find for a person, and every append dearer: services ask for what is behind their checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from audit.rebuild import CONSUMERS
from eventstore.sql import QUERIES

FILL = """
ALTER TABLE events DISABLE TRIGGER ALL;
INSERT INTO events
SELECT n, gen_random_uuid(), 'c' || to_char(n / 100, 'FM0000'),
       'c' || to_char(n / 100, 'FM0000') || '/r1s' || n % 20, n / 20 + 1,
       (ARRAY['TrainingStarted', 'CheckpointTrained', 'ScoresReported', 'ScoresReported', 'RecipeProposed',
              'ScoresReported', 'SubmissionReserved', 'DriftAssessed', 'PolicyUpdated', 'DataBatchReady'])
              [CASE WHEN n % 100 < 70 THEN n % 7 ELSE n % 10 END + 1],
       1, 's', NULL, NULL, now(), json_build_object('filling', repeat('x', 500)), sha256('')
FROM generate_series(1, 20000) n;
UPDATE events SET type = 'CampaignStarted' WHERE position % 100 = 0;
UPDATE log_head SET position = 20000;
ALTER TABLE events ENABLE TRIGGER ALL;
ALTER TABLE events ENABLE ALWAYS TRIGGER events_append_only;

INSERT INTO inbox (consumer, event)
SELECT consumer, id
FROM events, unnest($${data,recipes,trainer,oracle,policy}$$::text[]) consumer WHERE position < 19900;
INSERT INTO checkpoints SELECT unnest($${data,recipes,trainer,oracle,policy}$$::text[]), 19899;

INSERT INTO work (queue, key, campaign, payload, priority, attempts, state, cause)
SELECT (ARRAY['train', 'score', 'data'])[n % 3 + 1], n::text, 'c' || to_char(n / 20, 'FM0000'), '{}', 0, 2,
       CASE WHEN n > 3980 THEN 'queued' ELSE 'done' END, (SELECT id FROM events WHERE position = n)
FROM generate_series(1, 4000) n;
"""

SOME = UUID(int=7)
CONSUMER, TYPES = "oracle", list(CONSUMERS["oracle"])
STATEMENTS: dict[str, tuple[Any, ...]] = {
    "read_log": (10_000, None, 500),
    "read_log by type": (10_000, ["ScoresReported"], 500),
    "read_log by a rare type": (10_000, ["CampaignStarted"], 10),
    "read_campaign": (0, None, 500, "c0123"),
    "read_campaign by type": (0, ["PolicyUpdated"], 500, "c0123"),
    "read_stream": (0, None, 500, "c0123/r1s3", None),
    "read_stream by type": (0, ["ScoresReported"], 500, "c0123/r1s3", "c0123"),
    "log_before": (10_000, None, 100),
    "log_before by type": (10_000, ["ScoresReported"], 100),
    "campaign_before": (20_001, None, 100, "c0123"),
    "stream_before": (20_001, None, 100, "c0123/r1s3", None),
    "leases": (100,),
    "queue_ages": (),
    "recorded": (10_000, 500),
    "get_event": (SOME,),
    "get_events": ([SOME] * 3,),
    "campaigns": (),
    "delivery": (CONSUMER, SOME),
    "unhandled": (CONSUMER, TYPES, 100, 0),
    "advance": (CONSUMER, TYPES),
    "lease_work": (["train"], "w", SOME, timedelta(seconds=1)),
    "heartbeat_work": (1, SOME, timedelta(seconds=1)),
    "end_work": (1, SOME, "done"),
    "overdue_work": (["train"],),
    "cancel_work": ("c0199",),
}
"""Statement (and what is special about it) -> its arguments."""

LARGE = {"events", "inbox", "work"}


@pytest.fixture(scope="module")
async def filled(database: str) -> None:
    """A log as long running services leave it: all handled but the last hundred events, few jobs open."""
    connection = await asyncpg.connect(database, server_settings={"search_path": "aevolve"})
    await connection.execute(FILL)
    await connection.execute("ANALYZE")
    await connection.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def planned(owner: asyncpg.Connection, statement: str, *arguments: object) -> list[dict[str, Any]]:
    (told,) = await owner.fetchrow(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
    return list(nodes(json.loads(told)[0]["Plan"]))


@pytest.mark.parametrize("name", list(STATEMENTS))
async def test_a_statement_reads_no_large_table_as_a_whole(name: str, filled: None, owner: asyncpg.Connection) -> None:
    plan = await planned(owner, QUERIES[name.partition(" ")[0]], *STATEMENTS[name])
    whole = [node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"]
    assert not set(whole) & LARGE, plan
    assert any(node["Node Type"].startswith(("Index", "Bitmap Index")) for node in plan)


@pytest.mark.parametrize(
    "name",
    [
        "read_log",
        "read_log by type",
        "read_campaign",
        "log_before",
        "campaign_before",
        "recorded",
        "unhandled",
        "advance",
    ],
)
async def test_a_page_ends_where_it_is_full(name: str, filled: None, owner: asyncpg.Connection) -> None:
    """Nothing that must first read all: no sort, and no join that reads the inbox of all times."""
    plan = await planned(owner, QUERIES[name.partition(" ")[0]], *STATEMENTS[name])
    assert not {"Sort", "Hash"} & {node["Node Type"] for node in plan}


async def test_the_version_of_a_stream_and_the_cause_of_an_event_are_looked_up(
    filled: None, owner: asyncpg.Connection
) -> None:
    """What an append asks about each of its events."""
    statement = """
        SELECT (SELECT max(e.stream_version) FROM events e WHERE e.stream = $1), cause.traceparent
        FROM unnest($2::uuid[]) AS item (causation) LEFT JOIN events cause ON cause.id = item.causation"""
    plan = await planned(owner, statement, "c0123/r1s7", [SOME])
    assert {node["Index Name"] for node in plan if "Index Name" in node} == {"events_stream_version", "events_id"}


async def test_the_planner_would_read_the_whole_table_without_the_index(
    filled: None, owner: asyncpg.Connection
) -> None:
    """The measure itself: the log is long enough for a plan to matter, and a whole reading is seen."""
    plan = await planned(owner, "SELECT * FROM events WHERE source = 's' LIMIT $1", 10)
    assert [node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"] == ["events"]
