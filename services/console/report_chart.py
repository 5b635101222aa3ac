"""One picture of a campaign: what dev promised, what the target gave, and when the loop noticed the difference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Data = Mapping[str, Any]

COLOURS = {"dev": "#2f6db3", "external": "#d1622b"}
LABELS = {"dev": "dev: the cheap proxy", "external": "external: the target"}
DRIFT, POLICY, FAINT = "#b3263a", "#3c7d4f", "#8a8a8a"


def draw(report: Data, path: Path) -> None:
    """Write `report.png` from the data of `report.json`."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - a second to import, needed here alone

    figure = Figure(figsize=(10.0, 6.6), dpi=140, layout="constrained")
    scores, notes = figure.subplots(2, 1, sharex=True, height_ratios=[4.2, 1.0])
    for kind in ("dev", "external"):
        _points(scores, report, kind)
        _line(scores, report, kind)
    _drifts(scores, notes, report)
    _policies(notes, report)
    _dress(scores, notes, report)
    figure.savefig(path)


def place(round_: int, slot: int, slots: int) -> float:
    """Where a candidate stands on the round axis: slots side by side, centred on their round."""
    return round_ + 0.6 * ((slot + 0.5) / slots - 0.5)


def best_so_far(report: Data, kind: str) -> list[tuple[float, float]]:
    """(round, score) of the base and of the recipe that stood after each round, where it was measured."""
    found = [(0.0, report["base"])] if report["base"][kind] else []
    candidates = {c["candidate"]: c for r in report["rounds"] for c in r["candidates"]}
    for round_ in report["rounds"]:
        standing = candidates.get(round_["policy"]["standing"]) if round_["policy"] else None
        if standing and standing[kind]:
            found.append((float(round_["round"]), standing))
    return [(x, trial[kind]["score"]) for x, trial in found]


def _points(axes: Any, report: Data, kind: str) -> None:
    colour = COLOURS[kind]
    base = report["base"][kind]
    marks = [(0.0, base)] if base else []
    for round_ in report["rounds"]:
        slots = len(round_["candidates"])
        shift = 0.02 if kind == "external" else -0.02  # the two error bars of a candidate stand side by side
        marks += [
            (place(round_["round"], c["slot"], slots) + shift, c[kind]) for c in round_["candidates"] if c[kind]
        ]
    axes.errorbar(
        [x for x, _ in marks],
        [100 * s["score"] for _, s in marks],
        yerr=[100 * s["se"] for _, s in marks],
        fmt="o" if kind == "dev" else "D",
        color=colour,
        markersize=6,
        elinewidth=1.2,
        capsize=2.5,
        label=LABELS[kind],
        zorder=3,
    )


def _line(axes: Any, report: Data, kind: str) -> None:
    steps = best_so_far(report, kind)
    axes.plot([x for x, _ in steps], [100 * y for _, y in steps], color=COLOURS[kind], alpha=0.35, linewidth=2.5, zorder=1)


def _drifts(scores: Any, notes: Any, report: Data) -> None:
    for round_ in report["rounds"]:
        found = [d["assessment"] for d in round_["drift"]["detected"]]
        if found:
            for axes in (scores, notes):
                axes.axvspan(round_["round"] - 0.5, round_["round"] + 0.5, color=DRIFT, alpha=0.08, linewidth=0)
            words = "\n".join(f"{d['scope']}: dev {d['direction']}" for d in found[:3])
            more = f"\n+ {len(found) - 3} more" if len(found) > 3 else ""
            _note(notes, round_["round"], 0.95, f"drift detected\n{words}{more}", DRIFT)
        elif round_["drift"]["cleared"]:
            cleared = ", ".join(d["scope"] for d in round_["drift"]["cleared"])
            _note(notes, round_["round"], 0.95, f"drift cleared\n{cleared}", POLICY)


def _policies(notes: Any, report: Data) -> None:
    standing = "base"
    for round_ in report["rounds"]:
        policy = round_["policy"]
        if not policy:
            continue
        promoted = policy["standing"] != standing
        standing = policy["standing"]
        words = f"{standing} promoted" if promoted else "standing recipe kept"
        _note(notes, round_["round"], 0.30, f"policy v{policy['version']}: {words}\n{policy['mode']}", POLICY)


def _note(axes: Any, x: float, y: float, text: str, colour: str) -> None:
    axes.text(
        x, y, text, color=colour, fontsize=8, ha="center", va="top", transform=axes.get_xaxis_transform(), linespacing=1.25
    )


def _dress(scores: Any, notes: Any, report: Data) -> None:
    rounds = [r["round"] for r in report["rounds"]]
    last = max(rounds, default=1)
    for x in range(last + 1):
        scores.axvline(x + 0.5, color=FAINT, linewidth=0.5, alpha=0.5)
        notes.axvline(x + 0.5, color=FAINT, linewidth=0.5, alpha=0.5)
    scores.set(ylabel="accuracy, %", xlim=(-0.5, last + 0.5))
    scores.set_title(f"Campaign {report['campaign']}: {_verdict(report)}", loc="left", fontsize=11)
    scores.grid(axis="y", alpha=0.3)
    scores.legend(loc="upper left", fontsize=9, frameon=False)
    scores.tick_params(labelbottom=False)
    notes.set(yticks=[], ylim=(0, 1), xticks=range(last + 1), xticklabels=["base", *(f"round {r}" for r in range(1, last + 1))])
    notes.tick_params(length=0)
    for axes in (scores, notes):
        axes.spines[["top", "right"]].set_visible(False)
    notes.spines["left"].set_visible(False)


def _verdict(report: Data) -> str:
    gain = report["gain"]
    if gain is None:
        return "not finished"
    return f"{report['winner']['candidate']} gains {100 * gain['mean']:+.1f} ± {100 * gain['sd']:.1f} points on the final set"
