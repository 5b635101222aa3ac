"""Runs a whole campaign in one command: starts the parts, makes the base, follows the campaign, writes the report."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eventstore.errors import DISCONNECTED
from eventstore.store import EventStore
from judgement.history import History
from schemas.campaign import Substrate
from schemas.envelope import Envelope
from services.console.campaign_control import append_start
from services.console.campaign_file import Note, load
from services.console.client import connected, new_id
from services.console.embedded.base_model import base_folder, is_model, make_base, substrate
from services.console.embedded.concurrency import first
from services.console.embedded.run_folder import Record, RunFolder
from services.console.embedded.system import Embedded
from services.console.report.write import write
from services.console.view.screen import Screen
from services.runtime.user_error import UserError

LOOK_SECONDS = 1.0
"""Longest time between two reads of the log."""
SHOWN_KEYS = 5
"""Differing keys that a note names."""
BREATH_SECONDS = 0.3
"""Shortest time between two reads."""


def plan(folder: RunFolder, file: Path, overrides: dict[str, Any], *, resume: bool, note: Note | None = None) -> Record:
    """The record to run: a new campaign, or the one that the folder holds.

    `note` gets remarks about a new campaign, or about a file that differs from the one to resume. Raises `UserError` if
    there is nothing to resume, or if an unfinished campaign would be abandoned.
    """
    record = folder.record()
    if resume:
        record = _resumable(folder, record, overrides)
        if note and (remark := _difference(file, record)):
            note(remark)
        return record
    if record.campaign and not record.reported:
        raise UserError(
            f"--out: {folder.root}; it holds the unfinished campaign {record.campaign}: "
            "go on with it by --resume, or give another --out"
        )
    return Record(file=load(file, note=note, **overrides), beside=file.absolute().parent)


def _resumable(folder: RunFolder, record: Record, overrides: dict[str, Any]) -> Record:
    if record.file is None:
        raise UserError(f"--resume: {folder.root}; nothing was begun here: leave out --resume")
    if record.reported:
        raise UserError(f"--resume: {folder.root}; {record.campaign} is over: its report is there, leave out --resume")
    if options := [name for name, value in overrides.items() if value is not None]:
        raise UserError(f"--{options[0].replace('_', '-')}: a resumed campaign keeps its own: leave it out")
    return record


def _difference(file: Path, record: Record) -> str:
    """What a resumed campaign does not take from its file; empty if they are alike."""
    assert record.file is not None
    goes_on = f"the recorded campaign {record.campaign or record.file.name} goes on as it was"
    remedy = "give another --out to start a new one"
    try:
        now = load(file, with_base=False)
    except UserError as error:
        return f"{str(error).splitlines()[0]}; {goes_on}; {remedy}"
    keys = list(_differing(now.model_dump(mode="json"), record.file.model_dump(mode="json")))
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    if not keys:
        return ""
    return f"{file}: differs from what was recorded in {', '.join(keys[:SHOWN_KEYS])}{more}; {goes_on}; {remedy}"


def _differing(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """The keys whose values differ, as a campaign file spells them."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys((*one, *other)):
            yield from _differing(one.get(key), other.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, pair in enumerate(zip(one, other, strict=True)):
            yield from _differing(*pair, f"{place}.{at}")
    elif one != other:
        yield place


async def run(folder: RunFolder, record: Record, lock: int, screen: Screen) -> History:
    """Run the campaign of the record to its end and write its report; the state it ended in."""
    now = datetime.now(UTC)
    record.sessions.append((now, now))
    folder.keep(record)
    async with Embedded(folder, lock, beside=record.beside) as system:
        return await first(_campaign(folder, record, system.settings, screen), system.supervise())


async def _campaign(folder: RunFolder, record: Record, settings: Any, screen: Screen) -> History:
    assert record.file is not None
    base = base_folder(record.file.model, settings.cache)
    if not is_model(base):
        screen.print(f"making the tiny base model (about a minute, once; kept in {base})")
        await _make(folder, record, base)
    async with connected(settings) as store:
        if record.campaign is None:
            record.campaign = new_id(record.file.name)
            folder.keep(record)
        history, envelopes = await follow(store, folder, record, substrate(base), screen)
    write(folder.root, history.id, envelopes, record.clock_now)
    record.reported = True
    folder.keep(record)
    return history


async def _make(folder: RunFolder, record: Record, base: Path) -> None:
    begin = datetime.now(UTC)
    try:
        await make_base(base, folder.log("base"))
    finally:
        record.base.append((begin, datetime.now(UTC)))
        folder.keep(record)


async def follow(
    store: EventStore, folder: RunFolder, record: Record, base: Substrate, screen: Screen
) -> tuple[History, list[Envelope]]:
    """Start the campaign unless the log has it, and show it until it is over; its state and its events."""
    assert record.campaign is not None
    assert record.file is not None
    history, envelopes = History(record.campaign), list[Envelope]()
    while not (history.finished or history.stopped):
        try:
            head = await store.head()
            async for envelope in store.read(after=history.position, campaign=history.id):
                envelopes.append(envelope)
                history.apply(envelope)
                if envelope.time >= record.sessions[-1][0]:  # an earlier session has shown the older events
                    screen.event(envelope)
            if history.campaign is None:
                screen.print("simulating campaigns without drift, to set the threshold of the alarm")
                await append_start(store, history.id, record.file, base)
            else:
                screen.show(history, await store.progress(history.id))
                await store.wait(head, LOOK_SECONDS)
        except DISCONNECTED as error:
            screen.disconnected(error)
        record.alive()
        folder.keep(record)
        await asyncio.sleep(BREATH_SECONDS)
    return history, envelopes
