"""How the log, its readers and its queues are doing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric

from eventstore.figures import Figures
from services.console.telemetry.family import Family

REACHABLE = Family("aevolve_log_reachable", "Whether the log answered at the last look: 1, else 0.")
POSITION = Family("aevolve_log_position", "Position of the last event of the log.")
VERIFIED = Family("aevolve_chain_verified_position", "Position up to which the hash chain was found right.")
BROKEN = Family("aevolve_chain_broken", "Whether an event is not as it was written: 1, else 0.")
RELAY_LAG = Family("aevolve_relay_lag_positions", "Positions of the log that Kafka has not been told of.")
LAG = Family("aevolve_consumer_lag_positions", "Positions a consumer is behind the log.", ("consumer",))
JOBS = Family("aevolve_queue_jobs", "Jobs by state; expired is a lease that nobody holds any more.", ("queue", "state"))
WAITING = Family("aevolve_queue_age_seconds", "How long the oldest job has been waiting for a worker.", ("queue",))
LEASES = Family("aevolve_leases_held", "Jobs that a living worker holds.", ("queue",))
LEASE_AGE = Family("aevolve_lease_age_seconds", "How long the oldest living lease has been held.", ("queue",))

SYSTEM = (REACHABLE, POSITION, VERIFIED, BROKEN, RELAY_LAG, LAG, JOBS, WAITING, LEASES, LEASE_AGE)


@dataclass(frozen=True)
class ChainState:
    """What is known of the hash chain."""

    verified: int
    """Last position that was right."""
    broken: bool
    """Whether the next is wrong."""


def system_metrics(figures: Figures, chain: ChainState) -> Iterator[Metric]:
    """The metrics at one moment."""
    queues = figures.queues.items()
    yield POSITION.at(figures.head)
    yield VERIFIED.at(chain.verified)
    yield BROKEN.at(chain.broken)
    yield RELAY_LAG.at(figures.relay_lag)
    yield LAG.of(((consumer,), lag) for consumer, lag in figures.consumers.items())
    yield JOBS.of(((name, state), jobs) for name, queue in queues for state, jobs in queue.jobs.items())
    yield WAITING.of(((name,), queue.waiting_seconds) for name, queue in queues)
    yield LEASES.of(((name,), queue.jobs["leased"]) for name, queue in queues)
    yield LEASE_AGE.of(((name,), queue.lease_seconds) for name, queue in queues)
