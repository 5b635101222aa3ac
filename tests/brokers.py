"""The broker that the tests run on, by `AEVOLVE_TEST_KAFKA`: `embedded` (the default), `apache`, or an address.

`apache` starts Apache Kafka (`tests.kafka.broker`); `host:port` takes a broker that runs already, whatever it holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from eventstore.embedded.broker import EmbeddedBroker
from tests.kafka.broker import ApacheKafka, missing

KAFKA = os.environ.get("AEVOLVE_TEST_KAFKA", "embedded")
EMBEDDED = KAFKA == "embedded"


@dataclass
class ForeignBroker:
    """A broker that is not ours to start or stop."""

    address: str
    incarnation: str = field(default_factory=lambda: f"foreign-{uuid4().hex}")


Broker = EmbeddedBroker | ApacheKafka | ForeignBroker


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """The broker of this test run, an empty one unless it is a foreign one."""
    if KAFKA not in ("embedded", "apache"):
        yield ForeignBroker(KAFKA)
        return
    with EmbeddedBroker() if EMBEDDED else apache(folder) as running:
        yield running


def apache(folder: Path) -> ApacheKafka:
    """Apache Kafka on a folder. Skips the test where it cannot run here, except in CI: there that is a failure."""
    if lack := missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lack)
    return ApacheKafka(folder)
