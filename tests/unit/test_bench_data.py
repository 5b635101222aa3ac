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
    assert len(record["figures"]) == 15
    for figure in record["figures"]:
        assert figure["ours"] > 0
        assert figure["peer_value"] > 0
        assert f"\n{figure['measure']} " in done.stdout
    assert sum(one["clean"] for one in record["caught"]) == 8
    assert all(0 <= one["caught"] <= one["planted"] for one in record["caught"])
    assert record["packages"]["datatrove"]
