"""The trainer's benchmarks run: every side learns alike, and the accelerator's script works on a processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(*command: object, **settings: str) -> str:
    environment = {**os.environ, **settings}
    called = [sys.executable, "-m", *map(str, command)]
    return subprocess.run(called, check=True, capture_output=True, text=True, timeout=240, env=environment).stdout


def test_every_side_trains_the_same_rows_and_learns_alike(tmp_path: Path) -> None:
    out = tmp_path / "trainer.json"
    run("benchmarks.trainer", "--quick", "--out", out)
    record = json.loads(out.read_text())
    losses = {name: loss for name, (loss,) in record["losses"].items()}
    assert losses["ours"] == pytest.approx(losses["a bare loop of PyTorch"], abs=1e-4)
    assert losses["ours"] == pytest.approx(losses["transformers.Trainer, our batches"], abs=2e-3)
    assert losses["ours"] == pytest.approx(
        losses["TRL's SFTTrainer, our batches"], abs=0.05
    )  # its adapter starts apart
    assert all(figure["ours_median"] > 0 < figure["peer_median"] for figure in record["figures"])


def test_the_accelerators_script_trains_resumes_and_compares_on_a_processor(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    run("benchmarks.trainer.gpu", "--tiny", "--steps", 2, "--out", out)
    found = json.loads(out.read_text())
    assert [record["model"] for record in found] == ["tiny mixture", "tiny dense"]
    assert all(record["resumed_alike"] and record["tokens_per_second"] > 0 for record in found)
    assert all(record["planned_bytes"] > 4 * record["parameters"] for record in found)


def test_without_an_accelerator_the_script_says_that_it_was_not_run() -> None:
    assert run("benchmarks.trainer.gpu", CUDA_VISIBLE_DEVICES="").startswith("not run: no accelerator here")
