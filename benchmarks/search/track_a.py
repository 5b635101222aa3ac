"""Track A: detectors alone, on recorded campaigns that nobody warns.

The shipped test has the threshold of its simulated null. Each other detector gets the threshold at which it alarms as
often as the shipped test does on the benign tuning streams, so power is compared at equal false alarms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.search.alarms import Power, Rate, false_alarms, power, tuned
from benchmarks.search.detectors.registry import DETECTORS, FIXED, OURS
from benchmarks.search.figures import Figure
from benchmarks.search.kept import NOWHERE
from benchmarks.search.kinds import KINDS
from benchmarks.search.plan import Plan
from benchmarks.search.pooled import spread
from benchmarks.search.streams import Stream, record

NULLS = ("benign", "rough", "scaled")
DRIFTS = tuple(name for name, kind in KINDS.items() if kind.drifts)
TUNING, SEEDS = 10_000, 30_000
"""First seed that thresholds are tuned on, and first seed that is reported."""

MOST = {"benign": 0.02, "rough": 0.04, "scaled": 0.03}
"""Goals for the false alarms of a whole campaign."""


@dataclass(frozen=True)
class Sizes:
    """How many streams of each sort."""

    tuning: int = 1000
    """Benign streams for the thresholds of the peers."""
    nulls: int = 2000
    """Streams of each kind without drift."""
    drifts: int = 200
    """Streams of each kind with drift."""
    first: int = SEEDS
    """First seed of both."""


Task = tuple[str, int, Plan]


def recorded(task: Task) -> Stream:
    """One stream."""
    return record(*task)


@dataclass(frozen=True)
class TrackA:
    """All streams, by kind; the tuning streams apart."""

    tuning: Sequence[Stream]
    """Benign streams for thresholds."""
    streams: dict[str, list[Stream]]
    """Reported streams."""
    threshold: float
    """Of the shipped test."""

    @property
    def nulls(self) -> list[str]:
        """The kinds without drift that were recorded."""
        return [kind for kind in NULLS if kind in self.streams]

    @property
    def drifts(self) -> list[str]:
        """The kinds with drift that were recorded."""
        return [kind for kind in DRIFTS if kind in self.streams]

    @cached_property
    def thresholds(self) -> dict[str, float]:
        """Shipped, or tuned to the same number of alarms."""
        fixed = {OURS: self.threshold, **FIXED}
        alarms = false_alarms(self.tuning, OURS, self.threshold).k
        return {name: fixed.get(name) or tuned(self.tuning, name, alarms) for name in DETECTORS}

    def false_alarms(self, kind: str, detector: str) -> Rate:
        """Of one detector in one kind of world without drift."""
        return false_alarms(self.streams[kind], detector, self.thresholds[detector])

    def power(self, kind: str, detector: str) -> Power:
        """Of one detector in one kind of world with drift."""
        return power(self.streams[kind], detector, self.thresholds[detector])

    def figures(self) -> list[Figure]:
        """The goals."""
        alarms = [self._alarm_figure(kind) for kind in self.nulls]
        return [*alarms, *(figure for kind in self.drifts for figure in self._power_figures(kind))]

    def _alarm_figure(self, kind: str) -> Figure:
        rate, peer = self.false_alarms(kind, OURS), self.false_alarms(kind, "Page-Hinkley")
        return Figure(
            measure=f"false alarms, {kind}",
            unit="of campaigns",
            ours=rate.share,
            interval=rate.bounds,
            peer="Page-Hinkley",
            peer_value=peer.share,
            at_most=MOST[kind],
        )

    def _power_figures(self, kind: str) -> list[Figure]:
        ours, peers = self.power(kind, OURS), {n: self.power(kind, n) for n in DETECTORS if n not in (OURS, *FIXED)}
        best = max(peers, key=lambda name: peers[name].rate.share)
        mean, half = ours.delay
        goal = kind == "region"
        return [
            Figure(
                measure=f"power, {kind}",
                unit="of exposed campaigns",
                ours=ours.rate.share,
                interval=ours.rate.bounds,
                peer=best,
                peer_value=peers[best].rate.share,
                at_least=0.70 if goal else None,
            ),
            Figure(
                measure=f"delay, {kind}",
                unit="rounds",
                ours=mean,
                interval=(mean - half, mean + half),
                peer=best,
                peer_value=peers[best].delay[0],
                at_most=2.0 if goal else None,
            ),
        ]


def run(sizes: Sizes, plan: Plan, kinds: Iterable[str] = (*NULLS, *DRIFTS), file: str = NOWHERE) -> TrackA:
    """Record these kinds, over all cores; what is recorded is kept in `file`."""
    tasks = [("benign", seed, plan) for seed in range(TUNING, TUNING + sizes.tuning)]
    for kind in kinds:
        count = sizes.drifts if kind in DRIFTS else sizes.nulls
        tasks += [(kind, seed, plan) for seed in range(sizes.first, sizes.first + count)]
    streams = spread(recorded, tasks, file)
    rest = streams[sizes.tuning :]
    by_kind = {kind: [s for s in rest if s.kind == kind] for kind in kinds}
    return TrackA(streams[: sizes.tuning], by_kind, plan.threshold)
