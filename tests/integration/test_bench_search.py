"""The benchmark of search and drift test runs, whatever its figures are, and refuses what would show nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.search.__main__ import main
from benchmarks.search.peers.registry import POLICIES


def test_the_whole_benchmark_runs(tmp_path):
    out, chart = tmp_path / "new" / "search.json", tmp_path / "search.png"
    command = [sys.executable, "-m", "benchmarks.search", "--quick", "--out", str(out), "--chart", str(chart)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    record_ = json.loads(out.read_text())
    measures = {figure["measure"] for figure in record_["figures"]}
    assert {"false alarms, scaled", "power, region", "delay, region", "regret, onset"} <= measures
    assert {run["policy"] for run in record_["track_b"]} == set(POLICIES)
    assert chart.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seeds", "1"), "--seeds: 1 shows no spread"),
        (("--track", "a", "--chart", "x.png"), "--chart: shows both tracks"),
        (("--kind", "luck"), "--kind: invalid choice: 'luck'"),
    ],
)
def test_what_would_show_nothing_is_refused(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks.search", *arguments])
    with pytest.raises(SystemExit) as refused:
        main()
    assert (refused.value.code, words in capsys.readouterr().err) == (2, True)
