"""The broker of the latency figures: Apache Kafka where Java is there, else the embedded one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from benchmarks.store.scratch import PASSWORD
from eventstore.embedded.broker import EmbeddedBroker
from services.runtime.settings import Settings
from tests.kafka.broker import ApacheKafka, missing

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that a broker which just began is not ready is no news


def kind(*, quick: bool) -> str:
    """`apache` or `embedded`."""
    return "embedded" if quick or missing() else "apache"


@contextmanager
def running(folder: Path, dsn: str, *, quick: bool) -> Iterator[Settings]:
    """A broker, and the settings of a service that uses it and a log."""
    embedded = kind(quick=quick) == "embedded"
    with EmbeddedBroker() if embedded else ApacheKafka(folder / "kafka") as broker:
        yield Settings(
            postgres=dsn,
            password=SecretStr(PASSWORD),
            kafka=broker.address,
            incarnation=broker.incarnation,
            embedded=embedded,
        )
