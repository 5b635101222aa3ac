"""The artifacts that events name by hash, and what has become of them: text about people lies there, never in events.

An artifact may be erased. The log keeps its hash, so its chain and every decision hold as before; what is gone is what
it said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas import events as e
from schemas.base import canonical_json
from schemas.envelope import Envelope
from schemas.guards import GuardsReported
from schemas.scores import Receipt
from services.runtime.hashing import hash_file, hash_folder


@dataclass(frozen=True)
class Artifact:
    """One artifact of an event."""

    kind: str
    """`snapshot`, `adapter` or `receipt`."""
    uri: str
    """Where it was put."""
    sha256: str
    """Its hash, as recorded."""
    state: str
    """`present` (its hash fits), `altered`, `erased`, or `not here`: this machine has no such folder of artifacts."""


def artifacts(envelopes: Iterable[Envelope]) -> list[Artifact]:
    """What the events name, each once, in their order."""
    named = dict.fromkeys(found for envelope in envelopes for found in _named(envelope.event))
    return [Artifact(kind, uri, sha256, _state(kind, Path(uri), sha256)) for kind, uri, sha256 in named]


def receipt_file(receipt: Receipt, folders: Sequence[Path]) -> Path:
    """Where a receipt lies: where it was written, or in one of the folders, where a run was moved or copied."""
    recorded = Path(receipt.uri)
    moved = [folder / recorded.name for folder in folders]
    return next((place for place in (recorded, *moved) if place.exists()), recorded)


def _named(event: object) -> Iterator[tuple[str, str, str]]:
    if isinstance(event, e.DataBatchReady):
        yield "snapshot", event.uri, event.snapshot
    elif isinstance(event, e.CheckpointTrained):
        yield "adapter", event.uri, event.sha256
    elif isinstance(event, e.ScoresReported | GuardsReported):
        yield "receipt", event.receipt.uri, event.receipt.sha256


def _state(kind: str, place: Path, sha256: str) -> str:
    store = place.parents[1] if kind == "adapter" else place.parent  # adapters lie by campaign
    if not place.exists():
        return "erased" if store.is_dir() else "not here"
    try:
        return "present" if HASHES[kind](place) == sha256 else "altered"
    except OSError:  # as Arrow calls a file that is no Parquet, too
        return "altered"


def _hash_rows(file: Path) -> str:
    """A snapshot is named by its rows, not by the bytes of its file, which differ between versions of the library."""
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - a second to load, for snapshots alone

    try:
        rows = parquet.read_table(file).to_pylist()
    except ArrowException as error:
        raise OSError(str(error)) from error
    return hashlib.sha256("".join(f"{canonical_json(row)}\n" for row in rows).encode()).hexdigest()


HASHES: dict[str, Callable[[Path], str]] = {"snapshot": _hash_rows, "adapter": hash_folder, "receipt": hash_file}
"""Kind -> how its hash is computed."""
