"""A training snapshot for people: yields, first rows, and examples of what was dropped.

Its texts come from strangers, so no control character is printed.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.envelope import Envelope
from schemas.events import DataBatchReady
from schemas.evidence import Stored
from services.data.collect import manifest as manifests
from services.runtime.storage.artifacts import ArtifactChanged, exists, join, open_local
from services.runtime.storage.object_store import StoreFailed
from services.runtime.user_error import UserError, nearest

BATCH = 500
"""Rows of a snapshot in memory at a time."""

SHOWN = 240
"""Characters of a text."""

DROPPED = 5
"""Dropped rows, and skipped input, that are shown by source and reason."""

SKIPPED = "skipped"
"""In place of a filter's name: the input did not become a row."""

CONTROL = re.compile(r"[^\x20-\x7e\u00a0-\u2027\u2030-\u205f\u2070-\U0010ffff]")
"""Characters that move a terminal's cursor, colour it, or turn the direction of writing."""

Samples = dict[str, list[dict[str, Any]]]


@dataclass
class Drops:
    """The dropped rows, or the skipped input, of one source and reason."""

    count: int = 0
    """How many there are, in all rounds up to the snapshot's."""
    examples: list[dict[str, Any]] = field(default_factory=list)
    """The first of them: shortened, without personal data, and without the text that is itself the reason."""


def place(uri: str, folders: list[str]) -> str:
    """Where an artifact lies: where it was written, or in a folder that the run was moved or copied to."""
    parts = uri.rsplit("/", 2)[-2:]
    moved = (join(folder, *parts) for folder in folders)
    try:
        return next((spot for spot in (uri, *moved) if exists(spot)), uri)
    except StoreFailed as failed:
        raise UserError(f"snapshot: {failed}") from failed


def first_rows(file: Path, domains: set[str], n: int) -> Samples:
    """The first rows of each domain. Raises `UserError` if pyarrow is not installed."""
    try:
        from pyarrow import parquet  # noqa: PLC0415 - takes a second to load
    except ModuleNotFoundError as missing:
        raise UserError("samples: pyarrow is not installed: pip install 'aevolve[data]'") from missing
    samples: Samples = {domain: [] for domain in sorted(domains)}
    for batch in parquet.ParquetFile(file).iter_batches(BATCH):
        for row in batch.to_pylist():
            rows = samples.setdefault(row["domain"], [])
            if len(rows) < n:
                rows.append(row)
        if all(len(rows) >= n for rows in samples.values()):
            break
    return samples


def drops(harvest: Stored, n: int, folders: list[str]) -> dict[str, Drops]:
    """The drops by source, filter and reason, and what gave no row by source and reason, with `n` examples of each.

    Raises `FileNotFoundError`, `ArtifactChanged` or `StoreFailed`.
    """
    by_reason: dict[str, Drops] = defaultdict(Drops)
    uri = place(harvest.uri, folders)
    with tempfile.TemporaryDirectory() as copies:
        manifest = manifests.read(harvest.model_copy(update={"uri": uri}), Path(copies))
        for shard in (*manifest.drops, *manifest.skips):
            for drop in manifests.lines(shard, manifests.folder_of(uri), Path(copies)):
                filter_ = drop.setdefault("filter", SKIPPED)
                one = by_reason[f"{drop['source']}: {filter_}/{drop['reason']}"]
                one.count += filter_ != SKIPPED
                if len(one.examples) < n:
                    one.examples.append(drop)
    for _, source, kind, reason, count in manifest.counts:
        if kind == SKIPPED:
            by_reason[f"{source}: {SKIPPED}/{reason}"].count += count
    return dict(sorted(by_reason.items()))


def find(events: list[Envelope], snapshot: str) -> Envelope:
    """The first event of the snapshot whose id begins so. Raises `UserError` if there is none, or several."""
    matches = {e.event.snapshot: e for e in reversed(events) if e.event.snapshot.startswith(snapshot)}
    if not matches:
        hint = nearest(snapshot, dict.fromkeys(e.event.snapshot[:12] for e in events))
        raise UserError(
            f"SNAPSHOT: {snapshot!r} is not in the log; {hint}; `aevolve events --type DataBatchReady` lists them"
        )
    if len(matches) > 1:
        ids = ", ".join(sorted(name[: len(snapshot) + 8] for name in matches))
        raise UserError(f"SNAPSHOT: {snapshot!r} begins {len(matches)} ids: {ids}; write more of it")
    return next(iter(matches.values()))


def text(envelope: Envelope, samples: int, folders: list[str]) -> Iterator[str]:
    """The lines of a snapshot; its artifacts are looked up in the folders too."""
    ready: DataBatchReady = envelope.event
    yield f"snapshot {ready.snapshot}"
    yield f"round {ready.round} of {envelope.correlationid}{', the previous snapshot again' if ready.reused else ''}"
    for name, uri in (("rows", ready.uri), ("card", ready.card.uri if ready.card else None)):
        if uri:
            yield f"{name}: {place(uri, folders)}"
    for one in ready.lineage:
        yield f"{one.source} was written by {one.candidate} ({one.model} is allowed), {one.sha256}"
    yield ""
    yield f"{'source':16} {'domain':12} {'made':>8} {'kept':>8}  dropped; skipped before they were rows"
    for source in ready.yields:
        counts = [", ".join(f"{why} {n:,}" for why, n in sorted(c.items())) for c in (source.dropped, source.skipped)]
        reasons = plain("; ".join(filter(None, counts)) or "nothing")
        yield f"{source.source:16} {source.domain:12} {source.made:8,} {source.kept:8,}  {reasons}"
    yield from _sample_lines(ready, samples, folders)
    if ready.harvest:
        yield from _drop_lines(ready.harvest, samples, folders)


def _sample_lines(ready: DataBatchReady, samples: int, folders: list[str]) -> Iterator[str]:
    try:
        with open_local(place(ready.uri, folders)) as file:
            examples = first_rows(file, set(ready.rows), samples)
    except (FileNotFoundError, StoreFailed):
        yield ""
        yield f"its rows are not here or were erased: {ready.uri}; name the run's folder with --run"
        return
    for domain, rows in examples.items():
        yield ""
        yield f"{domain}: {ready.rows.get(domain, 0):,} rows, {ready.tokens.get(domain, 0):,} characters"
        for row in rows:
            yield f"  - from {plain(row.get('uri') or row.get('source') or 'puzzles')}"
            for name in ("licence", "parent", "prompt", "trace", "answer"):
                if row.get(name):
                    yield f"    {name}: {plain(row[name])}"


def _drop_lines(harvest: Stored, samples: int, folders: list[str]) -> Iterator[str]:
    try:
        by_reason = drops(harvest, samples and max(samples, DROPPED), folders)
    except (FileNotFoundError, ArtifactChanged, StoreFailed) as missing:
        yield ""
        yield f"what was dropped is not here: {plain(str(missing))}"
        return
    yield ""
    yield "dropped or skipped, for example:" if by_reason else "nothing was dropped or skipped"
    for key, one in by_reason.items():
        yield f"  {plain(key)}, {one.count:,} rows"
        for drop in one.examples:
            details = " | ".join(plain(drop[name]) for name in ("uri", "detail", "excerpt") if drop.get(name))
            yield f"    - {details or 'its text was not kept'}"


def plain(text: str) -> str:
    """A stranger's text on one line, bounded, and without a character that a terminal obeys."""
    line = CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."
