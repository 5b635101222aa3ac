"""A zst file gives every byte before its damage, as soon as it has been decompressed."""

from __future__ import annotations

import io
from random import Random

import pyarrow as pa
import pytest

from tasks.zstd import open_zstd

RANDOM = "".join(f"line {n} {Random(n).random()}\n" for n in range(20_000)).encode()
ALIKE = b"the same line again and again\n" * 200_000


def written(path, data):
    path.write_bytes(data)
    return path


def until_damage(path) -> tuple[bytes, bool]:
    good = io.BytesIO()
    with open_zstd(path) as file:
        try:
            while line := file.readline():
                good.write(line)
        except OSError:
            return good.getvalue(), True
    return good.getvalue(), False


@pytest.mark.parametrize("text", [b"", b"one line\n", RANDOM, ALIKE])
def test_a_whole_file_is_read_and_so_are_two_in_one(tmp_path, text):
    packed = pa.compress(text, codec="zstd", asbytes=True)
    assert until_damage(written(tmp_path / "a.zst", packed + packed)) == (text + text, False)


@pytest.mark.parametrize("text", [RANDOM, ALIKE])
def test_what_lies_before_rubbish_at_the_end_is_read_in_full(tmp_path, text):
    packed = pa.compress(text, codec="zstd", asbytes=True)
    assert until_damage(written(tmp_path / "a.zst", packed + b"rubbish" * 9)) == (text, True)


@pytest.mark.parametrize("text", [RANDOM, ALIKE])
def test_a_file_that_is_cut_off_loses_no_more_than_its_last_block(tmp_path, text):
    packed = pa.compress(text, codec="zstd", asbytes=True)
    good, damaged = until_damage(written(tmp_path / "a.zst", packed[: len(packed) * 9 // 10]))
    assert damaged
    assert text.startswith(good[: good.rfind(b"\n")])
    assert len(good) > 0.9 * 0.9 * len(text)
