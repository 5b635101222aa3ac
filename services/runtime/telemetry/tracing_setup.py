"""Whether this process exports its spans, and where to: the standard variables `OTEL_*` decide."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from services.runtime.settings import BadVariable
from services.runtime.telemetry.tracing import TRACER

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORTERS = ("otlp", "console", "none")
PROTOCOL = "http/protobuf"
"""A default of the specification; gRPC would be one more library."""
SERVICE_NAME = "OTEL_SERVICE_NAME"
"""A user's own name for the service takes precedence over ours."""


@contextmanager
def export_spans(service: str, instance: str) -> Iterator[None]:
    """Trace this process as long as the block; spans still queued are sent before it ends.

    Raises `BadVariable`. Without the extra `telemetry` nothing is traced, and the log says so.
    """
    exporter = exporter_name(os.environ)
    if exporter == "none" or not _installed():
        yield
        return
    provider = _provider(exporter, service, instance)
    outside = TRACER.set(provider.get_tracer("aevolve"))
    try:
        yield
    finally:
        TRACER.reset(outside)
        provider.shutdown()


def exporter_name(variables: Mapping[str, str]) -> str:
    """`otlp`, `console` or `none`: the value of `OTEL_TRACES_EXPORTER`, else `otlp` where an endpoint is set.

    Raises `BadVariable` for an exporter or a protocol that is not supported.
    """
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return "none"
    chosen = variables.get("OTEL_TRACES_EXPORTER") or ("otlp" if any(map(variables.get, ENDPOINTS)) else "none")
    if chosen not in EXPORTERS:
        raise BadVariable("OTEL_TRACES_EXPORTER", chosen, f"set one of {', '.join(EXPORTERS)}")
    for name in PROTOCOLS:
        if chosen == "otlp" and variables.get(name, PROTOCOL) != PROTOCOL:
            raise BadVariable(name, variables[name], f"only {PROTOCOL} is supported: a collector's port 4318")
    return chosen


def _installed() -> bool:
    try:
        installed = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # of a parent package
        installed = False
    if not installed:
        log.warning("traces: OTEL_* is set, but the exporter is missing: pip install 'aevolve[telemetry]'")
    return installed


def _provider(exporter: str, service: str, instance: str) -> Any:
    """A provider that sends spans to an `otlp` endpoint or to the `console`; the SDK reads addresses from `OTEL_*`."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter  # noqa: PLC0415

    named = {} if SERVICE_NAME in os.environ else {"service.name": f"aevolve-{service}"}
    resource = Resource.create({"service.namespace": "aevolve", "service.instance.id": instance, **named})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    target = ConsoleSpanExporter() if exporter == "console" else OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(target))
    return provider
