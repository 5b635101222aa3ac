"""Compares every projection of a live log with its rebuild from the log; part of a replay."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import asyncpg
from pydantic import ValidationError

from audit.difference import differences
from audit.rebuild import CONSUMERS, CampaignJobs
from eventstore.effect import Work
from eventstore.projections import Deviation, compare, sizes, snapshot
from eventstore.read import scan, to_envelope
from eventstore.row import parsed
from eventstore.store import EventStore
from judgement.history import History
from schemas.advisor import AdvisorRule
from schemas.base import Frozen, canonical_json
from schemas.campaign import Campaign, Model, Substrate
from schemas.events import CheckpointTrained, RecipeProposed
from schemas.evidence import Basis
from schemas.policy import Policy

SHOWN = 10
"""Deviations that are printed; `--json` has them all."""

PARTS: dict[str, type[Frozen]] = {
    "advisor": AdvisorRule,
    "basis": Basis,
    "campaign": Campaign,
    "checkpoint": CheckpointTrained,
    "model": Model,
    "policy": Policy,
    "proposed": RecipeProposed,
    "substrate": Substrate,
}
"""What a job's payload holds under its keys: an older release queued it without the fields that were added since."""

UNLOGGED = ("basis", "evidence")
"""Payload keys that the log holds only once the job has ended; of the advisor's evidence it holds only the hash."""


@dataclass(frozen=True)
class Projections:
    """The comparison."""

    rows: dict[str, int]
    """Rows per table."""
    deviations: list[Deviation]
    """What does not follow from the log."""
    by_hand: list[str]
    """Campaigns whose jobs were not compared, because events were emitted into them."""


async def check(store: EventStore) -> Projections:
    """Rebuild all projections of a log and compare them, at one snapshot."""
    connection = await store.connect()
    try:
        async with snapshot(connection):
            campaigns = await _jobs(connection)
            by_hand = [name for name, jobs in campaigns.items() if jobs.by_hand]
            rebuilt = (job for jobs in campaigns.values() if not jobs.by_hand for job in jobs.rebuilt())
            deviations = await compare(connection, CONSUMERS, rebuilt, by_hand)
            later = {f"{queue} {key}": work for jobs in campaigns.values() for (queue, key), work in jobs.later.items()}
            reported = [leaf for row in deviations if not _of_later(row, later) for leaf in _exact(row)]
            return Projections(await sizes(connection), reported, by_hand)
    finally:
        await connection.close()


async def _jobs(connection: asyncpg.Connection) -> dict[str, CampaignJobs]:
    campaigns: dict[str, CampaignJobs] = {}
    async for row in scan(connection, 0):
        campaigns.setdefault(row.campaign, CampaignJobs(History(row.campaign))).take(to_envelope(row))
    return campaigns


def _of_later(deviation: Deviation, later: Mapping[str, Sequence[Work]]) -> bool:
    """Whether a payload is that of a later state, at which its service came to the event."""
    if deviation.field != "payload":
        return False
    live = _read(parsed(deviation.live or "null"))
    return any(live == _read(json.loads(canonical_json(work.payload))) for work in later.get(deviation.row, ()))


def _exact(deviation: Deviation) -> Iterator[Deviation]:
    """A payload's differences value by value, as today's models read it; any other deviation as it is."""
    if deviation.field != "payload":
        yield deviation
        return
    live, log = (_read(parsed(text or "null")) for text in (deviation.live, deviation.log))
    for leaf in differences(live, log):
        if leaf.path.partition(".")[0] not in UNLOGGED or leaf.recomputed is not None:
            values = (json.dumps(leaf.recorded), json.dumps(leaf.recomputed))
            yield replace(deviation, field=f"payload.{leaf.path}".rstrip("."), live=values[0], log=values[1])


def _read(payload: Any) -> Any:
    if not isinstance(payload, dict):
        return payload
    return {key: _part(PARTS.get(key), value) for key, value in payload.items()}


def _part(model: type[Frozen] | None, value: Any) -> Any:
    try:
        return model.model_validate(value).model_dump(mode="json") if model and value else value
    except ValidationError:
        return value


def text(projections: Projections) -> Iterator[str]:
    """The comparison for a person."""
    deviations = {name: [d for d in projections.deviations if d.projection == name] for name in projections.rows}
    for name, rows in projections.rows.items():
        yield f"{'DIFFERENT' if deviations[name] else 'identical'}  {name}: {rows} rows"
        yield from (f"  {d.row}: {d.field}: live {d.live}, by the log {d.log}" for d in deviations[name][:SHOWN])
        if len(deviations[name]) > SHOWN:
            yield f"  and {len(deviations[name]) - SHOWN} more; --json has them all"
    if projections.by_hand:
        yield f"jobs not compared, events were emitted by hand: {', '.join(projections.by_hand)}"


def data(projections: Projections) -> dict[str, Any]:
    """The comparison for a program."""
    deviations = [asdict(deviation) for deviation in projections.deviations]
    return {"rows": projections.rows, "deviations": deviations, "not_compared": projections.by_hand}
