"""What lies behind a snapshot's event, for those who look at it: its first rows, and what was dropped."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from schemas.evidence import Stored
from services.data.collect import manifest as manifests
from services.runtime.storage.artifacts import exists, join
from services.runtime.storage.object_store import StoreFailed
from services.runtime.user_error import UserError

BATCH = 500
"""Rows of a snapshot in memory at a time."""

Samples = dict[str, list[dict[str, Any]]]


def place(uri: str, folders: list[str]) -> str:
    """Where an artifact lies: where it was written, or where a run was moved or copied."""
    parts = uri.rsplit("/", 2)[-2:]
    moved = (join(folder, *parts) for folder in folders)
    try:
        return next((spot for spot in (uri, *moved) if exists(spot)), uri)
    except StoreFailed as failed:
        raise UserError(f"snapshot: {failed}") from failed


def first_rows(file: Path, domains: set[str], n: int) -> Samples:
    """The first rows of each domain. Raises `UserError` where the extra that reads them is not installed."""
    try:
        from pyarrow import parquet  # noqa: PLC0415 - a second to load, for those who look at rows alone
    except ModuleNotFoundError as missing:
        raise UserError("samples: pyarrow is not installed: pip install 'aevolve[data]'") from missing
    found: Samples = {domain: [] for domain in sorted(domains)}
    for batch in parquet.ParquetFile(file).iter_batches(BATCH):
        for row in batch.to_pylist():
            kept = found.setdefault(row["domain"], [])
            if len(kept) < n:
                kept.append(row)
        if all(len(kept) >= n for kept in found.values()):
            break
    return found


def drops(harvest: Stored, n: int, folders: list[str]) -> Samples:
    """The first drops by source, filter and reason. Raises `FileNotFoundError`, `ArtifactChanged` or `StoreFailed`."""
    found: Samples = defaultdict(list)
    uri = place(harvest.uri, folders)
    with tempfile.TemporaryDirectory() as copies:
        manifest = manifests.read(harvest.model_copy(update={"uri": uri}), Path(copies))
        for shard in manifest.drops:
            for drop in manifests.lines(shard, manifests.beside(uri), Path(copies)):
                kept = found[f"{drop['source']}: {drop['filter']}/{drop['reason']}"]
                if len(kept) < n:
                    kept.append(drop)
    return dict(sorted(found.items()))
