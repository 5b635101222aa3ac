"""Batches of messages that aiokafka cannot read, or that would fill the memory, are skipped.

aiokafka raises at a header name that is not UTF-8 and then fetches the same batch for ever; and it unpacks a batch
before anybody sees its size: 1 MB can hold 1 GB. Anybody who can write to Kafka could so stop each service that reads
the topic, as long as the broker keeps the message. A batch has one producer, and our relay's are small and in UTF-8, so
that no message of ours is skipped with it. Services find what they miss in the log.

aiokafka has no setting for either, so two of its names are replaced when this module is imported.
"""

from __future__ import annotations

import gzip
import io
import logging
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import cramjam
from aiokafka import codec
from aiokafka.consumer import fetcher

log = logging.getLogger(__name__)

LARGEST_BATCH = 16 * 2**20
"""Bytes that a batch may unpack to; a broker takes 1 MiB from a producer unless it is set otherwise."""


class BatchTooLarge(ValueError):
    """A batch that would unpack to more than `LARGEST_BATCH`."""

    def __init__(self) -> None:
        super().__init__(f"it unpacks to more than {LARGEST_BATCH:,} bytes")


def gunzip(payload: Any) -> bytes:
    """The content of a gzip batch. Raises `BatchTooLarge`."""
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as file:
        content = file.read(LARGEST_BATCH + 1)
    if len(content) > LARGEST_BATCH:
        raise BatchTooLarge
    return content


def unsnap(payload: Any) -> bytes:
    """The content of a snappy batch, which is at most 22 times as long unless it lies. Raises `BatchTooLarge`."""
    if cramjam.snappy.decompress_raw_len(bytes(payload)) > LARGEST_BATCH:
        raise BatchTooLarge
    return codec.snappy_decode(payload)  # type: ignore[no-any-return]


def into(decompress: Callable[[Any, Any], int]) -> Callable[[Any], bytes]:
    """A decoder that cannot make more than `LARGEST_BATCH`: the system backs only what it writes of its buffer."""

    def decode(payload: Any) -> bytes:
        content = bytearray(LARGEST_BATCH)
        return bytes(memoryview(content)[: decompress(bytes(payload), content)])

    return decode


class ReadableRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is not typed
    """A fetched part of a partition, without the batches that cannot be read."""

    def _unpack_records(self) -> Any:
        self._records: Any = _Batches(self._records, self._tp)
        return super()._unpack_records()


class _Batches:
    def __init__(self, batches: Any, partition: Any) -> None:
        self._batches, self._partition = batches, partition

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def next_batch(self) -> _Batch:
        return _Batch(self._batches.next_batch(), self._partition)


class _Batch:
    """A batch whose records end where they cannot be read."""

    def __init__(self, batch: Any, partition: Any) -> None:
        self._batch, self._partition = batch, partition

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except Exception as error:  # noqa: BLE001 - it is read again for ever, whatever the reason is
            log.error(  # noqa: TRY400 - the traceback is of the library
                "%s: the batch before offset %s cannot be read and is skipped (%s: %s); no service wrote it",
                self._partition, self._batch.next_offset, type(error).__name__, error,
            )  # fmt: skip


def install() -> None:
    """Let every consumer of this process read so."""
    fetcher.PartitionRecords = ReadableRecords
    decoders = {
        "gzip_decode": gunzip,
        "lz4_decode": into(cramjam.lz4.decompress_into),
        "zstd_decode": into(cramjam.zstd.decompress_into),
        "snappy_decode": unsnap,
    }
    for name in ("record.default_records", "record.legacy_records"):
        for place in (f"aiokafka.{name}", f"aiokafka.{name.replace('record.', 'record._crecords.')}"):
            module = import_module(place)
            for decoder, bounded in decoders.items():
                if hasattr(module, decoder):
                    setattr(module, decoder, bounded)


install()
