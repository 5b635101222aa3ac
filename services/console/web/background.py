"""Work that takes seconds, done beside the loop: pages are served while a decision is taken again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_THREAD = ThreadPoolExecutor(1, "recompute")
"""One at a time: however many ask, one core stays for the pages."""


async def aside(work: Callable[[], T]) -> T:
    """The result of work, once its turn has come."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)
