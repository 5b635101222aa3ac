"""Spans by OpenTelemetry; imported only where the extra `telemetry` is installed."""

from __future__ import annotations

import os
from collections.abc import Iterable

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, get_current_span
from opentelemetry.trace import Span as TheirSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.runtime.telemetry.tracing import Attributes, Kind, Span

SERVICE_NAME = "OTEL_SERVICE_NAME"
"""A person's own name for the service goes before ours."""


def provider(exporter: str, service: str, instance: str) -> TracerProvider:
    """Sends spans to an `otlp` endpoint, or to the `console`; the addresses stand in the standard variables."""
    named = {} if SERVICE_NAME in os.environ else {"service.name": f"aevolve-{service}"}
    resource = Resource.create({"service.namespace": "aevolve", "service.instance.id": instance, **named})
    made = TracerProvider(resource=resource, shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter() if exporter == "console" else OTLPSpanExporter()))
    return made


class OpenTelemetry:
    """Keeps spans by a provider."""

    def __init__(self, spans: TracerProvider) -> None:
        self._tracer = spans.get_tracer("aevolve")

    def start(self, name: str, kind: Kind, parent: str | None, links: Iterable[str], attributes: Attributes) -> Span:
        """Begin a span."""
        linked = [Link(_context_of(link)) for link in links]
        return Begun(self._tracer.start_span(name, _under(parent), SpanKind[kind.upper()], attributes, linked))


class Begun:
    """A span of OpenTelemetry."""

    def __init__(self, span: TheirSpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """Its context."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def fail(self, error: str) -> None:
        """Mark it as failed."""
        self._span.set_attribute("error.type", error)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """End it."""
        self._span.end()


def _under(parent: str | None) -> Context:
    """A context with the parent; an empty one where there is none, or where its text is no context."""
    return TraceContextTextMapPropagator().extract({"traceparent": parent} if parent else {}, Context())


def _context_of(traceparent: str) -> SpanContext:
    return get_current_span(_under(traceparent)).get_span_context()
