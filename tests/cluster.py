"""The five services as processes on a broker and a test's own database."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventstore.effect import Append
from eventstore.store import EventStore
from judgement.history import History, fold
from schemas.campaign import Campaign, Substrate
from schemas.envelope import Envelope
from schemas.events import CampaignStarted
from services.runtime.kafka.broker import TOPICS
from services.runtime.kafka.reader import read_topics
from services.runtime.storage.hashing import hash_folder
from services.runtime.substrate import code_sha256
from tests.adapters import make_base
from tests.brokers import EMBEDDED, Broker
from tests.processes import PATIENCE

SERVICES = ("data", "recipes", "trainer", "oracle", "policy")
PARTITIONS = 3
"""Of each topic, where the broker leaves that to us: not one, and not Kafka's default for it either."""


class Cluster:
    """Starts, kills and asks the services."""

    def __init__(self, folder: Path, dsn: str, passwords: dict[str, str], broker: Broker, **extra: str) -> None:
        self.folder, self.dsn, self.passwords, self.broker = folder, dsn, passwords, broker
        self.extra = {"AEVOLVE_LEASE_SECONDS": "2", "AEVOLVE_CATCH_UP_SECONDS": "1", **extra}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.base = make_base(folder / "base")
        (folder / "key").write_text("a key for tests only")

    def environment(self, service: str) -> dict[str, str]:
        return {
            **os.environ,
            "AEVOLVE_POSTGRES": self.dsn,
            "AEVOLVE_PASSWORD": self.passwords[service],
            "AEVOLVE_KAFKA": self.broker.address,
            "AEVOLVE_INCARNATION": self.broker.incarnation,
            "AEVOLVE_EMBEDDED": str(EMBEDDED),
            "AEVOLVE_PARTITIONS": str(PARTITIONS),
            "AEVOLVE_ARTIFACTS": str(self.folder / "artifacts"),
            "AEVOLVE_WORK": str(self.folder / "work"),
            "AEVOLVE_ORACLE_KEY_FILE": str(self.folder / "key"),
            **self.extra,
        }

    def start(self, *services: str, key: str = "", **variables: str) -> None:
        """Start services; `key` tells a second process of a service from the first, `variables` are for these alone."""
        for service in services or SERVICES:
            with (self.folder / f"{service}{key}.log").open("ab") as log:
                command = [sys.executable, "-m", "tests.stub_service", service]
                environment = self.environment(service) | variables
                self.processes[service + key] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a process and wait for its end; its exit status."""
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(15)

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def stop_gently(self) -> None:
        """End the services as a supervisor does, so that what they have to say is said."""
        for name in list(self.processes):
            self.processes[name].terminate()
        for name in list(self.processes):
            self.processes.pop(name).wait(60)

    async def console(self) -> EventStore:
        return await EventStore.open(self.dsn, service="console", password=self.passwords["console"])

    async def messages(self) -> list[Any]:
        """Every message on the broker, by time."""
        return await read_topics(self.broker.address, TOPICS)

    async def begin(self, store: EventStore, id_: str, campaign: Campaign, **substrate: Any) -> None:
        """Start a campaign as the console does."""
        facts = {"base_sha256": hash_folder(self.base), "code_sha256": code_sha256(), "base_uri": str(self.base)}
        event = CampaignStarted(
            campaign=campaign,
            constitution_sha256=campaign.constitution_sha256,
            substrate=Substrate(**{**facts, "active_parameters": 1000, **substrate}),
        )
        await store.append([Append(id_, id_, event, expected=0)])


async def log_of(store: EventStore, campaign: str) -> list[Envelope]:
    return [envelope async for envelope in store.read(campaign=campaign)]


async def until(
    store: EventStore, campaign: str, condition: Callable[[History], bool], seconds: float = PATIENCE
) -> History:
    """Wait until a campaign's history fulfils a condition."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        history = fold(campaign, await log_of(store, campaign))
        if condition(history):
            return history
        await asyncio.sleep(0.1)
    said = [f"{e.sequence} {e.type} {e.subject}" for e in await log_of(store, campaign)]
    raise AssertionError(f"not within {seconds} s; the log ends with {said[-8:]}")
