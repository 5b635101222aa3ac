"""From an event to its effect: fold the campaign, call the service's steps, commit their effect in one transaction.

The log is authoritative and Kafka only wakes the service: `catch_up` reads events from the log that were not delivered.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from eventstore.clock import Clock
from eventstore.effect import Effect
from eventstore.read import PAGE, next_size
from eventstore.store import DISCONNECTED, EventStore, StreamConflict
from judgement.history import History
from schemas.envelope import Envelope
from services.runtime.service import Service, Step
from services.runtime.telemetry.metrics import HANDLED, HANDLING_SECONDS, LOG_POSITION
from services.runtime.telemetry.tracing import append_spans, event_span, span

log = logging.getLogger(__name__)

CONFLICTS = 10
"""Folds of a campaign for one event: a stream that differs from what its campaign's events say conflicts for ever."""

_campaign = attrgetter("correlationid")


class CampaignTraces:
    """The trace contexts of a campaign's events since its round opened: a decision's span links to them."""

    def __init__(self) -> None:
        self.round_opened: str | None = None
        """Context of the open round, the parent of what a timer makes due."""
        self._by_stream: dict[str, str] = {}

    def add(self, envelope: Envelope) -> None:
        """Add the next event of the log; the last context of each stream is kept."""
        if envelope.type == "PolicyUpdated":
            self.round_opened = envelope.traceparent
            self._by_stream.clear()
        if envelope.traceparent:
            self._by_stream[envelope.subject] = envelope.traceparent

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts, each once."""
        return tuple(dict.fromkeys(self._by_stream.values()))


class Reactor:
    """Carries out a service's steps: one event or timer of a campaign at a time, so that its decisions never race."""

    def __init__(self, service: Service, store: EventStore) -> None:
        self.service, self.store = service, store
        self.types = tuple(service.reactions)
        self.histories: dict[str, History] = {}
        self.traces: defaultdict[str, CampaignTraces] = defaultdict(CampaignTraces)
        self.clock = Clock(store.connect)
        self.turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def react(self, message: Envelope) -> bool:
        """Handle one event exactly once, however often it is delivered. False: it is left to `catch_up`.

        Of a message only the id counts: type, campaign, time and data are those of the log, because anyone who can
        write to Kafka can send a real id with other fields. Raises `eventstore.store.UnknownEvent` for an event that
        the log does not hold, and `ValueError` for one that this service does not react to.
        """
        for _ in range(CONFLICTS):
            cause = await self.store.pending(self.service.name, message.id)
            if cause is None:
                return True
            if cause.type not in self.service.reactions:
                raise ValueError(f"event {cause.id}: {cause.type} in the log; {self.service.name} does not react to it")
            async with self.turns[cause.correlationid]:
                with event_span(self.service.name, cause), HANDLING_SECONDS.labels(self.service.name).time():
                    await self._handle(cause)
        if await self.store.pending(self.service.name, message.id) is None:
            return True
        log.error(
            "event %s still conflicts after %d tries; the next look at the log tries again", message.id, CONFLICTS
        )
        return False

    async def _handle(self, cause: Envelope) -> None:
        """Apply the effect of the event; nothing if another process of this service has decided first."""
        try:
            effect = await self.due(cause.correlationid, self.service.reactions[cause.type], cause.time)
            with append_spans(effect, self.traces[cause.correlationid].contexts) as traced:
                await self.store.handle(self.service.name, cause, traced)
        except StreamConflict as conflict:
            log.info("%s; folding again", conflict)
        else:
            HANDLED.labels(self.service.name, cause.type).inc()

    async def tick(self, now: datetime | None = None) -> None:
        """Apply the timers that are due in the running campaigns."""
        now = now or await self.clock.now()
        await asyncio.gather(*(self._isolated(c, self._timers(c, now)) for c in await self._running()))

    async def catch_up(self) -> bool:
        """Handle events in the log that Kafka did not deliver. Returns whether none is left.

        Each page begins after the last one, so that a campaign whose events cannot be handled holds up no other.
        """
        is_done, after, size = True, 0, PAGE
        while True:
            missed = await self.store.unhandled(self.service.name, self.types, limit=size, after=after)
            by_campaign = groupby(sorted(missed, key=_campaign), key=_campaign)
            is_done &= all(await asyncio.gather(*(self._in_order(list(events)) for _, events in by_campaign)))
            LOG_POSITION.labels(self.service.name).set(await self.store.advance(self.service.name, self.types))
            if not missed:
                return is_done
            after, size = missed[-1].sequence, next_size(missed)

    async def _in_order(self, events: Iterable[Envelope]) -> bool:
        """Handle a campaign's events one after the other. Returns whether all succeeded."""
        return all([await self._isolated(envelope.correlationid, self.react(envelope)) for envelope in events])

    async def _isolated(self, campaign: str, work: Coroutine[Any, Any, bool | None]) -> bool:
        """Run a campaign's work; a failure is logged and stops no other campaign. Returns whether it succeeded."""
        try:
            return await work is not False
        except DISCONNECTED:
            raise
        except Exception:
            log.exception("campaign %s: a step failed; it is tried again", campaign)
            return False

    async def _timers(self, campaign: str, now: datetime) -> None:
        async with self.turns[campaign]:
            effect = await self.due(campaign, self.service.timers, now)
            if effect:
                await self._apply(campaign, effect)

    async def due(self, campaign: str, steps: Iterable[Step], now: datetime) -> Effect:
        """The steps' effect on a campaign at its newest state; none while it is paused or closed."""
        history = await self.history(campaign)
        if history.campaign is None or history.closed:
            return Effect()
        return await asyncio.to_thread(lambda: sum((step(history, now) for step in steps), start=Effect()))

    async def history(self, campaign: str) -> History:
        """The campaign folded up to the head of the log."""
        history = self.histories.setdefault(campaign, History(campaign))
        async for envelope in self.store.read(after=history.position, campaign=campaign):
            history.apply(envelope)
            self.traces[campaign].add(envelope)
        return history

    async def _running(self) -> list[str]:
        return [c.id for c in await self.store.campaigns() if not c.finished] if self.service.timers else []

    async def _apply(self, campaign: str, effect: Effect) -> None:
        """Apply a timer's effect; its cause is the campaign's last event, so that the chain of causes is complete."""
        traces, cause = self.traces[campaign], self.histories[campaign].last_id
        try:
            with (
                span(f"{self.service.name} timer", parent=traces.round_opened),
                append_spans(effect, traces.contexts) as traced,
            ):
                await self.store.apply(traced, cause)
        except StreamConflict as conflict:
            log.info("%s; the next look decides", conflict)
