"""The picture of a campaign: dev against the target by round with error bars; drift and policies on the axis.

Geometry alone: `templates/charts.html` draws it. What it shows is what `report.png` shows (`chart_marks`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.console.report.marks import Data, DriftNote, PolicyNote, drift_notes, policy_notes, standing, trials
from services.console.web.labels import Label, labels
from services.console.web.scale import Scale, around

LEFT, TOP, FLOOR, FOOT = 46, 14, 300, 26
"""Pixels: the scores stand between `TOP` and `FLOOR`, the notes below them."""
ROUND_WIDTH = 210
WHOLE = [0.0, 100.0]
"""Percent that are shown while nothing is measured."""
LINE_HEIGHT = 15
SHIFT = {"dev": -5, "external": 5}
"""The two error bars of a candidate stand side by side."""


@dataclass(frozen=True)
class Mark:
    """One score with its error bar of one standard error."""

    kind: str
    """`dev` or `external`."""
    name: str
    """The candidate."""
    x: float
    y: float
    top: float
    bottom: float
    """Pixels: the bar goes from top to bottom."""


@dataclass(frozen=True)
class Note:
    """A line of words under a round."""

    x: float
    y: float
    words: str
    meaning: str
    """`drift` or `policy`."""


@dataclass(frozen=True)
class RoundsChart:
    """Everything to draw."""

    width: float
    height: float
    ticks: list[tuple[float, str]]
    """Pixel and words of each line of the score axis."""
    rounds: list[tuple[float, str]]
    """Pixel and name of each round; the base before them."""
    shaded: list[tuple[float, float]]
    """Left edge and width of each round in which a drift stands."""
    marks: list[Mark]
    """The scores."""
    labels: list[Label]
    """The names of the candidates that were measured on the target."""
    lines: dict[str, str]
    """Kind -> points of the line through the recipes that stood one after the other."""
    notes: list[Note]
    """Drifts and policies."""
    words: str
    """What the picture shows, for those who do not see it."""


def rounds_chart(report: Data) -> RoundsChart:
    """The picture of a report's data."""
    last = max((r["round"] for r in report["rounds"]), default=1)
    width = LEFT + ROUND_WIDTH * (last + 1)
    x, y = Scale(-0.5, last + 0.5, LEFT, width), around(_ends(report) or WHOLE, FLOOR, TOP)
    drifts, policies = list(drift_notes(report)), list(policy_notes(report))
    notes = [*_drift_words(drifts, x), *_policy_words(policies, drifts, x)]
    marks = list(_marks(report, x, y))
    named = [(mark.name, (mark.x, mark.y)) for mark in marks if mark.kind == "external"]
    return RoundsChart(
        width=width,
        height=max([note.y for note in notes], default=FLOOR + FOOT) + 12,
        ticks=[(y(tick), f"{tick:g}") for tick in y.ticks(8)],
        rounds=[(x(n), f"round {n}" if n else "base") for n in range(last + 1)],
        shaded=[(x(d.round - 0.5), ROUND_WIDTH) for d in drifts if d.open],
        marks=marks,
        labels=labels(named, [(mark.x, mark.y) for mark in marks], (LEFT, 0, width, FLOOR + 8)),
        lines={kind: _line(report, kind, x, y) for kind in SHIFT},
        notes=notes,
        words=_words(report, drifts, policies),
    )


def _ends(report: Data) -> list[float]:
    scores = [trial[kind] for _, trial in trials(report) for kind in SHIFT if trial[kind]]
    return [100 * max(0.0, s["score"] + sign * s["se"]) for s in scores for sign in (-1, 1)]


def _marks(report: Data, x: Scale, y: Scale) -> Iterator[Mark]:
    for place, trial in trials(report):
        for kind, shift in SHIFT.items():
            if s := trial[kind]:
                low, high = 100 * max(0.0, s["score"] - s["se"]), 100 * (s["score"] + s["se"])
                name = trial.get("candidate", "base")
                yield Mark(kind, name, x(place) + shift, y(100 * s["score"]), y(high), y(low))


def _line(report: Data, kind: str, x: Scale, y: Scale) -> str:
    steps = [(place, trial[kind]) for place, trial in standing(report) if trial[kind]]
    return " ".join(f"{x(place) + SHIFT[kind]},{y(100 * s['score'])}" for place, s in steps)


def _drift_words(drifts: Sequence[DriftNote], x: Scale) -> Iterator[Note]:
    for drift in drifts:
        for i, said in enumerate(drift.said):
            yield Note(x(drift.round), FLOOR + FOOT + LINE_HEIGHT * (i + 1), said, "drift")


def _policy_words(policies: Sequence[PolicyNote], drifts: Sequence[DriftNote], x: Scale) -> Iterator[Note]:
    top = FLOOR + FOOT + LINE_HEIGHT * (max((len(d.said) for d in drifts), default=0) + 1)
    for policy in policies:
        for i, said in enumerate((f"policy v{policy.version}: {policy.words}", policy.mode)):
            yield Note(x(policy.round), top + LINE_HEIGHT * (i + 1), said, "policy")


def _words(report: Data, drifts: Sequence[DriftNote], policies: Sequence[PolicyNote]) -> str:
    said = [f"round {d.round}: {', '.join(d.said)}" for d in drifts if d.said]
    said += [f"after round {p.round}: policy v{p.version}, {p.words}, {p.mode}" for p in policies]
    return (
        f"Accuracy in percent of each candidate of {len(report['rounds'])} rounds, with one standard error: dev, the "
        f"cheap proxy, and external, the target. {'; '.join(said)}. The table below holds the same numbers."
    )
