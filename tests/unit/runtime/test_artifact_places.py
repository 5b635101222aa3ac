"""Events name artifacts by place, and any service's password may name any place: none makes another service hang."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_file, hash_parquet
from services.runtime.storage.object_store import StoreUnknown


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    os.mkfifo(tmp_path / "fifo")
    return str(tmp_path / "fifo")


@pytest.mark.parametrize("place", ["/dev/zero", "fifo", "x" * 900_000, "/proc/self/none"])
def test_no_artifact_is_a_device_or_fifo(place: str, fifo: str, tmp_path: Path) -> None:
    place = fifo if place == "fifo" else place
    with pytest.raises(FileNotFoundError):
        artifacts.read(place)
    with pytest.raises(FileNotFoundError), artifacts.open_local(place):
        pass
    with pytest.raises(FileNotFoundError) as told:
        artifacts.fetch(place, "0" * 64, hash_parquet, tmp_path / "copies")
    assert len(str(told.value)) < 1_000


def test_a_place_that_no_path_can_have_holds_nothing() -> None:
    assert not artifacts.exists("x" * 900_000)
    assert not artifacts.exists("a\0b")


@pytest.mark.parametrize(
    "url",
    ["file:///dev/zero", "local:///etc/passwd", "http://127.0.0.1:1/x", "simplecache::file:///etc/passwd", "FILE:///x"],
)
def test_no_artifact_lies_in_a_file_or_at_a_server_by_its_address(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnknown):
        artifacts.read(url)
    with pytest.raises(StoreUnknown):
        artifacts.fetch(url, "0" * 64, hash_file, tmp_path / "copies")
