"""The whole system of a chaos run: a database, a broker and six service processes, each of them ours to break.

What dies is started again, as the supervisor of `aevolve up` does (`services.console.embedded.supervisor`); what
dies by itself for another reason than a server that was away is a crash, and is remembered.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg

from eventstore.embedded.broker import EmbeddedBroker
from eventstore.embedded.postgres import EmbeddedPostgres
from services.runtime.parent_watch import GRACE
from tests.brokers import apache_cluster
from tests.chaos.plan import PROCESSES
from tests.cluster import Cluster
from tests.conftest import PASSWORDS
from tests.kafka.cluster import KafkaCluster
from tests.skew import wrong_clock

LEASE_SECONDS = 2.0
JOB_SECONDS = 0.4
UNREACHABLE = 2
"""Exit status of a service that found no database or no broker at its start."""


class System(Cluster):
    """The processes, and how to find them."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, broker: EmbeddedBroker | KafkaCluster) -> None:
        self.postgres = postgres
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.crashes: list[str] = []
        super().__init__(
            folder,
            postgres.dsn,
            PASSWORDS,
            broker,
            AEVOLVE_EMBEDDED=str(isinstance(broker, EmbeddedBroker)),
            AEVOLVE_LEASE_SECONDS=str(LEASE_SECONDS),
            STUB_SECONDS=str(JOB_SECONDS),
            STUB_SCRATCH=str(self.scratch),
        )

    def begin_process(self, name: str, ahead: int = 0) -> None:
        """Start one process of `PROCESSES`, with a clock that is so many seconds ahead."""
        service = name.rstrip("2")
        self.start(service, key=name.removeprefix(service), AEVOLVE_WORKER=name, **wrong_clock(self.folder, ahead))

    def begin_all(self) -> None:
        for name in PROCESSES:
            self.begin_process(name)

    def end_all(self) -> None:
        """Ask all processes to stop, and kill what does not, as the supervisor does."""
        ending = [self.processes.pop(name) for name in list(self.processes)]
        for process in ending:
            process.terminate()
        for process in ending:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def tend(self) -> None:
        """Start again, for ever, what has died by itself."""
        while True:
            await asyncio.sleep(0.3)
            for name, process in list(self.processes.items()):
                if (status := process.poll()) is not None:
                    if status != UNREACHABLE:
                        self.crashes.append(f"{name} ended with status {status}")
                    self.begin_process(name)

    async def ask(self, question: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows that the database's owner gets; asked again while the database is away."""
        while True:
            with suppress(OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
                session = await asyncpg.connect(self.postgres.dsn, server_settings={"search_path": "aevolve"})
                try:
                    rows: list[asyncpg.Record] = await session.fetch(question, *arguments)
                    return rows
                finally:
                    await session.close()
            await asyncio.sleep(0.2)


def children_of_children(pid: int) -> list[int]:
    """Of a service: the processes of its jobs, which are children of its warm process."""
    parents = _parents()
    children = {child for child, parent in parents.items() if parent == pid}
    return [child for child, parent in parents.items() if parent in children]


def _parents() -> dict[int, int]:
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return parents


@contextmanager
def broker(kind: str, folder: Path) -> Iterator[EmbeddedBroker | KafkaCluster]:
    """An empty broker of a kind, `embedded` or `apache`."""
    with EmbeddedBroker() if kind == "embedded" else apache_cluster(folder) as running:
        yield running
