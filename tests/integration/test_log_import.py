"""An exported log is the same log in another database; what is broken or in the way is refused whole."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import asyncpg
import pytest

from eventstore.effect import Append
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.integrity.chain import EMPTY, ChainBroken
from eventstore.integrity.log_import import LogNotEmpty, import_log
from eventstore.row import Row
from eventstore.store import EventStore
from schemas.advisor import AdvisorFailed
from tests.conftest import PASSWORDS, Stores, create_database

LENGTH = 12


@pytest.fixture(scope="module")
async def exported(stores: Stores, database: str) -> list[Row]:
    """The rows of a log with odd contents, as versions took them that did not check an event's form."""
    owner = await asyncpg.connect(database)
    await owner.execute("ALTER TABLE aevolve.events DISABLE TRIGGER events_form")
    await owner.close()
    policy = await stores("policy")
    (cause,) = await policy.append([Append("c", "c", AdvisorFailed(error="é", message="\U0001f600 \\ \u0000"))])
    effects = [Append("", "c", AdvisorFailed(error="E", message=str(n)), causation=cause.id) for n in range(LENGTH - 1)]
    await policy.append(effects, traceparent="")
    return [row async for row in policy.rows()]


@pytest.fixture
async def empty(postgres: EmbeddedPostgres, migrated: str, request: pytest.FixtureRequest) -> str:
    """The owner's DSN of a fresh database."""
    return await create_database(postgres, f"empty_{abs(hash(request.node.name))}", migrated)


@pytest.fixture
async def other(empty: str) -> AsyncIterator[EventStore]:
    """The fresh database as a service sees it."""
    async with await EventStore.open(empty, service="policy", password=PASSWORDS["policy"]) as store:
        yield store


async def test_an_imported_log_is_equal_and_goes_on(
    stores: Stores, exported: list[Row], empty: str, other: EventStore
) -> None:
    head = await import_log(empty, exported)
    assert [row async for row in other.rows()] == exported
    original = await stores("policy")
    assert [event async for event in other.read()] == [event async for event in original.read()]
    assert head == await other.verify({}) == await original.verify({})
    (event,) = await other.append([Append("c", "c", AdvisorFailed(error="E", message="m"), expected=LENGTH)])
    assert event.sequence == LENGTH + 1
    assert (await other.verify({row.position: row.hash for row in exported})).position == LENGTH + 1


async def test_an_empty_log_can_be_imported(empty: str, other: EventStore) -> None:
    assert await import_log(empty, []) == EMPTY == await other.verify({})


async def test_a_log_with_events_takes_no_other(empty: str, exported: list[Row], other: EventStore) -> None:
    await import_log(empty, exported[:3])
    with pytest.raises(LogNotEmpty, match="up to position 3"):
        await import_log(empty, exported)
    assert await other.head() == 3


async def test_a_broken_chain_is_refused_whole(empty: str, exported: list[Row], other: EventStore) -> None:
    altered = exported[8]._replace(campaign="forged")
    for rows in ([*exported[:8], altered, *exported[9:]], exported[:8] + exported[9:]):
        with pytest.raises(ChainBroken) as caught:
            await import_log(empty, rows)
        assert caught.value.position == 9
        assert await other.verify({}) == EMPTY


async def test_a_service_may_not_import(empty: str, exported: list[Row]) -> None:
    as_policy = re.sub(r"//.*@", f"//aevolve_policy:{quote(PASSWORDS['policy'])}@", empty)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await import_log(as_policy, exported)
