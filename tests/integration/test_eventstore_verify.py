"""The hash chain: the database and Python compute the same, and nothing that a superuser does to a row goes unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.effect import Append
from eventstore.integrity import chain
from eventstore.integrity.chain import EMPTY, ChainBroken, Head, next_hash, read_rows, verify_log
from eventstore.sql import QUERIES
from eventstore.store import EventStore, StreamConflict
from schemas.advisor import AdvisorFailed
from schemas.events import TrainingStarted
from tests.conftest import Stores

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "PAGE", 3)


@pytest.fixture
async def store(stores: Stores) -> EventStore:
    """A store with eight events at least."""
    policy = await stores("policy")
    await policy.append([Append("c", f"c/{n}", AdvisorFailed(error="E", message="m")) for n in range(4)])
    (cause,) = await policy.append([Append("c", "c", AdvisorFailed(error="E", message="m"))])
    event = AdvisorFailed(error="é", message="\U0001f600 'quoted' \"twice\"")
    await policy.append([Append("c", "c", event, causation=cause.id)] * 3, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    return policy


@pytest.fixture
async def superuser(store: EventStore, owner: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """Whoever rewrites history, in a transaction that is taken back."""
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await owner.execute("SET LOCAL session_replication_role = replica")
    yield owner
    await transaction.rollback()


async def test_the_database_computes_the_chain_that_python_computes(store: EventStore) -> None:
    hash_ = EMPTY.hash
    async for row in store.rows():
        hash_ = next_hash(hash_, row)
        assert row.hash == hash_
    assert await store.verify({}) == Head(await store.head(), hash_)


@pytest.fixture
async def lenient(owner: asyncpg.Connection) -> AsyncIterator[None]:
    """A database that takes every text, like the versions before: their logs are verified, too."""
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_form")
    yield
    await owner.execute("ALTER TABLE events ENABLE TRIGGER events_form")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(campaign=TEXTS, stream=TEXTS, trace=st.none() | TEXTS, message=TEXTS, caused=st.booleans(), many=st.booleans())
async def test_odd_texts_are_hashed_alike(
    stores: Stores, lenient: None, campaign: str, stream: str, trace: str | None, message: str, caused: bool, many: bool
) -> None:
    policy = await stores("policy")
    event = AdvisorFailed(error="", message=message)
    (cause,) = await policy.append([Append(campaign, stream, event)], traceparent=trace)
    effect = Append(campaign, stream, event, causation=cause.id if caused else None)
    await policy.append([effect, effect] if many else [effect])
    await policy.verify({})


async def test_appends_from_many_sessions_at_once_make_one_chain(stores: Stores) -> None:
    policy, trainer = await stores("policy"), await stores("trainer")
    advice = [Append("race", "race", AdvisorFailed(error="E", message=str(n))) for n in range(3)]
    start = [Append("race", "race/a", TrainingStarted(candidate="a", attempt=1, worker="w"), expected=0)]
    work = [writer.append(items) for _ in range(30) for writer, items in ((policy, advice), (trainer, start))]
    looks = [policy.verify({}) for _ in range(5)]
    outcomes = await asyncio.gather(*work, *looks, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(refused) == 29
    assert all(isinstance(error, StreamConflict) for error in refused)
    assert (await policy.verify({})).position == await policy.head()


COPY = """
INSERT INTO events
SELECT {place}, gen_random_uuid(), campaign, stream, 99, type, version, source, causation, traceparent, time, data, hash
FROM events WHERE position = 4
"""
SHIFT = (
    "UPDATE events SET position = -position WHERE position > 4",
    "UPDATE events SET position = {by} - position WHERE position < 0",
    "UPDATE log_head SET position = {by} + position",
)
TAMPERING = {
    "data altered": (4, "UPDATE events SET data = '{}' WHERE position = 4"),
    "data spelled otherwise": (4, "UPDATE events SET data = (data::text || ' ')::json WHERE position = 4"),
    "type altered": (4, "UPDATE events SET type = 'T' WHERE position = 4"),
    "time altered": (4, "UPDATE events SET time = time + interval '1 microsecond' WHERE position = 4"),
    "time beyond Python's": (4, "UPDATE events SET time = '0044-03-15 BC' WHERE position = 4"),
    "time infinite": (4, "UPDATE events SET time = 'infinity' WHERE position = 4"),
    "cause forgotten": (6, "UPDATE events SET causation = NULL WHERE position = 6"),
    "trace emptied": (4, "UPDATE events SET traceparent = '' WHERE position = 4"),
    "hash altered": (4, "UPDATE events SET hash = sha256('x') WHERE position = 4"),
    "hash removed": (
        4,
        "ALTER TABLE events ALTER hash DROP NOT NULL",
        "UPDATE events SET hash = NULL WHERE position = 4",
    ),
    "two altered": (3, "UPDATE events SET source = 's' WHERE position IN (3, 6)"),
    "first deleted": (1, "DELETE FROM events WHERE position = 1"),
    "deleted": (4, "DELETE FROM events WHERE position = 4"),
    "deleted and closed up": (
        4,
        "DELETE FROM events WHERE position = 4",
        *(statement.format(by=-1) for statement in SHIFT),
    ),
    "inserted": (5, *(statement.format(by=1) for statement in SHIFT), COPY.format(place=5)),
    "inserted before the first": (1, COPY.format(place=0)),
    "inserted after the last": (None, COPY.format(place="(SELECT position + 1 FROM log_head)")),
    "reordered": (
        4,
        "UPDATE events SET position = -position WHERE position IN (4, 6)",
        "UPDATE events SET position = 10 + position WHERE position < 0",
    ),
    "truncated": (6, "DELETE FROM events WHERE position > 5"),
    "truncated with a forged head": (
        5,
        "DELETE FROM events WHERE position > 5",
        "UPDATE log_head SET position = 5, hash = sha256('x')",
    ),
    "emptied": (1, "DELETE FROM events"),
}
"""What is done, after the first position that is wrong then; None for the one after the head."""


@pytest.mark.parametrize("tampering", TAMPERING)
async def test_tampering_is_found_at_its_place(superuser: asyncpg.Connection, tampering: str) -> None:
    head = await verify_log(superuser, {})
    position, *statements = TAMPERING[tampering]
    for statement in statements:
        await superuser.execute(statement)
    with pytest.raises(ChainBroken) as caught:
        await verify_log(superuser, {})
    assert caught.value.position == (position or head.position + 1)


async def test_what_is_hidden_well_is_found_by_an_anchor(superuser: asyncpg.Connection) -> None:
    rows = [row async for row in read_rows(superuser)]
    anchors = {row.position: row.hash for row in rows}
    await superuser.execute("DELETE FROM events WHERE position > 5")
    await superuser.execute("UPDATE log_head SET position = 5, hash = $1", anchors[5])
    assert (await verify_log(superuser, {})).position == 5
    with pytest.raises(ChainBroken, match=f"position 6: the event is missing, {len(rows)} events were recorded"):
        await verify_log(superuser, anchors)


async def test_a_log_written_anew_is_found_by_an_anchor(superuser: asyncpg.Connection) -> None:
    head, hash_ = await verify_log(superuser, {}), EMPTY.hash
    await superuser.execute("UPDATE events SET source = 'forged' WHERE position >= 3")
    async for row in read_rows(superuser):
        hash_ = next_hash(hash_, row)
        await superuser.execute("UPDATE events SET hash = $2 WHERE position = $1", row.position, hash_)
    await superuser.execute("UPDATE log_head SET hash = $1", hash_)
    assert await verify_log(superuser, {}) == Head(head.position, hash_)
    with pytest.raises(ChainBroken, match=rf"position {head.position}: an anchor has another hash"):
        await verify_log(superuser, {head.position: head.hash})


async def test_the_walk_reads_its_pages_by_the_primary_key(owner: asyncpg.Connection) -> None:
    await owner.execute("SET enable_seqscan = off")
    rows = await owner.fetch("EXPLAIN " + QUERIES["recorded"], 100, 100)
    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using events_pkey" in plan
    assert "Sort" not in plan
