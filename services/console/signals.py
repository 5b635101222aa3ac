"""Handles Ctrl-C, SIGTERM and a closed terminal in the same way: the command's work is cancelled and cleans up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal ended the work; `status` is the exit status that says so."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"stopped by {number.name}")
        self.status = 128 + number


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work. Raises `Interrupted`, after the work has cleaned up, if a signal arrived."""
    return asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, T]) -> T:
    received: list[signal.Signals] = []
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def leave(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, leave, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise Interrupted(received[0]) from None
        raise
