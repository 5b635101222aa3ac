"""Two ways to wait: for whichever of several works ends first, and for a step that must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first(*works: Coroutine[Any, Any, T]) -> T:
    """The result of the work that ends first, or its exception; the others are cancelled and waited for."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return next(task for task in tasks if task in ended).result()


async def uninterrupted(step: Callable[[], T]) -> T:
    """The result of a blocking step, run in a thread; a cancellation takes effect after the step."""
    running = asyncio.create_task(asyncio.to_thread(step))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
