"""The benchmark of the page runs, whatever its figures are."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

from benchmarks.console.__main__ import RECORDED
from benchmarks.console.log import campaign, log
from eventstore.integrity.chain import Chain


def test_every_figure_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.console", "--quick", "--folder", str(tmp_path), "--out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = {figure["measure"]: figure for figure in json.loads(file.read_text())["figures"]}
    assert list(figures) == [
        "the rounds page",
        "the same, the first time since the start",
        "memory after 102 pages of the log",
        "an append, 200 followers",
    ]
    assert all(min(figure["ours"] + figure["peer"]) > 0 for figure in figures.values())


def test_the_log_holds_the_recorded_campaign_in_its_middle_in_a_right_chain() -> None:
    recorded = list(campaign(RECORDED))
    rows = list(Chain().checked(log(1000, RECORDED)))
    assert len(rows) == 1000 + len(recorded)
    middle = list(islice(rows, 500, 500 + len(recorded)))
    assert [(r.id, r.data) for r in middle] == [(r.id, r.data) for r in recorded]
