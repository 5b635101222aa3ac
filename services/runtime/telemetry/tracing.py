"""Spans around what a process does. The log carries their contexts, so that a trace outlives every process.

A context is W3C text (`traceparent`). Each event is appended with the context of its own span, and whoever handles it
goes on from there, today or after a replay. Without OpenTelemetry, or where nothing says where traces go, spans are
silent, and the log hands the context of an event's cause on by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType
from typing import Literal, Protocol

from eventstore.effect import Append, Effect
from eventstore.store import Job
from schemas.envelope import Envelope
from schemas.events import PolicyUpdated
from services.runtime.telemetry.logs import about

Kind = Literal["consumer", "producer", "internal"]
Attribute = str | int
Attributes = Mapping[str, Attribute]
NONE: Attributes = MappingProxyType({})


class Span(Protocol):
    """One piece of work that has begun."""

    @property
    def traceparent(self) -> str | None:
        """Its context, for what it leads to; None where nobody traces."""

    def fail(self, error: str) -> None:
        """Say that it failed, by the class of the failure: messages may quote data."""

    def end(self) -> None:
        """Say that it is over."""


class Tracing(Protocol):
    """Whoever keeps the spans."""

    def start(self, name: str, kind: Kind, parent: str | None, links: Iterable[str], attributes: Attributes) -> Span:
        """Begin a span under a parent, or a trace where there is none."""


class Silent:
    """Keeps nothing; span and tracing in one."""

    traceparent = None

    def fail(self, error: str) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def start(self, name: str, kind: Kind, parent: str | None, links: Iterable[str], attributes: Attributes) -> Span:
        """Itself."""
        return self


TRACING: ContextVar[Tracing] = ContextVar("tracing", default=Silent())  # noqa: B039 - it has no state
"""Of this process; set once, before its work begins."""

HERE: ContextVar[str | None] = ContextVar("here", default=None)
"""Context of the span that is going on."""

GOING_ON: ContextVar[Span] = ContextVar("going on", default=Silent())  # noqa: B039
"""That span."""


@contextmanager
def span(
    name: str,
    kind: Kind = "internal",
    parent: str | None = None,
    links: Iterable[str] = (),
    attributes: Attributes = NONE,
) -> Iterator[Span]:
    """A span as long as the block, and the parent of what begins within; an exception marks it as failed."""
    parent = parent or HERE.get()
    begun = TRACING.get().start(name, kind, parent, links, attributes)
    here, going_on = HERE.set(begun.traceparent or parent), GOING_ON.set(begun)
    try:
        with about(traceparent=HERE.get()):
            yield begun
    except BaseException as error:
        begun.fail(type(error).__name__)
        raise
    finally:
        HERE.reset(here)
        GOING_ON.reset(going_on)
        begun.end()


def mark_failed(error: str) -> None:
    """Say of the span that is going on that its work failed, where that is no exception."""
    GOING_ON.get().fail(error)


@contextmanager
def handling(service: str, cause: Envelope) -> Iterator[Span]:
    """The span of a service that handles an event; it belongs to the event's trace, however late it comes."""
    described = _of_event(cause.type, cause.subject, cause.data.get("candidate")) | {
        "aevolve.campaign": cause.correlationid,
        "aevolve.event.id": str(cause.id),
        "aevolve.event.position": cause.sequence,
    }
    with (
        about(event_id=str(cause.id), event_type=cause.type, correlation_id=cause.correlationid),
        span(f"{service} handle {cause.type}", "consumer", cause.traceparent, attributes=described) as begun,
    ):
        yield begun


@contextmanager
def working(job: Job, worker: str) -> Iterator[Span]:
    """The span of a leased job, under the event that led to it."""
    described: dict[str, Attribute] = {
        "aevolve.campaign": job.campaign,
        "aevolve.queue": job.queue,
        "aevolve.job": job.key,
        "aevolve.attempt": job.attempt,
        "aevolve.worker": worker,
    }
    cause = str(job.cause) if job.cause else None
    with (
        about(event_id=cause, correlation_id=job.campaign, queue=job.queue, job=job.key, attempt=job.attempt),
        span(f"job {job.queue}", "consumer", job.traceparent, attributes=described) as begun,
    ):
        yield begun


@contextmanager
def appending(effect: Effect, rests_on: Iterable[str] = ()) -> Iterator[Effect]:
    """The effect with a span for each of its events, as long as the block in which it is written.

    A decision (an event with a `basis`) is linked to the contexts of the events that it rests on.
    """
    with ExitStack() as spans:
        yield replace(effect, events=tuple(_traced(append, spans, tuple(rests_on)) for append in effect.events))


def _traced(append: Append, spans: ExitStack, rests_on: tuple[str, ...]) -> Append:
    event, type_ = append.event, type(append.event).__name__
    links = rests_on if hasattr(event, "basis") else ()
    described = _of_event(type_, append.subject, getattr(event, "candidate", None))
    described["aevolve.campaign"] = append.campaign
    context = spans.enter_context(_beside(f"append {type_}", HERE.get(), links, described)).traceparent
    if isinstance(event, PolicyUpdated):  # what it leads to is the next round: a trace of its own
        described["aevolve.round"] = event.policy.round
        context = spans.enter_context(_beside("round", None, [context] if context else [], described)).traceparent
    return replace(append, traceparent=context)


@contextmanager
def _beside(name: str, parent: str | None, links: Iterable[str], described: Attributes) -> Iterator[Span]:
    """A span that is nobody's parent in this process."""
    begun = TRACING.get().start(name, "producer", parent, links, described)
    try:
        yield begun
    except BaseException as error:
        begun.fail(type(error).__name__)
        raise
    finally:
        begun.end()


def _of_event(type_: str, stream: str, candidate: str | None) -> dict[str, Attribute]:
    named: dict[str, Attribute] = {"aevolve.candidate": candidate} if candidate else {}
    return {"aevolve.event.type": type_, "aevolve.stream": stream, **named}
