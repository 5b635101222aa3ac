"""The evidence by domain: for each, how far dev and the target of the measured candidates lie apart.

Where dev tracks the target, the points lie on one rising line; where it is inflated they go right without going up,
where it is blind they go up without going right. Geometry alone: `templates/charts.html` draws it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judgement.history import History
from judgement.trial import Trial
from schemas.events import DriftAssessed
from schemas.evidence import ScopeAssessment
from schemas.scores import Kind
from services.console.web.labels import Label, labels
from services.console.web.scale import Scale, around

WIDTH, HEIGHT = 320, 240
LEFT, RIGHT, TOP, BOTTOM = 38, 312, 10, 202
"""Pixels of one picture, and of the part with the points."""
AREA = (LEFT, 0, WIDTH, BOTTOM)
"""Where names may stand."""
ALL = "all"


@dataclass(frozen=True)
class Value:
    """A score, in percent."""

    score: float
    se: float

    @property
    def low(self) -> float:
        """Where its bar begins: no share is below zero."""
        return max(0.0, self.score - self.se)

    @property
    def high(self) -> float:
        """Where its bar ends."""
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
    """One domain's picture."""

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
    """The numbers behind them."""
    found: ScopeAssessment | None
    """What the drift test says of the domain."""
    words: str
    """What the picture shows, for those who do not see it."""


def domain_charts(history: History, assessed: DriftAssessed | None) -> list[DomainChart]:
    """A picture for each domain that was measured on both sets, as far as the history goes, and one for all."""
    both = [t for t in history.trials.values() if {"dev", "external"} <= t.scores.keys()]
    found = {scope.scope: scope for scope in assessed.scopes} if assessed else {}
    drawn = [(scope, _points(both, scope)) for scope in (*history.campaign.constitution.domains, ALL)]
    return [_chart(scope, points, found) for scope, points in drawn if points]


def _points(trials: Sequence[Trial], scope: str) -> list[Point]:
    values = [(t.candidate, _value(t, "dev", scope), _value(t, "external", scope)) for t in trials]
    return [Point(name, dev, target) for name, dev, target in values if dev and target]


def _value(trial: Trial, kind: Kind, scope: str) -> Value | None:
    scores = trial.scores[kind]
    held = scores if scope == ALL else scores.domains.get(scope)
    return Value(100 * held.score, 100 * held.se) if held else None


def _chart(scope: str, points: list[Point], found: Mapping[str, ScopeAssessment]) -> DomainChart:
    x = around([end for p in points for end in (p.dev.low, p.dev.high)], LEFT, RIGHT)
    y = around([end for p in points for end in (p.target.low, p.target.high)], BOTTOM, TOP)
    crosses = [_cross(point, x, y) for point in points]
    middles = [(cross.x, cross.y) for cross in crosses]
    return DomainChart(
        scope=scope,
        width=WIDTH,
        height=HEIGHT,
        xticks=[(x(tick), f"{tick:g}") for tick in x.ticks(4)],
        yticks=[(y(tick), f"{tick:g}") for tick in y.ticks(4)],
        crosses=crosses,
        labels=labels([(cross.name, at) for cross, at in zip(crosses, middles, strict=True)], middles, AREA),
        points=points,
        found=found.get(scope),
        words=f"Dev to the right, the target upwards, in percent, for {', '.join(p.name for p in points)}.",
    )


def _cross(point: Point, x: Scale, y: Scale) -> Cross:
    dev, target = point.dev, point.target
    return Cross(
        name=point.name,
        x=x(dev.score),
        y=y(target.score),
        left=x(dev.low),
        right=x(dev.high),
        top=y(target.high),
        bottom=y(target.low),
    )
