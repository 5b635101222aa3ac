"""The recorded campaign as an enemy would have it: every text that may be foreign ends the markup and runs code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from datasets import Dataset
from pydantic import ValidationError

from schemas.advisor import Advice, AdvisorAnswered
from schemas.envelope import Envelope
from schemas.events import CampaignPaused, TrainingFailed
from schemas.evidence import Basis
from schemas.registry import parse_json
from schemas.scores import Cost
from services.oracle.receipts import Line, write
from tests.browser.recorded import WINNER, recorded

SCRIPT = "<script>window.ran = 'script'</script>"
IMAGE = '<img src="/nowhere" onerror="window.ran = \'image\'">'
QUOTE = "\" autofocus onfocus=\"window.ran = 'quote'\" x='"
HOSTILE = f"</pre></textarea></title></svg>{SCRIPT}{IMAGE}{QUOTE}"
"""Ends whatever it may stand in, and then does three things that must not be done."""

NAMES = {"scope", "knob", "standing_from", "trials", "uri", "candidate"}
"""Texts that name something elsewhere: they must be what they are, or there is nothing to show."""

Path_ = tuple[str | int, ...]


def hostile(folder: Path) -> Iterator[Envelope]:
    """The events, each text with the attack at its end where the schema lets it; files below the folder likewise."""
    for envelope in recorded():
        data = spoiled(envelope)
        if envelope.type == "DataBatchReady":
            data["uri"] = _rows(folder / f"{envelope.sequence}.parquet")
        if envelope.type == "ScoresReported" and (data["candidate"], data["kind"]) == (WINNER, "dev"):
            data["receipt"] = _receipt(folder)
        yield envelope.model_copy(update={"data": data})
    yield from _said_since(envelope)


def _said_since(last: Envelope) -> Iterator[Envelope]:
    """What the recorded campaign has no events of: an advisor's words, a failed job's, a person's."""
    campaign, basis = last.correlationid, Basis(position=1, digest="0" * 64, seed=0)
    proposal = Advice(changes=("rank=8",), reason=HOSTILE)
    answered = AdvisorAnswered(
        round=3, model=HOSTILE[:200], proposals=(proposal,), words=HOSTILE, answer="0" * 64, basis=basis
    )
    failed = TrainingFailed(candidate=WINNER, attempt=2, error="Odd", message=HOSTILE, terminal=False, cost=Cost())
    told = {"advice/3": answered, WINNER: failed, "": CampaignPaused(by=HOSTILE, reason=HOSTILE)}
    for number, (stream, event) in enumerate(told.items(), start=1):
        yield last.model_copy(
            update={
                "id": uuid4(),
                "type": type(event).__name__,
                "version": 1,
                "subject": f"{campaign}/{stream}".rstrip("/"),
                "sequence": last.sequence + number,
                "stream_version": 1000,
                "data": event.model_dump(mode="json"),
            }
        )


def spoiled(envelope: Envelope) -> dict[str, Any]:
    """A payload with the attack in each text that may hold it."""
    data = envelope.data
    for path, text in _texts(data):
        if NAMES.isdisjoint(path) and _allowed(envelope, worse := _with(data, path, text + HOSTILE)):
            data = worse
    return data


def _texts(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from _texts(part, (*path, key))
    if isinstance(value, str):
        yield path, value


def _with(value: Any, path: Path_, text: str) -> Any:
    if not path:
        return text
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], text)
    return copy


def _allowed(envelope: Envelope, data: Any) -> bool:
    try:
        parse_json(envelope.type, envelope.version, json.dumps(data))
    except ValidationError:
        return False
    return True


def _rows(file: Path) -> str:
    row = {"domain": "bits", "prompt": HOSTILE, "trace": HOSTILE, "answer": HOSTILE, "difficulty": 1}
    Dataset.from_list([row]).to_parquet(file)
    return str(file)


def _receipt(folder: Path) -> dict[str, Any]:
    lines = [Line(domain="bits", item=str(n), output=HOSTILE, correct=n == 0, answer="0" * 64) for n in range(2)]
    return write(lines, folder / "receipts").model_dump()


async def disturb(owner: str, campaign: str) -> None:
    """What else a page shows, in the tables beside the log: a worker and a job."""
    connection = await asyncpg.connect(owner, server_settings={"search_path": "aevolve"})
    await connection.execute(
        "INSERT INTO work (queue, key, campaign, payload, attempts, priority, state, attempt, worker, lease_until)"
        " VALUES ('train', $1, $2, '{}', 2, 0, 'leased', 1, $1, now() + interval '1 hour')",
        HOSTILE,
        campaign,
    )
    await connection.close()
