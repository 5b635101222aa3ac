"""The benchmark of the data pipeline runs and says what was measured, whatever its figures are."""

import json
import subprocess
import sys


def test_every_figure_is_measured(tmp_path):
    file = tmp_path / "new" / "data.json"
    command = [sys.executable, "-m", "benchmarks.data", "--quick", "--out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(file.read_text())
    figures = [*record["speed"]["figures"], *record["memory"]["figures"]]
    assert len(figures) == 16
    for figure in figures:
        assert figure["ours"] > 0
        assert figure["peer_value"] > 0
        assert f"\n{figure['measure']} " in done.stdout
    found = record["caught"]["caught"]
    assert sum(one["clean"] for one in found) == 8
    assert all(0 <= one["caught"] <= one["planted"] for one in found)
    assert all(part["packages"]["datatrove"] for part in record.values())
    again = subprocess.run([*command, "--only", "memory"], capture_output=True, text=True, timeout=280, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert json.loads(file.read_text())["caught"] == record["caught"]
