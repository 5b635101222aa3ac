"""From just before an append to the entry of a handler in another process, at a steady rate.

Ours is the real path: append, relay and producer in this process, as in a service, and the subscriber of
`services.runtime.kafka.broker` in another. The peer is the least that does the same: an insert, a produce, and a fetch
in another process. `time.monotonic_ns` is one clock for all processes of a machine.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial

import numpy as np

from benchmarks.store import senders
from benchmarks.store.broker import kind, running
from benchmarks.store.figures import Figure, interleaved
from benchmarks.store.receiver import Receiver
from benchmarks.store.scratch import Scratch
from benchmarks.store.senders import Send

PER_SECOND = 50
EVENTS = 300
"""Of a repetition."""

GOALS = {50: 1.5, 99: 3.0}
"""Percentile -> the goal for its ratio."""


async def measure(scratch: Scratch) -> list[Figure]:
    """Both figures, from the same events."""
    with running(scratch.folder, await scratch.log(), quick=scratch.quick) as settings:
        async with AsyncExitStack() as opened:
            enter = opened.enter_async_context
            ways = [
                (await enter(senders.ours(settings)), await enter(Receiver("ours", settings))),
                (await enter(senders.plain(settings, await scratch.empty())), await enter(Receiver("plain", settings))),
            ]
            for send, receiver in ways:
                await receiver.awake(send)
            runs = [partial(_repetition, *way, scratch.number(EVENTS)) for way in ways]
            ours, peer = await interleaved(scratch.repetitions, *runs)
    against = f"an insert, then a produce and a fetch by aiokafka ({kind(quick=scratch.quick)} broker)"
    held_back = "a notification and a read of the log lie in between. Next: the relay publishes what it is notified of"
    return [
        Figure(f"append to handler, p{at}", "ms", *both, against, at_most=goal, held_back=held_back)
        for at, goal in GOALS.items()
        for both in [(_percentile(at, ours), _percentile(at, peer))]
    ]


async def _repetition(send: Send, receiver: Receiver, events: int) -> list[float]:
    """How long each event took, in ms."""
    began = await _steadily(send, events)
    await receiver.received(began)
    return [(receiver.entered[key] - start) / 1e6 for key, start in began.items()]


async def _steadily(send: Send, events: int) -> dict[str, int]:
    """Send at the rate, however long each takes; key -> when it began, on `time.monotonic_ns`."""

    async def one(at: float) -> tuple[str, int]:
        await asyncio.sleep(at - time.monotonic())
        start = time.monotonic_ns()
        return await send(), start

    begin = time.monotonic()
    return dict(await asyncio.gather(*(one(begin + number / PER_SECOND) for number in range(events))))


def _percentile(at: int, repetitions: list[list[float]]) -> list[float]:
    return [float(np.percentile(latencies, at)) for latencies in repetitions]
