"""Something that runs beside a test, for as long as a context lasts."""

import asyncio
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def running(work):
    """The task of a coroutine, cancelled at the end."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
