"""Anchoring: the process that has the key signs the log's head at intervals, for a file and for Kafka.

One process is enough, and it belongs on another machine than the database: whoever has the database and the key can
write another history and sign it. File and topic are kept apart, so that one that fails takes nothing from the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from aiokafka.errors import KafkaError

from eventstore.errors import DISCONNECTED
from eventstore.integrity.anchors import Anchor, Signer, append_anchor, read_key
from eventstore.integrity.chain import EMPTY
from eventstore.store import EventStore
from services.runtime.kafka.broker import ANCHOR_TOPIC, make_sender
from services.runtime.settings import BadSetting, Settings

log = logging.getLogger(__name__)

LAST_SECONDS = 3.0
"""How long a process that ends may take for its last anchor."""

Keep = Callable[[Anchor], Awaitable[object]]


def read_signer(settings: Settings) -> Signer | None:
    """The key, in the process that has it. Raises `BadSetting` where it, or the file of anchors, cannot be used."""
    if settings.anchor_key_file is None:
        return None
    try:
        signer = read_key(settings.anchor_key_file)
    except (OSError, ValueError) as error:
        remedy = f"{error}: make a key with `aevolve anchors keygen`"
        raise BadSetting("anchor_key_file", settings.anchor_key_file, remedy) from error
    try:
        if settings.anchor_file:
            settings.anchor_file.open("a").close()
    except OSError as error:
        remedy = f"it cannot be written ({error.strerror}): name another file"
        raise BadSetting("anchor_file", settings.anchor_file, remedy) from error
    return signer


def anchorers(settings: Settings, signer: Signer | None, store: EventStore) -> list[Anchorer]:
    """Those that this process runs: one for each place, none without a key."""
    if signer is None:
        return []
    keeps = [to_topic(settings), *([to_file(settings.anchor_file)] if settings.anchor_file else [])]
    return [Anchorer(store, signer, keep, settings.anchor_seconds) for keep in keeps]


class Anchorer:
    """Signs the head for one place where anchors are kept."""

    def __init__(self, store: EventStore, signer: Signer, keep: Keep, seconds: float) -> None:
        self._store, self._signer, self._keep, self._seconds = store, signer, keep, seconds
        self._last = EMPTY.position

    async def run(self) -> None:
        """Look at the log at intervals, and once more at the end."""
        try:
            while True:
                await self._try()
                await asyncio.sleep(self._seconds)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._try()

    async def _try(self) -> None:
        try:
            await self.look()
        except (*DISCONNECTED, KafkaError) as error:
            log.warning("no anchor this time: %s: %s", type(error).__name__, error)

    async def look(self) -> None:
        """Sign the head, where it is another than at the last look."""
        head = await self._store.recorded_head()
        if head.position == self._last:
            return
        await self._keep(self._signer.sign(head, datetime.now(UTC)))
        self._last = head.position


def to_topic(settings: Settings) -> Keep:
    """Keeps anchors on Kafka, by a producer of its own: the service's ends before the last anchor is signed."""

    async def publish(anchor: Anchor) -> None:
        # A key of its own for each position: compaction removes none.
        key = f"{anchor.position:020d}".encode()
        async with make_sender(settings) as broker:
            await broker.publish(anchor.model_dump_json().encode(), topic=ANCHOR_TOPIC, key=key)

    return publish


def to_file(file: Path) -> Keep:
    """Keeps anchors in a file."""

    async def append(anchor: Anchor) -> None:
        append_anchor(file, anchor)

    return append
