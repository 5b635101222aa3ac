"""Sites of the web on this machine, with every way in which a page can go wrong."""

from __future__ import annotations

import gzip
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WORDS = (
    "Rivers carry water from the hills down to the sea, and the mills on their banks have ground corn for centuries. "
)


def article(about: str, head: str = "") -> bytes:
    """A page whose main text speaks of something, between things that are no text."""
    body = f"<p>{about}: {WORDS * 2}</p><p>More of {about}. {WORDS * 2}</p>"
    html = f"<html><head><title>{about}</title>{head}</head><body><nav><a href='/'>home</a></nav>"
    return f"{html}<article><h1>{about}</h1>{body}</article><footer>imprint</footer></body></html>".encode()


@dataclass
class Answer:
    """What a path gives."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: bool = True
    """Whether it may be asked for conditionally."""
    misbehave: Callable[[BaseHTTPRequestHandler, threading.Event], None] | None = None
    """What happens instead."""


@dataclass
class Site:
    """Answers by path, and what was asked."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Paths, in order; with `?` behind those that were asked for conditionally."""
    agents: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def page(self, path: str, body: bytes, kind: str = "text/html; charset=utf-8", **more) -> str:
        self.answers[path] = Answer(body, headers={"Content-Type": kind, **more.pop("headers", {})}, **more)
        return self.url + path


def hang(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Take the request and say nothing."""
    over.wait(30)


def trickle(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """A byte now and then, each soon enough that no single wait is long."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while not over.wait(0.02):
        handler.wfile.write(b"x")


def trickle_headers(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Headers that never end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        handler.wfile.write(b"X: y\r\n")


def endless(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """As many bytes as are taken."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while not over.is_set():
        handler.wfile.write(b"<p>more" * 10_000)


def cut_off(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Fewer bytes than were announced."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n<p>only")
    handler.close_connection = True


def gibberish(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Not HTTP."""
    handler.wfile.write(b"\x00\x01 who are you\r\n\r\n")
    handler.close_connection = True


def bomb(size: int = 50_000_000) -> bytes:
    """A page that is small on the wire alone."""
    return gzip.compress(b"<html><body>" + b" " * size)


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = site.answers.get(self.path, Answer(status=404))
            tag = f'"{hashlib.sha256(answer.body).hexdigest()[:12]}"'
            wanted = self.headers.get("If-None-Match")
            site.asked.append(self.path + ("?" if wanted else ""))
            site.agents.add(self.headers["User-Agent"])
            if answer.misbehave:
                self.close_connection = True
                try:
                    answer.misbehave(self, site.over)
                except OSError:
                    return
                return
            unchanged = answer.etag and wanted == tag
            self.send_response(304 if unchanged else answer.status)
            for key, value in ({"ETag": tag} if answer.etag else {}).items() | answer.headers.items():
                self.send_header(key, value)
            body = b"" if unchanged else answer.body
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args) -> None:
            pass

    return Handler


@contextmanager
def serving(host: str = "127.0.0.1", certificate: tuple[Path, Path] | None = None) -> Iterator[Site]:
    """A site on a free port of this machine, encrypted where it has a certificate and key."""
    site = Site()
    server = ThreadingHTTPServer((host, 0), _handler(site))
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    site.url = f"{'https' if certificate else 'http'}://{host}:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        server.server_close()
