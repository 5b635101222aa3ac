"""One process of one service: wires its steps and jobs to the log, to Kafka and to HTTP, and runs until told to stop.

log (eventstore)   the truth; the reactor and the workers write to it
relay              publishes the log to Kafka; one process of all is active, the others stand by
broker             wakes the reactor with events
catch-up           finds what Kafka did not deliver
timers             what becomes due by time alone
blockers           sessions that hold locks for too long are ended
workers            long jobs in subprocesses
anchorers          sign the log's head, in the process that has the key
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import asyncpg
import uvicorn
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from faststream.asgi import AsgiFastStream, AsyncAPIRoute
from faststream.kafka import KafkaBroker
from prometheus_client import make_asgi_app

from eventstore.connect import tls_fault
from eventstore.relay import Relay
from eventstore.store import DISCONNECTED, EventStore
from services.runtime.anchoring import anchorers, read_signer
from services.runtime.asyncapi import Contract
from services.runtime.jobs.runner import JobRunner
from services.runtime.jobs.worker import Worker
from services.runtime.kafka.broker import FASTSTREAM_LOG, bury, declare_topics, make_broker, publish
from services.runtime.kafka.preflight import check_connection
from services.runtime.reactor import Reactor
from services.runtime.service import Service
from services.runtime.settings import BadVariable, Settings
from services.runtime.storage.model_folders import OFFLINE
from services.runtime.storage.object_store import check_store, preload_modules
from services.runtime.telemetry.http_server import Pulse, health
from services.runtime.telemetry.logs import configure
from services.runtime.telemetry.metrics import DEAD_LETTERS, REGISTRY
from services.runtime.telemetry.tracing_setup import export_spans

log = logging.getLogger(__name__)

Run = Callable[[], Coroutine[Any, Any, None]]

ENVIRONMENT = OFFLINE | {
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
}
"""Of jobs: they never reach for a model hub, and one thread each is the fastest way to share cores between them.

The warning is PEFT's affair with transformers; it would stand in the log of every job.
"""


SETTLING_SECONDS = 30.0
"""A cluster that loses a node has another leader for all of its partitions before long."""

BLOCKERS_SECONDS = 10.0
"""Time between two looks for sessions that block others."""

REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""The database answers, and has no place for this service."""


def main(service: Service) -> None:
    """Run the service until SIGTERM or SIGINT. Exits with 2 for a wrong setting, or a log or a Kafka out of reach."""
    begin(service, serve)


def begin(service: Service, work: Callable[[Service, Settings, JobRunner], Coroutine[Any, Any, None]]) -> None:
    """Do a service's work in this process, after what must be done before asyncio starts."""
    settings = Settings()
    configure(service.name, settings.log_format)
    DEAD_LETTERS.labels(service.name)  # from 0 on: what appears as 1 has not risen
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    runner = JobRunner((*service.preload, *preload_modules(settings.artifacts)))
    try:
        service.check(settings)
        if service.jobs and settings.workers:
            runner.warm()  # before asyncio starts any thread
        if settings.workers and any(kind.artifacts for kind in service.jobs):
            check_store(settings.artifacts)
        with export_spans(service.name, settings.worker):
            asyncio.run(work(service, settings, runner))
    except (*REFUSED, *DISCONNECTED, KafkaError) as error:
        print(unreachable(settings, error), file=sys.stderr)  # noqa: T201 - the process ends here
        raise SystemExit(2) from None
    except BadVariable as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None


def unreachable(settings: Settings, error: BaseException) -> str:
    """Which address did not answer, and what to do."""
    if isinstance(error, KafkaConnectionError):
        remedy = "start the broker, or correct the address or AEVOLVE_KAFKA_PROTOCOL"
        return f"AEVOLVE_KAFKA: {settings.kafka} does not answer ({error}); {remedy}"
    if isinstance(error, KafkaError):
        return f"AEVOLVE_KAFKA: {settings.kafka} refuses this service ({error}); see the log of the broker"
    if isinstance(error, REFUSED):
        return (
            f"AEVOLVE_POSTGRES: {settings.postgres} refuses this service ({error}); "
            "prepare the database with `aevolve migrate` and name the password's file in AEVOLVE_PASSWORD_FILE"
        )
    if fault := tls_fault(settings.postgres, error):
        return f"AEVOLVE_POSTGRES: {settings.postgres}; {fault}"
    return f"AEVOLVE_POSTGRES: {settings.postgres} does not answer ({error}); start the database or correct the DSN"


async def serve(service: Service, settings: Settings, runner: JobRunner) -> None:
    """Open the log, start everything, and serve HTTP until a signal comes."""
    signer = read_signer(settings)
    await check_connection(settings)
    await retry_while_settling(partial(declare_topics, settings))
    store = await EventStore.open(settings.postgres, service=service.name, password=settings.secret())
    reactor, pulse = Reactor(service, store), Pulse(settings.catch_up_seconds)
    broker = make_broker(service, settings, reactor.react)
    server = Server(
        uvicorn.Config(
            make_app(service, broker, pulse), settings.host, settings.port, log_config=None, log_level="warning"
        )
    )
    # FastStream's application says that it is up before its broker is: here the relay finds a producer.
    async with store, broker, asyncio.TaskGroup() as tasks:
        http = tasks.create_task(server.serve())
        await server.up(http)
        log.info("pages: http://%s:%d/health, /metrics, /docs", *server.servers[0].sockets[0].getsockname()[:2])
        runs = loops_of(service, settings, store, reactor, broker, pulse, runner)
        runs += [anchorer.run for anchorer in anchorers(settings, signer, store)]
        loops = [tasks.create_task(run()) for run in runs]
        await http
        for loop in loops:
            loop.cancel()


async def retry_while_settling(request: Run) -> None:
    """The result of a Kafka request, repeated while its error is retriable, such as after the loss of a node.

    Raises the last `KafkaError` after `SETTLING_SECONDS`, and any other at once.
    """
    end = time.monotonic() + SETTLING_SECONDS
    while True:
        try:
            return await request()
        except KafkaError as error:
            if not error.retriable or time.monotonic() > end:
                raise
            log.warning("waiting for Kafka: %s", error)
        await asyncio.sleep(0.5)


class Server(uvicorn.Server):
    """uvicorn that leaves on SIGTERM and SIGINT without raising them again, so that leases are given back."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the serving loop when told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def up(self, http: asyncio.Task[None]) -> None:
        """Wait until the application has started. Raises `RuntimeError` where it has failed to."""
        while not self.started:
            if http.done():
                raise RuntimeError("the application did not start; its error stands above")
            await asyncio.sleep(0.02)


def make_app(service: Service, broker: KafkaBroker, pulse: Pulse) -> AsgiFastStream:
    """The service as an ASGI application: its subscriber, and three pages."""
    return AsgiFastStream(
        broker,
        specification=Contract(service),
        asyncapi_path=AsyncAPIRoute("/docs", try_it_out_path=None),
        asgi_routes=[("/health", health(service.name, pulse)), ("/metrics", make_asgi_app(REGISTRY))],
        logger=FASTSTREAM_LOG,
    )


def loops_of(
    service: Service,
    settings: Settings,
    store: EventStore,
    reactor: Reactor,
    broker: KafkaBroker,
    pulse: Pulse,
    runner: JobRunner,
) -> list[Run]:
    """Everything that runs beside the subscriber."""
    relay = Relay(
        store,
        partial(publish, broker),
        settings.incarnation,
        transient=(KafkaError,),
        permanent=(MessageSizeTooLargeError,),
        bury=partial(bury, broker),
    )

    async def catch_up() -> None:
        if await reactor.catch_up():
            pulse.beat()

    loops: list[Run] = [
        partial(patiently, relay.run),
        partial(repeatedly, catch_up, settings.catch_up_seconds),
        partial(repeatedly, reactor.tick, 1.0),
        partial(repeatedly, partial(end_blockers, store), BLOCKERS_SECONDS),
    ]
    for kind in service.jobs:
        for number in range(min(settings.workers, kind.at_once or settings.workers)):
            worker = Worker(kind, store, runner, settings, f"{settings.worker}-{number}")
            loops.append(partial(patiently, worker.work))
    return loops


async def end_blockers(store: EventStore) -> None:
    """End the sessions of services that block the log for too long: any process may, so that none can prevent it."""
    for session in await store.end_blockers():
        log.error("a session of %s was ended: it blocked others for %.0f s", session["role"], session["seconds_held"])


async def patiently(run: Run) -> None:
    """Run for ever, again after each loss of the database; any other error ends the process, as its supervisor sees."""
    while True:
        try:
            await run()
        except DISCONNECTED as error:
            log.warning("connection lost (%s); again in a second", error)
        await asyncio.sleep(1)


async def repeatedly(once: Run, seconds: float) -> None:
    """Do something at intervals, outliving losses of the database."""

    async def forever() -> None:
        while True:
            await once()
            await asyncio.sleep(seconds)

    await patiently(forever)
