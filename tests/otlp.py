"""A collector in memory: takes traces as OTLP over HTTP, as processes send them, and keeps their spans."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Kept:
    """One span."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    links: frozenset[str]
    """Ids of the spans that it is linked to."""
    attributes: dict[str, str]
    failed: bool


class Collector:
    """Listens as long as its context."""

    def __init__(self) -> None:
        self.spans: list[Kept] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                import gzip

                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.keep(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def keep(self, request: ExportTraceServiceRequest) -> None:
        """Take what one process has sent."""
        for resource in request.resource_spans:
            service = _text(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_kept(service, span) for span in scope.spans]


def _text(attributes: Any) -> dict[str, str]:
    return {a.key: a.value.string_value or str(a.value.int_value) for a in attributes}


def _kept(service: str, span: Any) -> Kept:
    return Kept(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=frozenset(link.span_id.hex() for link in span.links),
        attributes=_text(span.attributes),
        failed=span.status.code == 2,
    )
