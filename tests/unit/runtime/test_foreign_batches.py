"""Batches that aiokafka cannot read, or that would fill the memory, hold up nothing behind them."""

from __future__ import annotations

import gzip
from typing import Any

import cramjam
import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy as Builder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from services.runtime.kafka import foreign_batches
from services.runtime.kafka.foreign_batches import LARGEST_BATCH, BatchTooLarge

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


class NotUtf8(str):
    """A header name that the producer writes as other bytes."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


def batch(offset: int, *values: bytes, header: str = "name", codec: int = 0) -> bytes:
    """The bytes of a batch that begins at an offset."""
    builder = Builder(2, codec, 0, -1, -1, -1, 2**30)
    for n, value in enumerate(values):
        assert builder.append(n, timestamp=0, key=None, value=value, headers=[(header, b"v")])
    built = bytearray(builder.build())
    built[:8] = offset.to_bytes(8, "big")  # not covered by the checksum
    return bytes(built)


def read(*batches: bytes) -> list[bytes]:
    """The values that a consumer gets of these batches, which a broker has sent at once."""
    records = MemoryRecords(b"".join(batches))
    return [r.value for r in fetcher.PartitionRecords(TopicPartition("t", 0), records, [], 0, None, None, True, 0)]


def test_batches_with_header_names_that_are_no_utf8_are_skipped() -> None:
    assert read(batch(0, b"a"), batch(1, b"b", header=NotUtf8()), batch(2, b"c", b"d")) == [b"a", b"c", b"d"]


@pytest.mark.parametrize("codec", CODECS)
def test_a_compressed_batch_is_read(codec: str) -> None:
    assert read(batch(0, b"a" * 100_000, codec=CODECS[codec]), batch(1, b"b")) == [b"a" * 100_000, b"b"]


@pytest.mark.parametrize("codec", sorted(CODECS.keys() - {"snappy"}))  # whose blocks give 22 times their size at most
def test_a_batch_that_unpacks_to_too_much_is_skipped(codec: str, caplog: pytest.LogCaptureFixture) -> None:
    assert read(batch(0, bytes(LARGEST_BATCH), codec=CODECS[codec]), batch(1, b"b")) == [b"b"]
    assert "no service wrote it" in caplog.text


def test_a_bomb_is_not_unpacked_to_find_its_size() -> None:
    bomb = gzip.compress(bytes(4 * LARGEST_BATCH))
    with pytest.raises(BatchTooLarge):
        foreign_batches.gunzip(bomb)


def test_a_snappy_batch_may_not_lie_about_its_size() -> None:
    with pytest.raises(BatchTooLarge):
        foreign_batches.unsnap(bytes(cramjam.snappy.compress_raw(bytes(LARGEST_BATCH + 1))))
