"""The artifacts that events name by hash, and their state. Text about people is stored in artifacts, never in events.

An artifact may be erased. The log keeps its hash, so the chain and every decision stay valid; only the content is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas import events as e
from schemas.envelope import Envelope
from schemas.events import FingerprintsPublished, GuardsReported
from schemas.scores import Receipt
from services.runtime.storage.artifacts import exists, join, open_local
from services.runtime.storage.hashing import hash_file, hash_folder, hash_parquet
from services.runtime.storage.object_store import StoreFailed, has_bucket, is_url


@dataclass(frozen=True)
class Artifact:
    """One artifact of an event."""

    kind: str
    """`snapshot`, `card`, `harvest` (its manifest), `fingerprints`, `adapter` or `receipt`."""
    uri: str
    """Where it was put."""
    sha256: str
    """Its hash, as recorded."""
    state: str
    """`present` (its hash fits), `altered`, `erased`, or `not here`: this machine sees no such folder or store."""


def artifacts(envelopes: Iterable[Envelope]) -> list[Artifact]:
    """The artifacts that the events name, each once, in log order."""
    named = dict.fromkeys(artifact for envelope in envelopes for artifact in _named(envelope.event))
    silent: set[str] = set()
    return [Artifact(kind, uri, sha256, _state(kind, uri, sha256, silent)) for kind, uri, sha256 in named]


def receipt_place(receipt: Receipt, folders: Sequence[str]) -> str:
    """Where a receipt lies: where it was written, or in one of the folders, where a run was moved or copied.

    Raises `StoreFailed` where a store of objects gives no answer.
    """
    moved = (join(folder, Path(receipt.uri).name) for folder in folders)
    return next((place for place in (receipt.uri, *moved) if exists(place)), receipt.uri)


def _named(event: object) -> Iterator[tuple[str, str, str]]:
    if isinstance(event, e.DataBatchReady):
        yield "snapshot", event.uri, event.snapshot
        for kind, stored in (("card", event.card), ("harvest", event.harvest)):
            if stored:
                yield kind, stored.uri, stored.sha256
    elif isinstance(event, FingerprintsPublished):
        yield "fingerprints", event.uri, event.sha256
    elif isinstance(event, e.CheckpointTrained):
        yield "adapter", event.uri, event.sha256
    elif isinstance(event, e.ScoresReported | GuardsReported):
        yield "receipt", event.receipt.uri, event.receipt.sha256


def _state(kind: str, uri: str, sha256: str, silent: set[str]) -> str:
    """The state. A store that gives no answer is noted as silent and not asked again: each question takes seconds."""
    if (store := "/".join(uri.split("/")[:3])) in silent:
        return "not here"
    try:
        if not exists(uri):
            return "erased" if _store_is_here(kind, uri) else "not here"
        with open_local(uri) as place:
            return "present" if HASHES[kind](place) == sha256 else "altered"
    except StoreFailed:
        silent.add(store)
        return "not here"
    except OSError:  # a file that is no Parquet, too
        return "altered"


def _store_is_here(kind: str, uri: str) -> bool:
    """Whether what holds all artifacts of a kind can be seen."""
    if is_url(uri):
        return has_bucket(uri)
    place = Path(uri)
    return (place.parents[1] if kind == "adapter" else place.parent).is_dir()  # adapters lie by campaign


HASHES: dict[str, Callable[[Path], str]] = {
    "snapshot": hash_parquet,
    "card": hash_file,
    "harvest": hash_file,
    "fingerprints": hash_file,
    "adapter": hash_folder,
    "receipt": hash_file,
}
"""Kind -> how its hash is computed."""
