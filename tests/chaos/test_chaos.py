"""Campaigns run while everything around them breaks; afterwards their logs say what an undisturbed one says.

`make test-chaos` runs it on the embedded broker and on three nodes of Apache Kafka. Another `AEVOLVE_CHAOS_SEED` draws
other faults.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.migrate import migrate, provision
from eventstore.store import EventStore, StreamConflict
from services.runtime.jobs.worker import retry_until_connected
from tests.chaos import checks
from tests.chaos.faults import inflict
from tests.chaos.plan import Fault, plan
from tests.chaos.system import System, broker
from tests.cluster import log_of
from tests.conftest import PASSWORDS
from tests.kafka.broker import missing
from tests.unit.loopworld import campaign

SEED = int(os.environ.get("AEVOLVE_CHAOS_SEED", "0"))
FAULTS = int(os.environ.get("AEVOLVE_CHAOS_FAULTS", "210"))
"""In all, shared between the brokers that can run here."""

BROKERS = ("embedded",) if missing() else ("embedded", "apache")
CALM_SECONDS = 120.0
"""Longest wait for the last campaign and the last message after the storm."""

INFLICTED: Counter[str] = Counter()
"""Faults of this run by kind."""

pytestmark = pytest.mark.timeout(2400)

TRIED_OFTEN = campaign(rounds=2, candidates=4, budget={"external_queries": 9, "attempts": 20})


@pytest.mark.parametrize("kind", ["embedded", "apache"])
async def test_a_storm_of_faults_changes_no_decision(kind: str) -> None:
    faults = plan(SEED, FAULTS // len(BROKERS), embedded=kind == "embedded")
    say(f"{kind}, seed {SEED}: {len(faults)} faults", *map(str, faults))
    async with system_on(kind) as system:
        store = await system.console()
        system.begin_all()
        await run(system, store, "undisturbed")
        tending = asyncio.create_task(system.tend())
        storm = asyncio.create_task(break_by(system, faults))
        names = [name async for name in campaigns(system, store, storm)]
        await storm
        await eventually(lambda: checks.nothing_is_lost_or_doubled(system, store))
        tending.cancel()
        assert not system.crashes, system.crashes
        undisturbed = await log_of(store, "undisturbed")
        for name in names:
            log = await log_of(store, name)
            checks.every_outcome_is_told_once(log)
            checks.decided_as_undisturbed(log, undisturbed)
        say(f"{kind}: {len(names)} campaigns, {await store.head()} events")
        await store.close()


def test_the_storms_were_as_heavy_as_the_readme_says() -> None:
    say(f"{INFLICTED.total()} faults of {len(INFLICTED)} kinds", *(f"{n} x {kind}" for kind, n in INFLICTED.items()))
    assert INFLICTED.total() >= FAULTS - len(BROKERS)  # 200 in docs, where nobody asks for another number
    assert len(INFLICTED) >= 8


@asynccontextmanager
async def system_on(kind: str) -> AsyncIterator[System]:
    """An empty system, in a folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        with broker(kind, folder / "kafka") as its_broker, EmbeddedPostgres(folder / "postgres") as postgres:
            await migrate(postgres.dsn)
            await provision(postgres.dsn, PASSWORDS)
            system = System(folder, postgres, its_broker)
            try:
                yield system
            finally:
                system.end_all()


async def break_by(system: System, faults: list[Fault]) -> None:
    """Inflict the plan."""
    for number, fault in enumerate(faults, start=1):
        begun = time.monotonic()
        await inflict(system, fault)
        INFLICTED[fault.kind] += 1
        say(f"{number}. {fault}: {time.monotonic() - begun:.1f} s")


async def campaigns(system: System, store: EventStore, storm: asyncio.Task[None]) -> AsyncIterator[str]:
    """Run one campaign after the other as long as the storm lasts; their ids."""
    number = 0
    while not storm.done():
        number += 1
        await run(system, store, f"c{number}")
        yield f"c{number}"


async def run(system: System, store: EventStore, name: str) -> None:
    """Run a campaign to its end."""
    with suppress(StreamConflict):  # the answer to the first attempt was lost
        await retry_until_connected(lambda: system.begin(store, name, TRIED_OFTEN))
    async with asyncio.timeout(10 * CALM_SECONDS):
        while name not in {c.id for c in await retry_until_connected(store.campaigns) if c.finished}:
            await asyncio.sleep(0.2)


async def eventually(check) -> None:
    """Repeat a check until it holds; its last failure, where it does not in time."""
    end = time.monotonic() + CALM_SECONDS
    while True:
        try:
            await check()
            break
        except AssertionError:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(1)


def say(*lines: str) -> None:
    """Tell whoever watches (`pytest -s`)."""
    sys.stdout.write("\n  ".join(lines) + "\n")
    sys.stdout.flush()
