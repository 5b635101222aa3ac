"""One HTTP request with a deadline for the whole answer: a server that trickles bytes cannot hold its caller.

Connecting, sending one chunk and receiving the answer may each take `seconds`. Redirects are not followed.
"""

from __future__ import annotations

import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

import httpcore2
import httpx2

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts that a secret may be sent to without TLS."""

FAILURES = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpx2.InvalidURL,
)


@dataclass(frozen=True)
class Answer:
    """An answer to a request."""

    status: int
    """HTTP status."""
    body: bytes
    """Content, at most `most_bytes` of it."""


class NoAnswer(Exception):
    """The server gave no complete answer; the text is the class of the cause."""

    def __init__(self, error: Exception) -> None:
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        super().__init__(type(cause).__name__)
        self.timed_out = isinstance(error, httpcore2.TimeoutException)
        self.strerror: str | None = getattr(cause, "strerror", None)


def send(
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: bytes | Iterator[bytes] | None = None,
    *,
    seconds: float,
    most_bytes: int,
    use_proxy: bool = False,
    unix_socket: str | None = None,
) -> Answer:
    """The answer to one request, made on a connection of its own. Raises `NoAnswer`.

    `use_proxy` obeys the proxy variables of the environment (`http_proxy`, `https_proxy`, `no_proxy`). `unix_socket` is
    the path of the socket to connect to, in place of the address's host and port.
    """
    try:
        parts = httpx2.URL(url)
        target = httpcore2.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)
        sent = {"Host": parts.netloc.decode(), "Accept-Encoding": "identity", "Connection": "close", **headers}
        with (
            _pool(parts, seconds, use_proxy=use_proxy, unix_socket=unix_socket) as pool,
            pool.stream(method, target, headers=list(sent.items()), content=content) as response,
        ):
            body = bytearray()
            for chunk in response.iter_stream():
                body += chunk
                if len(body) >= most_bytes:
                    break
            return Answer(response.status, bytes(body[:most_bytes]))
    except FAILURES as error:
        raise NoAnswer(error) from error


def _pool(url: httpx2.URL, seconds: float, *, use_proxy: bool, unix_socket: str | None) -> httpcore2.ConnectionPool:
    options: dict[str, Any] = {"network_backend": _Backend(seconds)}
    if unix_socket is not None:
        return httpcore2.ConnectionPool(**options, uds=unix_socket)
    if url.scheme == "https":
        options["ssl_context"] = _trusted()
    proxy = urllib.request.getproxies().get(url.scheme) if use_proxy else None
    if not proxy or urllib.request.proxy_bypass(url.netloc.decode()):
        return httpcore2.ConnectionPool(**options)
    place = httpx2.URL(proxy if "://" in proxy else f"http://{proxy}")
    user = (unquote(place.username), unquote(place.password)) if place.userinfo else None
    return httpcore2.HTTPProxy(f"{place.scheme}://{place.netloc.decode()}", proxy_auth=user, **options)


@cache
def _trusted() -> ssl.SSLContext:
    """The system's certificate authorities, or those of `SSL_CERT_FILE`; reading them takes tens of milliseconds."""
    return ssl.create_default_context()


class _Backend(httpcore2.NetworkBackend):
    """Opens connections that keep the deadline."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._sockets = seconds, httpcore2.SyncBackend()

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any) -> _Stream:
        return _Stream(self._sockets.connect_tcp(host, port, self._seconds, *args, **options), self._seconds)

    def connect_unix_socket(self, path: str, timeout: float | None = None, *args: Any, **options: Any) -> _Stream:
        return _Stream(self._sockets.connect_unix_socket(path, self._seconds, *args, **options), self._seconds)


class _Stream(httpcore2.NetworkStream):
    """A connection whose answer must be complete `seconds` after the last write."""

    def __init__(self, stream: httpcore2.NetworkStream, seconds: float) -> None:
        self._stream, self._seconds = stream, seconds
        self._deadline = time.monotonic() + seconds

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if (left := self._deadline - time.monotonic()) <= 0:
            raise httpcore2.ReadTimeout(f"no complete answer in {self._seconds:g} s")
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._seconds)
        self._deadline = time.monotonic() + self._seconds

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._seconds), self._seconds)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
