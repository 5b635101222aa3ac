"""Spans around what a process does. Each event stores the context of its span, so a trace outlives every process.

A context is W3C text (`traceparent`). Whoever handles an event continues from its context, today or after a replay.
Without the OpenTelemetry SDK a span is a no-op that carries its parent's context, so the log still passes contexts on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from eventstore.effect import Append, Effect
from eventstore.store import Job
from schemas.envelope import Envelope
from schemas.events import PolicyUpdated
from services.runtime.telemetry.logs import log_fields

Attributes = dict[str, str | int]

TRACER: ContextVar[Tracer] = ContextVar("tracer", default=NoOpTracer())  # noqa: B039 - it has no state
"""The tracer of this process; set once, before its work begins (`services.runtime.telemetry.tracing_setup`)."""


def traceparent(span_: Span) -> str | None:
    """The W3C context of a span; None for a no-op span without a parent."""
    carrier: dict[str, str] = {}
    if span_.get_span_context().is_valid:
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span_))
    return carrier.get("traceparent")


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str | None = None,
    attributes: Attributes | None = None,
) -> Iterator[Span]:
    """A span that lasts as long as the block and is the parent of the spans in it; an exception marks it as failed.

    Its own parent is `parent`, or the current span.
    """
    new_span = TRACER.get().start_span(name, _parse(parent) if parent else None, kind, attributes)
    with (
        _ending(new_span),
        use_span(new_span, record_exception=False, set_status_on_exception=False),
        log_fields(traceparent=traceparent(new_span)),
    ):
        yield new_span


def mark_failed(error: str) -> None:
    """Mark the current span as failed by the class of the failure, where no exception does it."""
    _fail(get_current_span(), error)


@contextmanager
def event_span(service: str, cause: Envelope) -> Iterator[Span]:
    """The span in which a service handles an event; it belongs to the event's trace, even if it is handled late."""
    attributes = _event_attributes(cause.type, cause.subject, cause.data.get("candidate")) | {
        "aevolve.campaign": cause.correlationid,
        "aevolve.event.id": str(cause.id),
        "aevolve.event.position": cause.sequence,
    }
    with (
        log_fields(event_id=str(cause.id), event_type=cause.type, correlation_id=cause.correlationid),
        span(f"{service} handle {cause.type}", SpanKind.CONSUMER, cause.traceparent, attributes) as new_span,
    ):
        yield new_span


@contextmanager
def job_span(job: Job, worker: str) -> Iterator[Span]:
    """The span of a leased job, under the event that caused it."""
    attributes: Attributes = {
        "aevolve.campaign": job.campaign,
        "aevolve.queue": job.queue,
        "aevolve.job": job.key,
        "aevolve.attempt": job.attempt,
        "aevolve.worker": worker,
    }
    cause = str(job.cause) if job.cause else None
    with (
        log_fields(event_id=cause, correlation_id=job.campaign, queue=job.queue, job=job.key, attempt=job.attempt),
        span(f"job {job.queue}", SpanKind.CONSUMER, job.traceparent, attributes) as new_span,
    ):
        yield new_span


@contextmanager
def append_spans(effect: Effect, evidence: Iterable[str] = ()) -> Iterator[Effect]:
    """The effect with a span for each of its events; the spans last as long as the block in which it is written.

    A decision (an event with a `basis`) links to the contexts in `evidence`, those of the events that it rests on.
    """
    with ExitStack() as spans:
        yield replace(effect, events=tuple(_with_span(append, spans, tuple(evidence)) for append in effect.events))


def _with_span(append: Append, spans: ExitStack, evidence: tuple[str, ...]) -> Append:
    event, type_ = append.event, type(append.event).__name__
    attributes = _event_attributes(type_, append.subject, getattr(event, "candidate", None))
    attributes["aevolve.campaign"] = append.campaign
    links = [get_current_span(_parse(text)).get_span_context() for text in evidence] if hasattr(event, "basis") else []
    own = spans.enter_context(_producer(f"append {type_}", None, links, attributes))
    if isinstance(event, PolicyUpdated):  # its consequences are the next round: a trace of its own
        attributes["aevolve.round"] = event.policy.round
        links = [own.get_span_context()] if own.get_span_context().is_valid else []
        own = spans.enter_context(_producer("round", Context(), links, attributes))
    return replace(append, traceparent=traceparent(own))


@contextmanager
def _producer(
    name: str, parent: Context | None, links: Iterable[SpanContext], attributes: Attributes
) -> Iterator[Span]:
    """A span that has no child in this process; its parent is the current span unless a context is given."""
    new_span = TRACER.get().start_span(name, parent, SpanKind.PRODUCER, attributes, [Link(link) for link in links])
    with _ending(new_span):
        yield new_span


@contextmanager
def _ending(open_span: Span) -> Iterator[None]:
    """End the span with the block; an exception marks it by its class alone, because messages may quote data."""
    try:
        yield
    except BaseException as error:
        _fail(open_span, type(error).__name__)
        raise
    finally:
        open_span.end()


def _fail(failed: Span, error: str) -> None:
    failed.set_attribute("error.type", error)
    failed.set_status(Status(StatusCode.ERROR))


def _event_attributes(type_: str, stream: str, candidate: str | None) -> Attributes:
    named: Attributes = {"aevolve.candidate": candidate} if candidate else {}
    return {"aevolve.event.type": type_, "aevolve.stream": stream, **named}


def _parse(text: str) -> Context:
    """A context with the parent that a `traceparent` names; an empty one where the text is not valid."""
    return TraceContextTextMapPropagator().extract({"traceparent": text}, Context())
