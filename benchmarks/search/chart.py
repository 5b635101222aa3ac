"""One picture of both tracks: regret by kind of world, and power at equal false alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.detectors.registry import DETECTORS
from benchmarks.search.detectors.registry import OURS as OUR_TEST
from benchmarks.search.intervals import mean_half_width
from benchmarks.search.peers.registry import OURS, SLOW
from benchmarks.search.track_a import TrackA
from benchmarks.search.track_b import TrackB

OWN = "#c1440e"
MARKS = "os^vD<>P*X"


def draw(path: Path, detectors: TrackA, loop: TrackB) -> None:
    """Write the picture; the suffix of the path is its format."""
    from matplotlib.figure import Figure  # noqa: PLC0415  matplotlib takes a second to import

    figure = Figure(figsize=(11, 9), layout="constrained")
    above, below = figure.subplots(2, 1)
    _regret(above, loop)
    _power(below, detectors)
    figure.savefig(path, dpi=110)


def _regret(axes: Any, loop: TrackB) -> None:
    kinds, policies = loop.kinds(), [policy for policy in loop.policies() if policy not in SLOW]
    for place, policy in enumerate(policies):
        values = [mean_half_width(loop.regrets(kind, policy)) for kind in kinds]
        bars = [(mean, half, half) for mean, half in values]
        _dots(axes, place, len(policies), policy, bars, own=policy == OURS)
    _labels(axes, kinds, "regret of the final model\n(accuracy, less is better)")
    axes.set_title("8 rounds of 8 trainings and 2 queries of the target; lines are 95 % intervals")


def _power(axes: Any, detectors: TrackA) -> None:
    for place, name in enumerate(DETECTORS):
        rates = [detectors.power(kind, name).rate for kind in detectors.drifts]
        bars = [(rate.share, rate.share - rate.bounds[0], rate.bounds[1] - rate.share) for rate in rates]
        _dots(axes, place, len(DETECTORS), name, bars, own=name == OUR_TEST)
    _labels(axes, detectors.drifts, "share of exposed campaigns\nwith an alarm")
    axes.set_title("Detectors on recorded campaigns")


def _dots(
    axes: Any, place: int, count: int, label: str, values: list[tuple[float, float, float]], *, own: bool
) -> None:
    """A policy or detector in each kind of world: mean, and how far the interval goes below and above."""
    from matplotlib import colormaps  # noqa: PLC0415

    at = np.arange(len(values)) + (place - (count - 1) / 2) * 0.8 / count
    mean, *around = np.array(values).T
    colour = OWN if own else colormaps["viridis"](place / count)
    axes.errorbar(at, mean, yerr=around, fmt=MARKS[place], label=label, color=colour, markersize=5, elinewidth=1)


def _labels(axes: Any, kinds: list[str], what: str) -> None:
    axes.set_xticks(np.arange(len(kinds)), kinds)
    axes.set_ylabel(what)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
