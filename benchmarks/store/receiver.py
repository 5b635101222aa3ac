"""The parent's side of `benchmarks.store.receive`: a process, and what it has said so far."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Collection
from types import TracebackType
from typing import Self

from services.runtime.settings import Settings

PATIENCE_SECONDS = 60.0
"""For a consumer group to form, and for the last message to come."""

WAKING_SECONDS = 0.2
"""How often a receiver that may not listen yet is sent something."""


class Receiver:
    """A process that receives."""

    def __init__(self, side: str, settings: Settings) -> None:
        self._side, self._environment = side, {**os.environ, **_variables(settings)}
        self.entered: dict[str, int] = {}
        """Key of a message -> when its handler was entered, on `time.monotonic_ns`."""
        self._heard = asyncio.Event()

    async def __aenter__(self) -> Self:
        command = (sys.executable, "-m", "benchmarks.store.receive", self._side)
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*command, env=self._environment, stdin=pipe, stdout=pipe)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening

    async def awake(self, send: Callable[[], Awaitable[object]]) -> None:
        """Send until the first message is received."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.entered:
                await send()
                await asyncio.sleep(WAKING_SECONDS)

    async def received(self, keys: Collection[str]) -> None:
        """Wait until all these messages have come. Raises `TimeoutError`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.entered.keys() >= set(keys):
                self._heard.clear()
                await self._heard.wait()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            key, when = line.decode().split()
            self.entered[key] = int(when)
            self._heard.set()


def _variables(settings: Settings) -> dict[str, str]:
    """The environment that gives a process these settings."""
    return {
        "AEVOLVE_POSTGRES": settings.postgres,
        "AEVOLVE_PASSWORD": settings.secret() or "",
        "AEVOLVE_KAFKA": settings.kafka,
        "AEVOLVE_INCARNATION": settings.incarnation,
        "AEVOLVE_EMBEDDED": str(settings.embedded),
    }
