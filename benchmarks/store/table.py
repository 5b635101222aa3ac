"""The figures as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.store.figures import Figure

HEADINGS = ("measure", "unit", "ours", "peer", "ratio", "goal", "met", "the peer")

MET = {True: "yes", False: "NO", None: "-"}


def table(figures: Sequence[Figure]) -> str:
    """One line per figure, under headings, in columns."""
    lines = [HEADINGS, *map(_cells, figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def missed(figures: Sequence[Figure]) -> str:
    """Which goals were missed, and why; a line each."""
    lines = [f"missed: {figure.measure}: {figure.held_back}" for figure in figures if figure.met is False]
    return "\n".join(lines) or "all goals are met"


def _cells(figure: Figure) -> tuple[str, ...]:
    ours, peer = (_number(median(side)) for side in (figure.ours, figure.peer))
    result = (f"{figure.ratio:.2f}", figure.goal or "-", MET[figure.met])
    return (figure.measure, figure.unit, ours, peer, *result, figure.against)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
