"""The benchmark of the oracle runs, whatever its figures are, and all of its ways give the same answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_every_figure_is_measured_and_no_answer_differs(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.oracle", "--quick", "--folder", str(tmp_path), "--out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(file.read_text())
    assert [figure["measure"] for figure in record["figures"]] == [
        f"{name}: {measure}"
        for name in ("demo", "wide")
        for measure in ("measuring 2 adapters", "measuring an adapter", "one batch of all adapters")
    ]
    assert all(min(figure["ours"] + figure["peer"]) > 0 for figure in record["figures"])
    alike = {"of": 24, "hf": 0, "generate": 0, "one batch": 0}
    assert record["answers"] == {"demo": alike, "wide": alike}
