"""How each kind of fault is done. It returns when it has struck and when what it broke has been started again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from aiokafka import AIOKafkaProducer

from eventstore.embedded.hosted import Hosted
from eventstore.read import to_envelopes
from schemas.base import canonical_json
from schemas.envelope import topic
from tests.chaos.plan import Fault
from tests.chaos.system import LEASE_SECONDS, System, children_of_children
from tests.kafka.cluster import KafkaCluster
from tests.typed import instance

SKEW_SECONDS = 3900
"""More than an hour: the deadlines of a candidate (30 min) and of the board (an hour) would have passed, and Kafka
refuses messages that are stamped an hour ahead."""

STALL_SECONDS = 1.5
PATIENCE_SECONDS = 300.0
REPEATED = 20

LEADER = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted
"""
NO_SPACE = """
SELECT position FROM events
WHERE type = 'TrainingFailed' AND data ->> 'message' LIKE '%No space left%' AND position > $1
"""
NEWEST = "SELECT * FROM events ORDER BY position DESC LIMIT $1"
END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'aevolve\\_%' AND pid <> pg_backend_pid()
"""


async def kill_service(system: System, target: str) -> None:
    system.kill(target)
    system.begin_process(target)


async def kill_leader(system: System, target: str) -> None:
    """The leader's process is not known by its session, its service is: all processes of that service are killed."""
    (leader,) = await _until(lambda: system.ask(LEADER))
    service = leader["application_name"].partition("/")[2]
    for name in [name for name in system.processes if name.rstrip("2") == service]:
        await kill_service(system, name)


async def kill_job(system: System, target: str) -> None:
    _, jobs = await _working(system)
    for pid in jobs:
        with suppress(ProcessLookupError):  # it was just done
            os.kill(pid, signal.SIGKILL)


async def freeze(system: System, target: str) -> None:
    """Stop a trainer that holds a job until its lease has passed; its job's own process goes on, and ends too late."""
    pid, _ = await _working(system)
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(1.6 * LEASE_SECONDS)
    os.kill(pid, signal.SIGCONT)


async def restart_database(system: System, target: str) -> None:
    await asyncio.to_thread(system.postgres.stop)
    await asyncio.to_thread(system.postgres.start)


async def crash_database(system: System, target: str) -> None:
    os.kill(system.postgres.said["pid"], signal.SIGKILL)
    await restart_database(system, target)


async def end_sessions(system: System, target: str) -> None:
    """End them all; after a restart nobody may have come back yet."""
    await _until(lambda: system.ask(END_SESSIONS))


async def repeat(system: System, target: str) -> None:
    """Produce the newest events again as the relay did: some are just being handled."""
    events = to_envelopes(await system.ask(NEWEST, REPEATED))
    async with AIOKafkaProducer(bootstrap_servers=system.broker.address) as producer:
        for event in events:
            headers = [(name, value.encode()) for name, value in event.headers().items()]
            body = canonical_json(event.data).encode()
            await producer.send_and_wait(topic(event.type), body, key=event.subject.encode(), headers=headers)


async def fill_disk(system: System, target: str) -> None:
    """The volume of the jobs becomes the kernel's own full device, until a job has failed by it."""
    (last,) = await system.ask("SELECT position FROM log_head")
    volume, full = system.scratch / "volume", system.scratch / "full"
    full.symlink_to("/dev/full")
    full.replace(volume)
    await _until(lambda: system.ask(NO_SPACE, last["position"]))
    volume.unlink()


async def put_clock_ahead(system: System, target: str) -> None:
    """A service comes back with a wrong clock, which it has until it is started again for another reason."""
    system.kill(target)
    system.begin_process(target, ahead=SKEW_SECONDS)


async def put_clock_back(system: System, target: str) -> None:
    system.kill(target)
    system.begin_process(target, ahead=-SKEW_SECONDS)


async def stall_broker(system: System, target: str) -> None:
    pid = _cluster(system).nodes[int(target)].said["pid"] if target else _node(system).pid
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(STALL_SECONDS)
    os.kill(pid, signal.SIGCONT)


async def wipe_broker(system: System, target: str) -> None:
    """The embedded broker dies with all it held; another one has another address, so all services start again."""
    os.kill(_node(system).pid, signal.SIGKILL)
    await asyncio.to_thread(_node(system).stop)
    await asyncio.to_thread(system.end_all)
    await asyncio.to_thread(_node(system).start)
    system.begin_all()


async def kill_broker(system: System, target: str) -> None:
    await asyncio.to_thread(_cluster(system).kill, int(target))
    await asyncio.sleep(STALL_SECONDS)
    await asyncio.to_thread(_cluster(system).start, int(target))


async def cut_wire(system: System, target: str) -> None:
    _cluster(system).proxies[int(target)].cut()


async def delay(system: System, target: str) -> None:
    _cluster(system).proxies[int(target)].hold()
    await asyncio.sleep(STALL_SECONDS)
    _cluster(system).proxies[int(target)].release()


Answer = TypeVar("Answer")
FAULTS: dict[str, Callable[[System, str], Awaitable[None]]] = {
    "kill a service": kill_service,
    "kill the relay's leader": kill_leader,
    "kill a job": kill_job,
    "freeze a worker beyond its lease": freeze,
    "restart the database": restart_database,
    "crash the database": crash_database,
    "end all database sessions": end_sessions,
    "repeat messages": repeat,
    "fill the disk": fill_disk,
    "put a clock ahead": put_clock_ahead,
    "put a clock back": put_clock_back,
    "stall the broker": stall_broker,
    "wipe the broker": wipe_broker,
    "kill a broker": kill_broker,
    "stall a broker": stall_broker,
    "cut the wire to a broker": cut_wire,
    "delay a broker's messages": delay,
}
"""Every kind of `tests.chaos.plan`."""


async def inflict(system: System, fault: Fault) -> None:
    """Do one fault, and rest as the plan says."""
    await FAULTS[fault.kind](system, fault.target)
    await asyncio.sleep(fault.pause)


def _node(system: System) -> Hosted:
    """The broker where it is one process."""
    return instance(Hosted, system.broker)


def _cluster(system: System) -> KafkaCluster:
    """The broker where it is several."""
    return instance(KafkaCluster, system.broker)


async def _working(system: System) -> tuple[int, list[int]]:
    """A trainer's process and those of the jobs that it runs, as soon as there are any."""

    async def found() -> tuple[int, list[int]] | None:
        trainers = [process.pid for name, process in system.processes.items() if name.startswith("trainer")]
        return next(((pid, jobs) for pid in trainers if (jobs := children_of_children(pid))), None)

    return await _until(found)


async def _until(ask: Callable[[], Awaitable[Answer | None]]) -> Answer:
    """The first answer that is not empty."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (answer := await ask()):
        assert time.monotonic() < end, "nothing there to be struck"
        await asyncio.sleep(0.02)
    return answer
