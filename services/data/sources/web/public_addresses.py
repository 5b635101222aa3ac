"""Opens connections to public addresses only, with a deadline: a page cannot reach this network (SSRF).

A name is resolved once, each address is checked, and the connection goes to that same address, so a name that resolves
differently a moment later gains nothing. Every hop of a redirect opens its connection here and is checked.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

from httpcore2 import (
    SOCKET_OPTION,
    ConnectError,
    ConnectTimeout,
    NetworkBackend,
    NetworkStream,
    ReadTimeout,
    SyncBackend,
    WriteTimeout,
)

from services.data.sources.source import Refused

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that a gateway translates to the IPv4 address of their last four bytes (RFC 6052)."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; an IPv6 address that wraps an IPv4 one counts as that."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    target = _wrapped(ip) or ip
    return target.is_global and not target.is_multicast and not target.is_reserved


def _wrapped(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    return ipaddress.IPv4Address(ip.packed[-4:]) if ip in NAT64 else ip.ipv4_mapped or ip.sixtofour


class PublicBackend(NetworkBackend):
    """Opens the connections of an httpcore pool, for one thread, which sets the time of each request."""

    def __init__(self, *, private: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._deadline = float("inf")
        self._private = private
        self._clock = clock
        self._plain = SyncBackend()

    def allow(self, seconds: float) -> None:
        """Set the deadline to so many seconds from now."""
        self._deadline = self._clock() + seconds

    def left(self) -> float:
        """Seconds to the deadline."""
        return self._deadline - self._clock()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """A connection to the first address of the host that answers.

        Raises `Refused("private")` if it has no public address, and httpcore's errors if none answers.
        """
        failure: Exception = ConnectError(f"{host} has no address")
        for address in self._addresses(host, port):
            try:
                return self._connect(address, port)
            except (ConnectError, ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
        allowed = [address for address in addresses if self._private or is_public(address)]
        if addresses and not allowed:
            raise Refused("private")
        return allowed

    def _connect(self, address: str, port: int) -> NetworkStream:
        stream = self._plain.connect_tcp(address, port, timeout=_positive(self.left(), ConnectTimeout))
        peer = stream.get_extra_info("server_addr")[0]
        if not self._private and not is_public(peer):
            stream.close()
            raise Refused("private")
        return TimedStream(stream, self)


class TimedStream(NetworkStream):
    """A connection on which every wait ends at the backend's deadline, however slowly the bytes arrive."""

    def __init__(self, stream: NetworkStream, backend: PublicBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read up to so many bytes. Raises `ReadTimeout`."""
        return self._stream.read(max_bytes, timeout=_positive(self._backend.left(), ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all bytes. Raises `WriteTimeout`."""
        self._stream.write(buffer, timeout=_positive(self._backend.left(), WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        """The same connection, encrypted. Raises `ConnectTimeout`, or `ConnectError` for an invalid certificate."""
        left = _positive(self._backend.left(), ConnectTimeout)
        return TimedStream(self._stream.start_tls(ssl_context, server_hostname, timeout=left), self._backend)

    def get_extra_info(self, info: str) -> Any:
        """Facts about the connection, for httpcore."""
        return self._stream.get_extra_info(info)


def _positive(seconds: float, late: type[Exception]) -> float | None:
    """A timeout as sockets take it; None for no limit."""
    if seconds <= 0:
        raise late("the page's time limit is reached")
    return None if seconds == float("inf") else seconds
