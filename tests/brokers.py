"""The tests' broker, by `AEVOLVE_TEST_KAFKA`: `embedded` (the default), `apache`, `cluster` or an address.

`apache` starts one node of Apache Kafka (`tests.kafka.broker`), `cluster` three (`tests.kafka.cluster`); `host:port`
takes a broker that runs already, whatever it holds. A test that is marked `broker(kind, ...)` runs on these alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from eventstore.embedded.broker import EmbeddedBroker
from tests.kafka.broker import ApacheKafka, missing
from tests.kafka.cluster import KafkaCluster

KAFKA = os.environ.get("AEVOLVE_TEST_KAFKA") or "embedded"
EMBEDDED = KAFKA == "embedded"
KIND = KAFKA if KAFKA in ("embedded", "apache", "cluster") else "foreign"


@dataclass
class ForeignBroker:
    """A broker that is not ours to start or stop."""

    address: str
    incarnation: str = field(default_factory=lambda: f"foreign-{uuid4().hex}")


Broker = EmbeddedBroker | ApacheKafka | KafkaCluster | ForeignBroker


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """The broker of this test run, an empty one unless it is a foreign one."""
    ours: dict[str, Callable[[Path], AbstractContextManager[Broker]]] = {
        "embedded": lambda _: EmbeddedBroker(),
        "apache": apache,
        "cluster": apache_cluster,
    }
    if KAFKA not in ours:
        yield ForeignBroker(KAFKA)
        return
    with ours[KAFKA](folder) as running:
        yield running


def apache(folder: Path) -> ApacheKafka:
    """Apache Kafka on a folder. Skips the test where it cannot run here, except in CI: there that is a failure."""
    _must_run()
    return ApacheKafka(folder)


def apache_cluster(folder: Path) -> KafkaCluster:
    """Three nodes of it. Skips or fails likewise."""
    _must_run()
    return KafkaCluster(folder)


def _must_run() -> None:
    if lack := missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lack)
