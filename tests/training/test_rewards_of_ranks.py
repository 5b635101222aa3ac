"""Reinforcement on two processes: each samples its share of the answers, and both learn one adapter."""

from __future__ import annotations

from pathlib import Path

from tests.trained import make_inputs, make_job, quiet

ROMAN = {"mix": {"units": 0.0}, "traces": 0.0}
REWARDS = {"method": "grpo", "steps": 3, "batch": 8, "group": 4, "schedule": "constant", "lr": 4e-3, **ROMAN}


def test_two_processes_sample_and_learn_together(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, width=64, rows=16)
    taught = quiet(make_job(tmp_path / "sft", inputs, adapter="full", steps=30, batch=32, lr=5e-3, **ROMAN))
    begun = {**inputs, "base": taught.uri}  # some of its answers are right, which random weights' are not
    both, again = (quiet(make_job(tmp_path / name, begun, **REWARDS, devices=2)) for name in ("both", "again"))
    assert both.coverage.moved == 14
    assert both.tokens > 0
    assert both.sha256 == again.sha256
