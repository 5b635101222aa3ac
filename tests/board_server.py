"""A reference board in the standard library (`docs/guides/boards.md`), with switches for what goes wrong."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PREFIX = "/v1/submissions/"


@dataclass
class Submission:
    """What was sent, and when."""

    package: bytes
    campaign: str
    candidate: str
    time: float

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(zipfile.ZipFile(io.BytesIO(self.package)).read("adapter_config.json"))
        return config


@dataclass
class Board:
    """The submissions, and how the board behaves."""

    score: Callable[[Submission], dict[str, Any]] = lambda _: {"score": 0.5}
    """What a submission is worth, as the fields of the answer."""
    delay: Callable[[Submission], float] = lambda _: 0.0
    """Seconds until its score is there; infinity for never."""
    token: str | None = None
    """The token it wants."""
    rejects: str | None = None
    """Why it rejects everything."""
    broken: list[Any] = field(default_factory=list)
    """What the next requests meet instead of the board: a status, bytes, `trickle`, or, after the work is done, `drop`
    the connection or `hold` it until `release` is set."""
    release: threading.Event = field(default_factory=threading.Event)
    held: dict[str, Submission] = field(default_factory=dict)
    """By key."""
    requests: list[str] = field(default_factory=list)
    """Method and key of every request that reached the board."""
    url: str = ""

    def answer(self, method: str, key: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"reason": "who are you?"}
        known = key in self.held
        if method == "PUT":
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            if headers["Content-Digest"] != f"sha-256=:{digest}:":
                return 400, {"reason": "the upload was cut"}
            if known and self.held[key].package != body:
                return 409, {"reason": "another submission has this key"}
            about = headers["Aevolve-Campaign"], headers["Aevolve-Candidate"]
            self.held.setdefault(key, Submission(body, *about, time.monotonic()))
        elif not known:
            return 404, {"reason": "no such submission"}
        return (201 if method == "PUT" and not known else 200), self.standing(key)

    def standing(self, key: str) -> dict[str, Any]:
        submission = self.held[key]
        said = {"protocol": 1, "key": key, "state": "waiting"}
        if self.rejects:
            return {**said, "state": "rejected", "reason": self.rejects}
        if time.monotonic() - submission.time < self.delay(submission):
            return said
        return {**said, "state": "scored", **self.score(submission)}


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Location", "/elsewhere")
    handler.end_headers()
    handler.wfile.write(body)


def trickle(handler: BaseHTTPRequestHandler) -> None:
    """Send an answer a byte at a time, never to its end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.05)


def handler(board: Board) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.work()

        def do_PUT(self) -> None:
            self.work()

        def work(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = board.broken.pop(0) if board.broken else None
            if isinstance(fault, int):
                send(self, fault, b"down for maintenance")
            elif fault == "trickle":
                trickle(self)
            elif isinstance(fault, bytes):
                send(self, 200, fault)
            else:
                key = self.path.removeprefix(PREFIX)
                board.requests.append(f"{self.command} {key}")
                status, said = board.answer(self.command, key, self.headers, body)
                if fault == "hold":
                    board.release.wait()
                if fault in ("drop", "hold"):  # the work is done, and nobody hears of it
                    self.connection.close()
                else:
                    send(self, status, json.dumps(said).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def serving(board: Board):
    """The board at a port of its own, as long as the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(board))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    board.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield board
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
