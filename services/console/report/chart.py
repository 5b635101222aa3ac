"""The chart of a campaign: dev scores, target scores, and the rounds in which drift was detected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.console.report.marks import Data, drift_notes, policy_notes, standing, trials

COLOURS = {"dev": "#2f6db3", "external": "#d1622b"}
LABELS = {"dev": "dev: the cheap proxy", "external": "target: what counts"}
STANDS = {"dev": "dev of the standing recipe", "external": "target of the standing recipe"}
SHIFT = {"dev": -0.02, "external": 0.02}
"""Horizontal offsets that keep the two error bars of a candidate apart."""
DRIFT, POLICY, FAINT = "#b3263a", "#3c7d4f", "#8a8a8a"


def draw(report: Data, path: Path) -> None:
    """Write `report.png` from the data of `report.json`."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - a second to import, needed here alone

    figure = Figure(figsize=(10.0, 6.6), dpi=140, layout="constrained")
    scores, notes = figure.subplots(2, 1, sharex=True, height_ratios=[4.2, 1.0])
    for kind in ("dev", "external"):
        _points(scores, report, kind)
        _line(scores, report, kind)
    _names(scores, report)
    _drifts(scores, notes, report)
    _policies(notes, report)
    _dress(scores, notes, report)
    figure.savefig(path)


def _points(axes: Any, report: Data, kind: str) -> None:
    marks = [(x + SHIFT[kind], trial[kind]) for x, trial in trials(report) if trial[kind]]
    axes.errorbar(
        [x for x, _ in marks],
        [100 * s["score"] for _, s in marks],
        yerr=[100 * s["se"] for _, s in marks],
        fmt="o" if kind == "dev" else "D",
        color=COLOURS[kind],
        markersize=6,
        elinewidth=1.2,
        capsize=2.5,
        label=LABELS[kind],
        zorder=3,
    )


def _names(axes: Any, report: Data) -> None:
    """Names the candidates whose target was measured."""
    for x, trial in trials(report)[1:]:
        if trial["external"]:
            at = (x, 100 * trial["external"]["score"])
            name = trial["candidate"]
            axes.annotate(name, at, xytext=(11, -3), textcoords="offset points", fontsize=7.5, color=FAINT)


def _line(axes: Any, report: Data, kind: str) -> None:
    """Through the points of the recipes that stood one after the other."""
    steps = [(x + SHIFT[kind], 100 * trial[kind]["score"]) for x, trial in standing(report) if trial[kind]]
    if steps:
        axes.plot(
            *zip(*steps, strict=True), color=COLOURS[kind], alpha=0.3, linewidth=3.0, zorder=1, label=STANDS[kind]
        )


def _drifts(scores: Any, notes: Any, report: Data) -> None:
    """Shades the rounds with an open drift, and labels each detection and clearing."""
    for note in drift_notes(report):
        if note.open:
            for axes in (scores, notes):
                axes.axvspan(note.round - 0.5, note.round + 0.5, color=DRIFT, alpha=0.07, linewidth=0)
        shown = note.texts if len(note.texts) <= 3 else (*note.texts[:2], f"+ {len(note.texts) - 2} more")
        _note(notes, note.round, 0.97, "\n".join(shown), DRIFT)


def _policies(notes: Any, report: Data) -> None:
    for note in policy_notes(report):
        _note(notes, note.round, 0.32, f"policy v{note.version}: {note.words}\n{note.mode}", POLICY)


def _note(axes: Any, x: float, y: float, text: str, colour: str) -> None:
    axes.text(
        x,
        y,
        text,
        color=colour,
        fontsize=8,
        ha="center",
        va="top",
        transform=axes.get_xaxis_transform(),
        linespacing=1.25,
    )


def _dress(scores: Any, notes: Any, report: Data) -> None:
    rounds = [r["round"] for r in report["rounds"]]
    last = max(rounds, default=1)
    for x in range(last + 1):
        scores.axvline(x + 0.5, color=FAINT, linewidth=0.5, alpha=0.5)
        notes.axvline(x + 0.5, color=FAINT, linewidth=0.5, alpha=0.5)
    scores.set(ylabel="score, %", xlim=(-0.5, last + 0.5))
    scores.set_title(f"Campaign {report['campaign']}: {_verdict(report)}", loc="left", fontsize=11)
    low, high = scores.get_ylim()
    scores.set_ylim(max(low, 0), high + 0.12 * (high - low))  # room for the legend
    scores.grid(axis="y", alpha=0.3)
    scores.legend(loc="upper left", fontsize=8.5, frameon=False, ncols=2)
    scores.tick_params(labelbottom=False)
    notes.set(
        yticks=[],
        ylim=(0, 1),
        xticks=range(last + 1),
        xticklabels=["base", *(f"round {r}" for r in range(1, last + 1))],
    )
    notes.tick_params(length=0)
    for axes in (scores, notes):
        axes.spines[["top", "right"]].set_visible(False)
    notes.spines["left"].set_visible(False)


def _verdict(report: Data) -> str:
    gain = report["gain"]
    if gain is None:
        return "not finished"
    points = f"{100 * gain['mean']:+.1f} ± {100 * gain['sd']:.1f} points"
    return f"{report['winner']['candidate']} gains {points} on the final set"
