"""`python -m benchmarks.console.crowd ADDRESS NUMBER`: connections that follow a page's live stream, until stdin ends.

Prints `ready` once all are connected, and at the end how many of them have heard of an event. A process of its own, so
that what it costs to listen is not taken for what it costs to tell.
"""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import urlsplit


async def main(address: str, number: int) -> None:
    """Follow, and tell."""
    notified: set[int] = set()
    connected = [await _connected(address) for _ in range(number)]
    tasks = [asyncio.create_task(_follow(reader, n, notified)) for n, (reader, _) in enumerate(connected)]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(len(notified), flush=True)
    for task in tasks:
        task.cancel()


async def _connected(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """One browser, as little as there is of it: whole ones would need more processors than the page does."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(f"GET /live HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
    await reader.readuntil(b"retry:")
    return reader, writer


async def _follow(reader: asyncio.StreamReader, number: int, notified: set[int]) -> None:
    async for line in reader:
        if line.startswith(b"data:"):
            notified.add(number)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
