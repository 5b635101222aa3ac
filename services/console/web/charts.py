"""The page's charts: geometry in pixels, which `templates/charts.html` draws as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from audit.narrate import odds
from judgement.history import History
from judgement.trial import Trial
from schemas.events import DriftAssessed
from schemas.evidence import ScopeAssessment
from schemas.scores import Kind
from services.console.report.marks import Data, DriftNote, PolicyNote, drift_notes, policy_notes, standing, trials

Place = tuple[float, float]
"""A point in pixels."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

LETTER, LINE = 6.5, 12
"""Pixels of a letter in width, of a line in height."""
AIR = 5
"""Pixels around the middle of a mark that no name may cover."""
SIDES = tuple((side, rise) for rise in (-5, 13, -17, 25, -29, 37) for side in (8, -8))
"""Offsets of a name from its point: right and left, above, below, and then further away."""


@dataclass(frozen=True)
class Scale:
    """A linear map from values to pixels."""

    low: float
    """Value at `start`."""
    high: float
    """Value at `end`."""
    start: float
    """Pixel of the lowest value."""
    end: float
    """Pixel of the highest."""

    def __call__(self, value: float) -> float:
        """The pixel of a value, to a tenth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int = 5) -> list[float]:
        """About `count` round values within the range: multiples of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        steps = math.floor(self.high / step + 1e-9) - first + 1
        return [round((first + i) * step, 9) for i in range(steps)]


def around(values: list[float], start: float, end: float, floor: float = 0.0) -> Scale:
    """A scale that holds the values with a small margin, and nothing below the floor."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.06 * (high - low) or 1.0
    return Scale(max(floor, low - margin), high + margin, start, end)


@dataclass(frozen=True)
class Label:
    """A name in a chart."""

    name: str
    x: float
    y: float
    left: bool
    """Whether the name ends at x; otherwise it begins there."""

    @property
    def box(self) -> Box:
        """The pixels that it covers."""
        width = LETTER * len(self.name)
        start = self.x - width if self.left else self.x
        return (start, self.y - LINE + 2, start + width, self.y + 2)


def labels(points: Sequence[tuple[str, Place]], marks: Iterable[Place], area: Box) -> list[Label]:
    """A place for each name, clear of the marks and of one another; the first side where no side is free."""
    covered = [(x - AIR, y - AIR, x + AIR, y + AIR) for x, y in marks]
    placed = []
    for name, (x, y) in points:
        sides = [Label(name, round(x + side, 1), round(y + rise, 1), side < 0) for side, rise in SIDES]
        free = (s for s in sides if _within(s.box, area) and not any(overlap(s.box, box) for box in covered))
        placed.append(next(free, sides[0]))
        covered.append(placed[-1].box)
    return placed


def _within(box: Box, area: Box) -> bool:
    return area[0] <= box[0] and area[1] <= box[1] and box[2] <= area[2] and box[3] <= area[3]


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share a pixel."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


# Dev against the target by round, with drifts and policies below the axis.

ROUNDS_LEFT, ROUNDS_TOP, ROUNDS_FLOOR, ROUNDS_FOOT = 46, 14, 300, 26
"""Pixels: scores lie between top and floor, notes below the floor."""
ROUND_WIDTH = 210
FULL_AXIS = [0.0, 100.0]
"""Percent; shown while nothing is measured."""
LINE_HEIGHT = 15
SHIFT = {"dev": -5, "external": 5}
"""Pixels by which the two error bars of a candidate stand apart."""


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
    """A line of text under a round."""

    x: float
    y: float
    text: str
    kind: str
    """`drift` or `policy`."""


@dataclass(frozen=True)
class RoundsChart:
    """The chart of a campaign's rounds."""

    width: float
    height: float
    ticks: list[tuple[float, str]]
    """Pixel and text of each line of the score axis."""
    rounds: list[tuple[float, str]]
    """Pixel and name of each round, the base first."""
    shaded: list[tuple[float, float]]
    """Left edge and width of each round with an open drift."""
    marks: list[Mark]
    """The scores."""
    labels: list[Label]
    """The names of the candidates measured on the target."""
    lines: dict[str, str]
    """Kind -> points of the line through the standing recipes, in order."""
    notes: list[Note]
    """Drifts and policies."""
    description: str
    """The chart in words, for screen readers."""


def rounds_chart(report: Data) -> RoundsChart:
    """The chart of a report's data."""
    last = max((r["round"] for r in report["rounds"]), default=1)
    width = ROUNDS_LEFT + ROUND_WIDTH * (last + 1)
    x, y = Scale(-0.5, last + 0.5, ROUNDS_LEFT, width), around(_ends(report) or FULL_AXIS, ROUNDS_FLOOR, ROUNDS_TOP)
    drifts, policies = list(drift_notes(report)), list(policy_notes(report))
    notes = list(_notes(drifts, policies, x))
    marks = list(_marks(report, x, y))
    on_target = [(mark.name, (mark.x, mark.y)) for mark in marks if mark.kind == "external"]
    return RoundsChart(
        width=width,
        height=max([note.y for note in notes], default=ROUNDS_FLOOR + ROUNDS_FOOT) + 12,
        ticks=[(y(tick), f"{tick:g}") for tick in y.ticks(8)],
        rounds=[(x(n), f"round {n}" if n else "base") for n in range(last + 1)],
        shaded=[(x(d.round - 0.5), ROUND_WIDTH) for d in drifts if d.open],
        marks=marks,
        labels=labels(on_target, [(mark.x, mark.y) for mark in marks], (ROUNDS_LEFT, 0, width, ROUNDS_FLOOR + 8)),
        lines={kind: _line(report, kind, x, y) for kind in SHIFT},
        notes=notes,
        description=_description(report, drifts, policies),
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


def _notes(drifts: Sequence[DriftNote], policies: Sequence[PolicyNote], x: Scale) -> Iterator[Note]:
    top = ROUNDS_FLOOR + ROUNDS_FOOT + LINE_HEIGHT
    for drift in drifts:
        for i, text in enumerate(drift.texts):
            yield Note(x(drift.round), top + LINE_HEIGHT * i, text, "drift")
    top += LINE_HEIGHT * (max((len(d.texts) for d in drifts), default=0) + 1)
    for policy in policies:
        for i, text in enumerate((f"policy v{policy.version}: {policy.words}", policy.mode)):
            yield Note(x(policy.round), top + LINE_HEIGHT * i, text, "policy")


def _description(report: Data, drifts: Sequence[DriftNote], policies: Sequence[PolicyNote]) -> str:
    notes = [f"round {d.round}: {', '.join(d.texts)}" for d in drifts if d.texts]
    notes += [f"after round {p.round}: policy v{p.version}, {p.words}, {p.mode}" for p in policies]
    return (
        f"Accuracy in percent of each candidate of {len(report['rounds'])} rounds on dev and on the target, with one "
        f"standard error. {'; '.join(notes)}. The table below holds the same numbers."
    )


# Dev against the target by domain. Where dev tracks the target, the points lie on one rising line; where dev is
# inflated they move right without rising, where it is blind they rise without moving right.

DOMAIN_WIDTH, DOMAIN_HEIGHT = 320, 240
LEFT, RIGHT, TOP, BOTTOM = 38, 312, 10, 202
"""Pixels of the part of a domain's chart that holds the points."""
LABEL_AREA = (LEFT, 0, DOMAIN_WIDTH, BOTTOM)
ALL = "all"


@dataclass(frozen=True)
class Value:
    """A score, in percent."""

    score: float
    se: float

    @property
    def low(self) -> float:
        """Lower end of its bar; never below zero."""
        return max(0.0, self.score - self.se)

    @property
    def high(self) -> float:
        """Upper end of its bar."""
        return self.score + self.se


@dataclass(frozen=True)
class Point:
    """A candidate's scores in one domain."""

    name: str
    dev: Value
    target: Value


@dataclass(frozen=True)
class Cross:
    """A point with its two error bars, in pixels."""

    name: str
    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True)
class DomainChart:
    """The chart of one domain."""

    scope: str
    """The domain, or `all`."""
    width: int
    height: int
    xticks: list[tuple[float, str]]
    yticks: list[tuple[float, str]]
    crosses: list[Cross]
    """The candidates."""
    labels: list[Label]
    """Their names."""
    points: list[Point]
    """Their numbers."""
    drift: ScopeAssessment | None
    """The drift test's result for the domain."""
    description: str
    """The chart in words, for screen readers."""


def domain_charts(history: History, assessed: DriftAssessed | None) -> list[DomainChart]:
    """A chart for each domain measured on both sets, and one for all domains."""
    both = [t for t in history.trials.values() if {"dev", "external"} <= t.scores.keys()]
    drifts = {scope.scope: scope for scope in assessed.scopes} if assessed else {}
    by_scope = {scope: _points(both, scope) for scope in (*history.campaign.constitution.domains, ALL)}
    return [_domain_chart(scope, points, drifts) for scope, points in by_scope.items() if points]


def _points(trials: Sequence[Trial], scope: str) -> list[Point]:
    values = [(t.candidate, _value(t, "dev", scope), _value(t, "external", scope)) for t in trials]
    return [Point(name, dev, target) for name, dev, target in values if dev and target]


def _value(trial: Trial, kind: Kind, scope: str) -> Value | None:
    scores = trial.scores[kind]
    score = scores if scope == ALL else scores.domains.get(scope)
    return Value(100 * score.score, 100 * score.se) if score else None


def _domain_chart(scope: str, points: list[Point], drifts: Mapping[str, ScopeAssessment]) -> DomainChart:
    x = around([end for p in points for end in (p.dev.low, p.dev.high)], LEFT, RIGHT)
    y = around([end for p in points for end in (p.target.low, p.target.high)], BOTTOM, TOP)
    crosses = [
        Cross(
            name=p.name,
            x=x(p.dev.score),
            y=y(p.target.score),
            left=x(p.dev.low),
            right=x(p.dev.high),
            top=y(p.target.high),
            bottom=y(p.target.low),
        )
        for p in points
    ]
    return DomainChart(
        scope=scope,
        width=DOMAIN_WIDTH,
        height=DOMAIN_HEIGHT,
        xticks=[(x(tick), f"{tick:g}") for tick in x.ticks(4)],
        yticks=[(y(tick), f"{tick:g}") for tick in y.ticks(4)],
        crosses=crosses,
        labels=labels([(c.name, (c.x, c.y)) for c in crosses], [(c.x, c.y) for c in crosses], LABEL_AREA),
        points=points,
        drift=drifts.get(scope),
        description=f"Dev on the x axis and the target on the y axis, in percent: {', '.join(p.name for p in points)}.",
    )


# The drift test's statistic against its threshold.

LOG = Scale(-2, 9, 24, 590)
"""From a hundredth to the cap of a billion."""
TICKS = (-2, 0, 3, 6, 9)


@dataclass(frozen=True)
class Gauge:
    """A bar on a logarithmic axis, in pixels."""

    start: float
    width: float
    threshold: float
    reached: bool
    """Whether the statistic reaches the threshold."""
    ticks: list[tuple[float, str]]
    description: str
    """The same in a sentence."""


def gauge(assessed: DriftAssessed) -> Gauge:
    """The bar of an assessment."""
    factor, threshold = assessed.bayes_factor, assessed.threshold
    return Gauge(
        start=LOG.start,
        width=round(_on_gauge(factor) - LOG.start, 1),
        threshold=_on_gauge(threshold),
        reached=factor >= threshold,
        ticks=[(LOG(tick), f"{10.0**tick:,.0f}" if tick >= 0 else f"{10.0**tick:g}") for tick in TICKS],
        description=f"Bayes factor {odds(factor)}; drift is declared from {odds(threshold)}.",
    )


def _on_gauge(factor: float) -> float:
    return LOG(min(LOG.high, max(LOG.low, math.log10(max(factor, 1e-9)))))
