"""TRL's methods on two processes: each has its share of the answers or pairs, and both learn one adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.rows import Row
from tests.trained import make_inputs, make_job, quiet, write_rows

ROMAN: dict[str, Any] = {"mix": {"units": 0.0}, "traces": 0.0}
REWARDS: dict[str, Any] = {"method": "grpo", "steps": 3, "batch": 8, "group": 4, **ROMAN}
REWARDS |= {"schedule": "constant", "lr": 4e-3}


def test_two_processes_sample_and_learn_together(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, width=64, rows=16)
    taught = quiet(make_job(tmp_path / "sft", inputs, adapter="full", steps=30, batch=32, lr=5e-3, **ROMAN))
    begun = {**inputs, "base": taught.uri}  # some of its answers are right, which random weights' are not
    both, again = (quiet(make_job(tmp_path / name, begun, **REWARDS, devices=2)) for name in ("both", "again"))
    assert both.coverage.moved == 14
    assert both.tokens > 0
    assert both.sha256 == again.sha256


def test_two_processes_learn_the_same_from_pairs_as_one(tmp_path: Path) -> None:
    rows = [Row("d", 0, 0, f"{at}?", "", f"{at} z", f"{at}", rejected=f"{at} a") for at in range(48)]
    inputs = {**make_inputs(tmp_path), "snapshot": write_rows(tmp_path / "rows.parquet", rows)}
    recipe: dict[str, Any] = {"method": "dpo", "steps": 4, "batch": 8, "lr": 5e-3, "traces": 0.0}
    one, both = (quiet(make_job(tmp_path / str(n), inputs, **recipe, devices=n)) for n in (1, 2))
    assert both.coverage.moved == 14
    assert both.tokens == one.tokens
    assert both.loss == pytest.approx(one.loss, rel=1e-3)
