"""A Kafka broker from the `confluent-kafka` wheel: librdkafka's in-memory one, for as long as this process lives.

It speaks the wire protocol on a local port. A restarted one is a new one, with another port, no topics and no groups;
hence each says an incarnation, by which the relay keeps its cursor.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from eventstore.embedded.hosted import Hosted, serve

METADATA_SECONDS = 10.0
ERRORS_ONLY = 3
"""librdkafka's log level (syslog's numbers)."""


class EmbeddedBroker(Hosted):
    """A broker as a child process."""

    def __init__(self) -> None:
        super().__init__("eventstore.embedded.broker")

    @property
    def address(self) -> str:
        """Bootstrap address, `host:port`."""
        return str(self.said["address"])

    @property
    def incarnation(self) -> str:
        """Which broker it is, for `eventstore.relay`."""
        return str(self.said["incarnation"])


@contextmanager
def running() -> Iterator[dict[str, Any]]:
    """A broker in this process. Raises `RuntimeError` where the wheel is not installed."""
    try:
        from confluent_kafka import KafkaException  # noqa: PLC0415  # the parent's side needs no wheel
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415
    except ImportError as error:
        raise RuntimeError("no embedded broker is installed: in the repository, pip install '.[embedded]'") from error
    # The client owns the broker: it must stay referenced as long as the broker is to live.
    client = AdminClient({"test.mock.num.brokers": 1, "log_level": ERRORS_ONLY})
    try:
        (broker,) = client.list_topics(timeout=METADATA_SECONDS).brokers.values()
    except KafkaException as error:
        raise RuntimeError(f"the broker does not answer itself within {METADATA_SECONDS:.0f} s: {error}") from error
    yield {"address": f"{broker.host}:{broker.port}", "incarnation": uuid4().hex}


if __name__ == "__main__":
    sys.exit(serve(running))
