"""Sessions of the store end, on both sides, where the other side has vanished without a word."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import unquote

import asyncpg
import pytest

from eventstore import connect as connect_module
from eventstore.clock import Clock
from eventstore.connect import connect
from eventstore.store import DISCONNECTED
from tests.conftest import PASSWORDS
from tests.kafka.broker import free_addresses
from tests.kafka.proxy import Proxy


@pytest.fixture
def wire(database: str):
    """A TCP way to the server, which listens on a socket only."""
    folder = Path(unquote(database.partition("host=")[2].partition("&")[0]))
    with Proxy(free_addresses(1)[0], str(folder / ".s.PGSQL.5432")) as proxy:
        yield proxy


def by_wire(database: str, wire: Proxy) -> str:
    return f"postgresql://{wire.address}/{database.partition('@/')[2].partition('?')[0]}"


async def test_a_statement_to_a_server_that_has_vanished_ends(database, wire, monkeypatch) -> None:
    monkeypatch.setattr(connect_module, "STATEMENT_SECONDS", 0.5)
    session = await connect(by_wire(database, wire), "policy", PASSWORDS["policy"])
    assert await session.fetchval("SELECT 1") == 1
    wire.hold()
    with pytest.raises(DISCONNECTED):
        await session.fetchval("SELECT 1")
    session.terminate()


async def test_the_server_gives_a_vanished_client_up_within_a_minute() -> None:
    told = {name: int(value) for name, value in connect_module.SETTINGS.items() if name.startswith("tcp_")}
    probes = told["tcp_keepalives_interval"] * told["tcp_keepalives_count"]
    assert told["tcp_keepalives_idle"] + probes < 60
    assert told["tcp_user_timeout"] < 60_000


async def test_the_clock_is_the_databases_and_goes_on_without_being_asked(database, owner) -> None:
    asked: list[asyncpg.Connection] = []

    async def session() -> asyncpg.Connection:
        asked.append(await connect(database, "policy", PASSWORDS["policy"]))
        return asked[-1]

    clock = Clock(session)
    before = await owner.fetchval("SELECT clock_timestamp()")
    first = await clock.now()
    time.sleep(0.2)
    second = await clock.now()
    after = await owner.fetchval("SELECT clock_timestamp()")
    assert before < first < second < after
    assert len(asked) == 1
    assert asked[0].is_closed()
