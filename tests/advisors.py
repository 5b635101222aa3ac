"""An OpenAI-compatible endpoint on this machine, for tests: it answers as it is told and remembers what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[BaseHTTPRequestHandler], None]


class Endpoint:
    """Where it is, what it answers next, and the requests so far."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.reply: Reply = says(advice())
        self.released = threading.Event()
        """Ends the answers that a slow reply holds back."""
        self.url = ""


def advice(*proposals: tuple[str, ...], words: str = "Dev misleads in cipher.") -> str:
    """The text of a good answer."""
    said = [{"changes": list(changes), "reason": "It should carry over."} for changes in proposals]
    return json.dumps({"proposals": said, "words": words})


def says(content: Any, model: str = "adviser-8b") -> Reply:
    """A chat completion with this content."""
    return sends(200, json.dumps({"model": model, "choices": [{"message": {"content": content}}]}).encode())


def sends(status: int, body: bytes, **headers: str) -> Reply:
    """Any answer."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """A running endpoint."""
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append((self.path, dict(self.headers), json.loads(sent or b"{}")))
            state.reply(self)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state
    state.released.set()
    server.shutdown()
    server.server_close()
