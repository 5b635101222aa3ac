"""A harvest as artifacts, from which the next round continues on any host and which an auditor can read.

Rows, drops and source states are stored in shards of JSON lines, named by their hash and written once; a round adds
its own. The manifest lists all shards and the counts. Equal harvests have equal bytes.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import Field

from schemas.base import Frozen, Sha256, canonical_json
from schemas.evidence import Stored
from schemas.rows import Row
from services.data.collect.harvest import Count, Harvest, stored
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_file

SHARD_BYTES = 8_000_000
"""Maximum size of a shard, uncompressed; this much is in memory."""


class Shard(Frozen):
    """A gzipped file of JSON lines in the manifest's folder."""

    sha256: Sha256
    """Hash of the file, and its name."""
    round: int = Field(ge=1)
    """The round that wrote it."""
    lines: int = Field(ge=1)
    """Number of lines."""


class Manifest(Frozen):
    """A harvest up to the end of a round."""

    round: int = Field(ge=1)
    """The round."""
    rows: tuple[Shard, ...]
    """Kept rows of all rounds, in harvest order."""
    drops: tuple[Shard, ...]
    """Dropped rows of all rounds: source, filter, reason, origin and an excerpt."""
    state: tuple[Shard, ...]
    """State of the sources."""
    skips: tuple[Shard, ...] = ()
    """Examples of input of all rounds that gave no row: source, reason, place and an excerpt."""
    counts: tuple[tuple[int, str, str, str, int], ...]
    """(round, source, `dropped` or `skipped`, reason, number)."""


def store(harvest: Harvest, before: Manifest | None, folder: str) -> Stored:
    """Write the new part of a harvest to a folder, and a manifest of the whole."""
    new_rows = (stored(row) for row in harvest.rows(new=True))
    manifest = Manifest(
        round=harvest.round,
        rows=(*(before.rows if before else ()), *_write(new_rows, harvest.round, folder)),
        drops=(*(before.drops if before else ()), *_write(harvest.drops(), harvest.round, folder)),
        skips=(*(before.skips if before else ()), *_write(harvest.skips(), harvest.round, folder)),
        state=tuple(_write(harvest.states(), harvest.round, folder)),
        counts=tuple((c.round, c.source, c.kind, c.reason, c.n) for c in harvest.counts()),
    )
    return keep(canonical_json(manifest).encode(), folder, ".json")


def load(harvest: Harvest, manifest: Manifest, folder: str, copies: Path) -> None:
    """Fill an empty harvest from the shards of earlier rounds. Raises `ArtifactChanged` or `FileNotFoundError`."""
    with harvest.transaction():
        for shard in manifest.rows:
            for row in lines(shard, folder, copies):
                harvest.keep(Row(**row), shard.round)
        for shard in manifest.state:
            for entry in lines(shard, folder, copies):
                harvest.remember(entry["source"], {entry["key"]: entry["value"]})
        for count in manifest.counts:
            harvest.count(Count(*count))


def read(stored: Stored, copies: Path) -> Manifest:
    """A stored manifest. Raises as `load` does."""
    return Manifest.model_validate_json(_fetch(stored.uri, stored.sha256, copies).read_bytes())


def folder_of(uri: str) -> str:
    """The folder of a manifest's shards."""
    return uri.rpartition("/")[0]


def lines(shard: Shard, folder: str, copies: Path) -> Iterator[dict[str, Any]]:
    """The lines of a shard. Raises as `load` does."""
    place = _fetch(artifacts.join(folder, f"{shard.sha256}.jsonl.gz"), shard.sha256, copies)
    with gzip.open(place, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def keep(data: bytes, folder: str, suffix: str) -> Stored:
    """Store bytes as an artifact named by its hash."""
    name = sha256(data).hexdigest()
    uri = artifacts.join(folder, f"{name}{suffix}")
    artifacts.write_once(uri, lambda: data)
    return Stored(uri=uri, sha256=name)


def _fetch(uri: str, recorded: str, copies: Path) -> Path:
    place = artifacts.fetch(uri, recorded, hash_file, copies)
    if (actual := hash_file(place)) != recorded:
        raise artifacts.ArtifactChanged(uri, actual, recorded)
    return place


def _write(entries: Iterable[Mapping[str, Any]], round_: int, folder: str) -> Iterator[Shard]:
    """Write the entries in shards of at most `SHARD_BYTES`, and yield each shard."""
    for texts in _pieces(f"{canonical_json(entry)}\n".encode() for entry in entries):
        packed = gzip.compress(b"".join(texts), mtime=0)
        yield Shard(sha256=keep(packed, folder, ".jsonl.gz").sha256, round=round_, lines=len(texts))


def _pieces(texts: Iterable[bytes]) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    size = 0
    for text in texts:
        if piece and size + len(text) > SHARD_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(text)
        size += len(text)
    if piece:
        yield piece
