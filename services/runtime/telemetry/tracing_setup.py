"""Whether this process is traced, and where its spans go, as the standard variables `OTEL_*` say."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from services.runtime.settings import BadVariable
from services.runtime.telemetry.tracing import TRACING

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORTERS = ("otlp", "console", "none")
PROTOCOL = "http/protobuf"
"""A default of the specification; gRPC would be one more library."""


@contextmanager
def traced(service: str, instance: str) -> Iterator[None]:
    """Trace this process as long as the block; what is on its way is sent before it ends.

    Raises `BadVariable`. Without the extra `telemetry` nothing is traced, and the log says so.
    """
    exporter = wanted(os.environ)
    if exporter == "none" or not _installed():
        yield
        return
    from services.runtime.telemetry import tracing_otel  # noqa: PLC0415 - it needs the extra

    provider = tracing_otel.provider(exporter, service, instance)
    outside = TRACING.set(tracing_otel.OpenTelemetry(provider))
    try:
        yield
    finally:
        TRACING.reset(outside)
        provider.shutdown()


def wanted(variables: Mapping[str, str]) -> str:
    """`otlp`, `console` or `none`: what `OTEL_TRACES_EXPORTER` says, else `otlp` where there is an endpoint.

    Raises `BadVariable` for what is not there.
    """
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return "none"
    chosen = variables.get("OTEL_TRACES_EXPORTER") or ("otlp" if any(map(variables.get, ENDPOINTS)) else "none")
    if chosen not in EXPORTERS:
        raise BadVariable("OTEL_TRACES_EXPORTER", chosen, f"name one of {', '.join(EXPORTERS)}")
    for name in PROTOCOLS:
        if chosen == "otlp" and variables.get(name, PROTOCOL) != PROTOCOL:
            raise BadVariable(name, variables[name], f"only {PROTOCOL} is spoken here: a collector's port 4318")
    return chosen


def _installed() -> bool:
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # of a parent
        found = False
    if not found:
        log.warning("traces: OTEL_* asks for them, but they need OpenTelemetry: pip install 'aevolve[telemetry]'")
    return found
