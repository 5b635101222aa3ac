"""`aevolve data inspect`: a snapshot for people. Its texts are strangers': no control character is printed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import typer

from schemas.envelope import Envelope
from schemas.events import DataBatchReady
from services.console.client import DEFAULT_RUN
from services.console.embedded.run_folder import RunFolder
from services.console.log_source import of_type
from services.console.snapshot_file import drops, first_rows, place
from services.runtime.storage.artifacts import ArtifactChanged, open_local
from services.runtime.storage.object_store import StoreFailed
from services.runtime.user_error import UserError, nearest

SHOWN = 240
"""Characters of a text."""

CONTROL = re.compile(r"[^\x20-\x7e\u00a0-\u2027\u2030-\u205f\u2070-\U0010ffff]")
"""What could move a terminal's cursor, colour it, or turn the direction of writing."""


async def inspect(snapshot: str, samples: int, file: Path | None, run: Path | None) -> None:
    """Print a snapshot. Raises `UserError` where there is none of this id."""
    envelope = chosen(await of_type("DataBatchReady", file, run), snapshot)
    roots = [run] if run else [file.parent] if file else [DEFAULT_RUN]
    folders = [str(RunFolder(root).state / "artifacts") for root in roots]
    for line in told(envelope, samples, folders):
        typer.echo(line)


def chosen(made: list[Envelope], snapshot: str) -> Envelope:
    """The first event that names a snapshot by this beginning of its id. Raises `UserError`."""
    found = {e.event.snapshot: e for e in reversed(made) if e.event.snapshot.startswith(snapshot)}
    if not found:
        known = nearest(snapshot, dict.fromkeys(e.event.snapshot[:12] for e in made))
        raise UserError(
            f"SNAPSHOT: {snapshot!r} is not in the log; {known}; `aevolve events --type DataBatchReady` lists them"
        )
    if len(found) > 1:
        ids = ", ".join(sorted(name[: len(snapshot) + 8] for name in found))
        raise UserError(f"SNAPSHOT: {snapshot!r} begins {len(found)} ids: {ids}; write more of it")
    return next(iter(found.values()))


def told(envelope: Envelope, samples: int, folders: list[str]) -> Iterator[str]:
    """The lines of a snapshot."""
    made: DataBatchReady = envelope.event
    yield f"snapshot {made.snapshot}"
    yield f"made for round {made.round} of {envelope.correlationid}{', the last one again' if made.reused else ''}"
    for name, uri in (("rows", made.uri), ("card", made.card.uri if made.card else None)):
        if uri:
            yield f"{name}: {place(uri, folders)}"
    for one in made.lineage:
        yield f"{one.source} was written by {one.candidate} ({one.model} is allowed), {one.sha256}"
    yield from _yields(made)
    yield from _samples(made, samples, folders)
    yield from _drops(made, samples, folders)


def _yields(made: DataBatchReady) -> Iterator[str]:
    yield ""
    yield f"{'source':16} {'domain':12} {'made':>8} {'kept':>8}  dropped; skipped before they were rows"
    for gave in made.yields:
        why = "; ".join(_counted(counts) for counts in (gave.dropped, gave.skipped) if counts) or "nothing"
        yield f"{gave.source:16} {gave.domain:12} {gave.made:8,} {gave.kept:8,}  {plain(why)}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{why} {n:,}" for why, n in sorted(counts.items()))


def _samples(made: DataBatchReady, samples: int, folders: list[str]) -> Iterator[str]:
    try:
        with open_local(place(made.uri, folders)) as file:
            found = first_rows(file, set(made.rows), samples)
    except (FileNotFoundError, StoreFailed):
        yield ""
        yield f"its rows are not here: {made.uri}; name the run's folder with --run, or erased they are"
        return
    for domain, rows in found.items():
        yield ""
        yield f"{domain}: {made.rows.get(domain, 0):,} rows, {made.tokens.get(domain, 0):,} characters"
        for row in rows:
            yield f"  - from {plain(row.get('uri') or row.get('source') or 'puzzles')}"
            for name in ("licence", "parent", "prompt", "trace", "answer"):
                if row.get(name):
                    yield f"    {name}: {plain(row[name])}"


def _drops(made: DataBatchReady, samples: int, folders: list[str]) -> Iterator[str]:
    if made.harvest is None:
        return
    try:
        examples = drops(made.harvest, samples, folders)
    except (FileNotFoundError, ArtifactChanged, StoreFailed) as gone:
        yield ""
        yield f"what was dropped is not here: {plain(str(gone))}"
        return
    yield ""
    yield "dropped, for example:"
    for key, shown in examples.items():
        yield f"  {plain(key)}"
        for drop in shown:
            told = " | ".join(plain(drop[name]) for name in ("uri", "detail", "excerpt") if drop[name])
            yield f"    - {told or 'nothing is kept of it'}"


def plain(text: str) -> str:
    """A stranger's text on one line, bounded, and without a character that a terminal obeys."""
    line = CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."
