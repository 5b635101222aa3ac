"""One picture of both tracks: regret by kind of world, and power at equal false alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.detectors.registry import DETECTORS
from benchmarks.search.detectors.registry import OURS as OUR_TEST
from benchmarks.search.intervals import mean_half_width
from benchmarks.search.peers.registry import OURS, SLOW
from benchmarks.search.track_a import DRIFTS, TrackA
from benchmarks.search.track_b import TrackB

OWN, PALE = "#c1440e", "Greys"


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
        _bars(axes, place, len(policies), policy, values, own=policy == OURS)
    _labels(axes, kinds, "regret of the final model (accuracy; less is better)")
    axes.set_title("8 rounds x 8 trainings, 2 queries of the target a round; bars are 95 % intervals")


def _power(axes: Any, detectors: TrackA) -> None:
    for place, name in enumerate(DETECTORS):
        rates = [detectors.power(kind, name).rate for kind in DRIFTS]
        bars = [(rate.share, (rate.bounds[1] - rate.bounds[0]) / 2) for rate in rates]
        _bars(axes, place, len(DETECTORS), name, bars, own=name == OUR_TEST)
    _labels(axes, list(DRIFTS), "power")
    axes.set_title("Detection on recorded campaigns; thresholds of equal false alarms where no drift is")


def _bars(axes: Any, place: int, count: int, label: str, values: list[tuple[float, float]], *, own: bool) -> None:
    from matplotlib import colormaps  # noqa: PLC0415

    width = 0.85 / count
    at = np.arange(len(values)) + (place - (count - 1) / 2) * width
    mean, half = np.array(values).T
    colour = OWN if own else colormaps[PALE](0.3 + 0.6 * place / count)
    axes.bar(at, mean, width, yerr=np.where(np.isfinite(half), half, 0), label=label, color=colour, ecolor="#777777")


def _labels(axes: Any, kinds: list[str], what: str) -> None:
    axes.set_xticks(np.arange(len(kinds)), kinds)
    axes.set_ylabel(what)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", ncols=3, frameon=False)
