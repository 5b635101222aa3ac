"""Writes the report of a campaign: `report.json` for programs, `report.md` for people, `report.png` for one look.

Beside it lies `log.jsonl`, the events that it was made of, so that a report can be checked without the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from judgement.history import fold
from schemas.envelope import Envelope
from services.console.report import chart as report_chart
from services.console.report import data as report_data
from services.console.report import text as report_text


def write(folder: Path, campaign: str, envelopes: Sequence[Envelope], clock: Callable[[], report_data.Clock]) -> None:
    """Write the files from the campaign's events, in log order; the clock is read last, after the drawing."""
    folder.mkdir(parents=True, exist_ok=True)
    report = report_data.build(fold(campaign, envelopes), envelopes, clock())
    report_chart.draw(report, folder / "report.png")
    report["seconds"] = report_data.times(envelopes, clock())
    (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    (folder / "log.jsonl").write_text("".join(f"{envelope.model_dump_json()}\n" for envelope in envelopes))
    (folder / "report.md").write_text(report_text.markdown(report))
