"""The content of a campaign's chart, independent of the drawing: candidates by round, drifts, policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Data = Mapping[str, Any]
"""A report's data (`report_data.course`), or a part of it."""


@dataclass(frozen=True)
class DriftNote:
    """The drift findings of a round."""

    round: int
    """The round."""
    texts: tuple[str, ...]
    """Detected and cleared drifts, in words."""
    open: bool
    """Whether a drift is open at its end."""


@dataclass(frozen=True)
class PolicyNote:
    """The policy that ended a round."""

    round: int
    """The round."""
    version: int
    """Its version."""
    words: str
    """Whether another recipe stands."""
    mode: str
    """The search in a word."""


def place(round_: int, slot: int, slots: int) -> float:
    """Where a candidate stands on the round axis: slots side by side, centred on their round."""
    return round_ + 0.6 * ((slot + 0.5) / slots - 0.5)


def standing(report: Data) -> list[tuple[float, Data]]:
    """Where the base stands, each recipe in the order in which it became the standing one, and the winner."""
    steps = [(0.0, report["base"])]
    names = [r["policy"]["standing"] for r in report["rounds"] if r["policy"]]
    names += [report["winner"]["candidate"]] if report["finished"] else []
    where = {trial["candidate"]: (x, trial) for x, trial in trials(report)[1:]}
    return steps + [where[name] for name in dict.fromkeys(names) if name in where]


def trials(report: Data) -> list[tuple[float, Data]]:
    """The base, then each candidate by round and slot, with its place on the axis."""
    places = [(0.0, report["base"])]
    for round_ in report["rounds"]:
        slots = len(round_["candidates"])
        places += [(place(round_["round"], c["slot"], slots), c) for c in round_["candidates"]]
    return places


def drift_notes(report: Data) -> Iterator[DriftNote]:
    """The drift findings of each round."""
    standing: set[str] = set()
    for round_ in report["rounds"]:
        detected = {d["assessment"]["scope"]: d["assessment"]["direction"] for d in round_["drift"]["detected"]}
        cleared = [d["scope"] for d in round_["drift"]["cleared"]]
        standing = (standing | set(detected)) - set(cleared)
        texts = [f"drift: {scope}, dev {direction}" for scope, direction in detected.items()]
        texts += [f"drift cleared: {scope}" for scope in cleared]
        yield DriftNote(round_["round"], tuple(texts), bool(standing))


def policy_notes(report: Data) -> Iterator[PolicyNote]:
    """The policy of each round that has one."""
    before = "base"
    for round_ in report["rounds"]:
        if policy := round_["policy"]:
            words = f"{policy['standing']} promoted" if policy["standing"] != before else "standing recipe kept"
            before = policy["standing"]
            yield PolicyNote(round_["round"], policy["version"], words, policy["mode"])
