"""A training process that is killed goes on in another process and ends with the adapter of an undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.recipe import Recipe
from services.runtime.storage.model_folders import OFFLINE
from services.trainer.job import Trained, TrainingJob
from tests.tiny_models import make_model, make_snapshot
from tests.trained import make_inputs, make_job, quiet

SCRIPT = """
import sys
from services.trainer import checkpoint
from services.trainer.engine import train
from services.trainer.job import TrainingJob
checkpoint.EVERY = 5
job = TrainingJob.model_validate_json(sys.argv[1])
if job.recipe.method == "grpo":
    from services.trainer.methods import grpo
    grpo.EVERY = 5
trained = train(job, lambda progress: print(progress["step"], flush=True))
print(trained.model_dump_json(), flush=True)
"""


@pytest.fixture
def job(tmp_path):
    base, snapshot = str(make_model(tmp_path / "base")), make_snapshot(tmp_path)

    def make(name: str) -> TrainingJob:
        recipe = Recipe(steps=200, batch=8, dropout=0.1, traces=0.5, checkpoint="average")
        places = {"work": str(tmp_path / name / "work"), "out": str(tmp_path / name / "adapter"), "copies": "none"}
        return TrainingJob(
            candidate="r1s0", recipe=recipe, base=base, snapshot=snapshot, seed=3, max_length=256, **places
        )

    return make


def start(job: TrainingJob, hash_seed: str) -> subprocess.Popen[str]:
    """A fresh interpreter with another order of its sets, as every machine has."""
    environment = {**os.environ, **OFFLINE, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", SCRIPT, job.model_dump_json()]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=environment)


def finish(process: subprocess.Popen[str]) -> Trained:
    out, _ = process.communicate()
    assert process.returncode == 0
    return Trained.model_validate_json(out.splitlines()[-1])


def test_a_killed_process_costs_nothing_but_the_steps_since_its_checkpoint(job) -> None:
    undisturbed = finish(start(job("a"), hash_seed="1"))
    doomed = start(job("b"), hash_seed="2")
    assert doomed.stdout
    checkpoint = Path(job("b").work) / "checkpoint.pt"
    while not checkpoint.exists():
        assert doomed.stdout.readline(), "the job ended before it wrote a checkpoint"
    doomed.send_signal(signal.SIGKILL)
    assert doomed.wait() == -signal.SIGKILL
    assert not Path(job("b").out).exists()
    resumed = finish(start(job("b"), hash_seed="3"))
    assert resumed.resumed_from >= 5
    assert resumed.sha256 == undisturbed.sha256
    assert (resumed.loss, resumed.tokens) == (undisturbed.loss, undisturbed.tokens)
    assert not checkpoint.exists()


def test_a_job_that_learns_from_rewards_goes_on_with_the_same_answers(tmp_path) -> None:
    inputs = make_inputs(tmp_path, rows=16)
    mix: dict[str, Any] = {"mix": {"units": 0.0}, "traces": 0.0}
    taught = quiet(make_job(tmp_path / "taught", inputs, adapter="full", steps=40, batch=32, lr=5e-3, **mix))
    knobs: dict[str, Any] = {"method": "grpo", "steps": 20, "batch": 16, "group": 8, "checkpoint": "average", **mix}

    def job(name: str) -> TrainingJob:
        return make_job(tmp_path / name, {**inputs, "base": taught.uri}, **knobs)

    undisturbed = quiet(job("a"))
    doomed, place = start(job("b"), hash_seed="2"), Path(job("b").work) / "grpo"
    assert doomed.stdout
    while not list(place.glob("checkpoint-*/aevolve.pt")):
        assert doomed.stdout.readline(), "the job ended before it wrote a checkpoint"
    doomed.send_signal(signal.SIGKILL)
    assert doomed.wait() == -signal.SIGKILL
    resumed = finish(start(job("b"), hash_seed="3"))
    assert resumed.resumed_from >= 5
    same = ("sha256", "loss", "reward", "tokens")
    assert [getattr(resumed, name) for name in same] == [getattr(undisturbed, name) for name in same]
