"""The JSON file: the rows of the tables, the regret of every campaign, and what they were measured on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.search.detectors.registry import DETECTORS
from benchmarks.search.figures import Figure
from benchmarks.search.track_a import TrackA
from benchmarks.search.track_b import TrackB
from benchmarks.search.world import VERSION, fingerprint
from benchmarks.store.machine import machine

PACKAGES = ("aevolve", "numpy", "scipy", "optuna", "river")


def about() -> dict[str, Any]:
    """The machine, the versions, the commit and the worlds."""
    return {
        **machine(PACKAGES),
        "world": VERSION,
        "fingerprint": fingerprint(),
    }


def detectors(track: TrackA) -> dict[str, Any]:
    """Thresholds, false alarms and power, as counts."""
    alarms = {k: {d: vars(track.false_alarms(k, d)) for d in DETECTORS} for k in track.nulls}
    power = {k: {d: _power(track, k, d) for d in DETECTORS} for k in track.drifts}
    return {"thresholds": track.thresholds, "false_alarms": alarms, "power": power}


def _power(track: TrackA, kind: str, detector: str) -> dict[str, Any]:
    power = track.power(kind, detector)
    rates = {name: vars(getattr(power, name)) for name in ("rate", "early", "named")}
    return {**rates, "delay": power.delay[0]}


def campaigns(track: TrackB) -> list[dict[str, Any]]:
    """The regret of every campaign, to recompute any interval from."""
    return [
        {"setting": setting, "kind": kind, "policy": policy, "regret": [round(run.regret, 5) for run in runs]}
        for (setting, kind, policy), runs in track.outcomes.items()
    ]


def write(path: Path, record: dict[str, Any], figures: Sequence[Figure]) -> None:
    """One file for both tracks; what does not exist is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"figures": [figure.record() for figure in figures]}
    path.write_text(json.dumps(_plain({**record, **rows}), indent=1) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """JSON has no infinity and nothing that is not a number."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
