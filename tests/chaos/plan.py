"""What is going to be broken, and when: a list that follows from the seed alone.

Every kind occurs in its share, in an order and at targets that are drawn; so two runs of one seed break the same things
in the same order, though not in the same millisecond.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.cluster import SERVICES

PROCESSES = (*SERVICES, "trainer2")
"""Two trainers, so that there is somebody to take over what one of them holds."""

WITH_DEADLINES = ("data", "trainer", "oracle", "policy")
NODES = ("1", "2", "3")
ANYWHERE: Mapping[str, tuple[int, Sequence[str]]] = {
    "kill a service": (14, PROCESSES),
    "kill the relay's leader": (8, ("",)),
    "kill a job": (12, ("",)),
    "freeze a worker beyond its lease": (6, ("",)),
    "restart the database": (6, ("",)),
    "crash the database": (6, ("",)),
    "end all database sessions": (12, ("",)),
    "repeat messages": (16, ("",)),
    "fill the disk": (6, ("",)),
    "put a clock ahead": (6, WITH_DEADLINES),
    "put a clock back": (4, WITH_DEADLINES),
}
"""Kind -> its share, and what it may strike."""

EMBEDDED = {"stall the broker": (8, ("",)), "wipe the broker": (5, ("",))}
KAFKA = {
    "kill a broker": (9, NODES),
    "stall a broker": (6, NODES),
    "cut the wire to a broker": (8, NODES),
    "delay a broker's messages": (6, NODES),
}

LONGEST_PAUSE = 1.6
"""Seconds from the end of a fault to the next; a service needs about two to come up again, so faults overlap."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    target: str
    """Process or node; empty where there is only one, or where it is whichever trainer works."""
    pause: float
    """Seconds before the next."""

    def __str__(self) -> str:
        return f"{self.kind}{f' ({self.target})' if self.target else ''}, then {self.pause} s"


def plan(seed: int, number: int, *, embedded: bool) -> list[Fault]:
    """So many faults, each kind in its share and at least once."""
    rng = random.Random(f"{seed} {number} {embedded}")
    shares = {**ANYWHERE, **(EMBEDDED if embedded else KAFKA)}
    total = sum(share for share, _ in shares.values())
    kinds = [kind for kind, (share, _) in shares.items() for _ in range(max(1, round(share * number / total)))]
    rest = rng.choices(list(shares), [share for share, _ in shares.values()], k=max(0, number - len(kinds)))
    kinds = [*kinds, *rest]
    rng.shuffle(kinds)
    return [_fault(rng, kind, shares[kind][1]) for kind in kinds]


def _fault(rng: random.Random, kind: str, targets: Sequence[str]) -> Fault:
    return Fault(kind, rng.choice(targets), round(rng.uniform(0.1, LONGEST_PAUSE), 2))
