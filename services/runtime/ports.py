"""Ports to tell a server of, before it listens there itself."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

LENT = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Linux: first and last port that a connection may have at its own end."""

LOWEST = 10_000
"""Where the search begins: below live well-known servers."""

USUAL_FIRST = 32_768
"""First port lent where the system does not tell: Linux's default; others begin higher (RFC 6335: 49152)."""


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Different ports of `host` on which no process listens.

    They lie outside the kernel's range for outgoing connections if it leaves ports from `LOWEST` on: a port in that
    range may be taken before the server has started, and port 0 gives only such ports. The choice is random, so that
    parallel calls rarely choose the same port.
    """
    chance = SystemRandom()
    ports: list[int] = []
    with ExitStack() as sockets:
        while len(ports) < count:
            port = chance.choice(_never_lent())
            try:
                sockets.enter_context(socket.create_server((host, port)))
            except OSError:  # in use, maybe by this loop
                continue
            ports.append(port)
    return ports


def _never_lent() -> range:
    first = int(LENT.read_text().split()[0]) if LENT.exists() else USUAL_FIRST
    return range(LOWEST, first if first > LOWEST else 2 * LOWEST)
