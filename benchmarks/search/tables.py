"""The tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.search.alarms import Rate, tuned
from benchmarks.search.detectors.registry import DETECTORS
from benchmarks.search.detectors.registry import OURS as OUR_TEST
from benchmarks.search.figures import Figure
from benchmarks.search.intervals import mean_half_width
from benchmarks.search.peers.registry import OURS
from benchmarks.search.track_a import TrackA
from benchmarks.search.track_b import MAIN, OTHERS, TrackB

MET = {True: "yes", False: "NO", None: "-"}


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, aligned."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def goals(figures: Sequence[Figure]) -> str:
    """Ours beside the best peer, with the goal."""
    head = ("measure", "unit", "ours", "95 %", "peer", "the peer's", "peer - ours", "goal", "met")
    return columns([head, *map(_goal, figures)])


def _goal(figure: Figure) -> tuple[str, ...]:
    low, high = figure.interval
    interval = f"{_number(low)} to {_number(high)}"
    ahead = _spread(figure.ahead) if figure.ahead else "-"
    values = (_number(figure.ours), interval, figure.peer, _number(figure.peer_value), ahead)
    return (figure.measure, figure.unit, *values, figure.goal or "-", MET[figure.met])


def missed(figures: Sequence[Figure]) -> str:
    """A line for each goal that was missed."""
    lines = [f"missed: {f.measure}: {_number(f.ours)}, goal {f.goal}" for f in figures if f.met is False]
    return "\n".join(lines) or "all goals are met"


def false_alarms(track: TrackA) -> str:
    """Share of campaigns with an alarm where nothing drifts, with the exact 95 % bound."""
    head = ("detector", "threshold", *track.nulls)
    return columns([head, *((n, f"{track.thresholds[n]:.4g}", *_alarms(track, n)) for n in DETECTORS)])


def _alarms(track: TrackA, detector: str) -> list[str]:
    return [_rate(track.false_alarms(kind, detector)) for kind in track.nulls]


def calibration(track: TrackA) -> str:
    """The thresholds of the shipped test at which so many of the benign tuning streams would alarm."""
    shares = [share for share in (0.005, 0.01, 0.02, 0.05) if share * len(track.tuning) >= 1]
    thresholds = [(share, tuned(track.tuning, OUR_TEST, int(share * len(track.tuning)))) for share in shares]
    return "; ".join(f"{share:.1%} at {threshold:.3g}" for share, threshold in thresholds) or "too few streams"


def detection(track: TrackA) -> str:
    """Power / mean delay in rounds at those thresholds, and the right domain named, by kind."""
    head = ("power / delay", *track.drifts)
    named = ("right domain named", *(_share(track.power(kind, OUR_TEST).named) for kind in track.drifts))
    early = ("early alarms", *(_share(track.power(kind, OUR_TEST).early) for kind in track.drifts))
    return columns([head, *((name, *_powers(track, name)) for name in DETECTORS), named, early])


def _powers(track: TrackA, detector: str) -> list[str]:
    powers = [track.power(kind, detector) for kind in track.drifts]
    return [f"{_share(power.rate)} / {_number(power.delay[0], 1)}" for power in powers]


def regrets(track: TrackB, setting: str = MAIN) -> str:
    """Mean regret of each policy in each kind of world, with half its 95 % interval."""
    kinds = track.kinds(setting)
    rows = [(policy, *_cells(track, setting, policy, kinds)) for policy in track.policies(setting)]
    return columns([(f"regret, {setting}", *kinds), *rows])


def _cells(track: TrackB, setting: str, policy: str, kinds: Sequence[str]) -> list[str]:
    played = [(setting, kind, policy) in track.outcomes for kind in kinds]
    return [
        _spread(mean_half_width(track.regrets(k, policy, setting))) if p else "-"
        for k, p in zip(kinds, played, strict=True)
    ]


def gains(track: TrackB, setting: str = MAIN) -> str:
    """Regret of each peer less ours on the same seeds, with half its 95 % interval: above zero is ours ahead."""
    kinds, peers = track.kinds(setting), [policy for policy in track.policies(setting) if policy != OURS]
    rows = [
        (
            peer,
            *(_spread(track.ahead(k, peer, setting)) if (setting, k, peer) in track.outcomes else "-" for k in kinds),
        )
        for peer in peers
    ]
    return columns([(f"peer - ours, {setting}", *kinds), *rows])


def in_the_loop(track: TrackB) -> str:
    """Alarms of the shipped policy while it searches, and what misleads about the final model of each policy."""
    kinds = track.kinds()
    alarms = ("alarms of ours", *(_share(track.alarms(kind)) for kind in kinds))
    parts = {p: [track.outcomes.get((MAIN, kind, p)) for kind in kinds] for p in track.policies()}
    rows = [(policy, *(_misleading(runs) for runs in by_kind)) for policy, by_kind in parts.items()]
    return columns([("misleading part of the final model", *kinds), *rows, alarms])


def _misleading(runs: Sequence[object] | None) -> str:
    return _number(mean_half_width([run.misleading for run in runs])[0]) if runs else "-"  # type: ignore[attr-defined]


def whole(track: TrackB) -> str:
    """All tables of the closed loop."""
    settings = [s for s in (MAIN, *OTHERS) if track.kinds(s)]
    parts = [table(track, setting) for setting in settings for table in (regrets, gains)]
    return "\n\n".join([*parts, in_the_loop(track)])


def _rate(rate: Rate) -> str:
    low, high = rate.bounds
    return f"{rate.share:.4f} ({low:.4f}-{high:.4f})" if rate.n else "-"


def _share(rate: Rate) -> str:
    return f"{rate.share:.2f} ({rate.k}/{rate.n})" if rate.n else "-"


def _spread(value: tuple[float, float]) -> str:
    mean, half = value
    return f"{mean:.4f}" if math.isinf(half) else f"{mean:.4f}±{half:.4f}"


def _number(value: float, digits: int = 4) -> str:
    return "-" if math.isnan(value) or math.isinf(value) else f"{value:.{digits}f}"
