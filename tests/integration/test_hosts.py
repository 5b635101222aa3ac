"""A job on two processes, as on two hosts: torchrun starts them, and they learn what one process learns."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from schemas.recipe import Recipe
from services.trainer import lora, ranks
from services.trainer.engine import train
from services.trainer.job import Trained, TrainingJob
from tests.tiny_model import make_model, make_snapshot

RECIPE = {"steps": 6, "batch": 5, "rank": 4, "alpha": 8.0, "dropout": 0.0, "traces": 0.5}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def torchrun(*arguments: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    command += [f"--master-port={free_port()}", "-m", "tests.hosts_for_tests", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def job(tmp_path: Path):
    inputs = {"base": str(make_model(tmp_path / "base")), "snapshot": make_snapshot(tmp_path)}

    def make(name: str) -> TrainingJob:
        places = {"work": str(tmp_path / name / "work"), "out": str(tmp_path / name / "adapter")}
        return TrainingJob(candidate="r1s0", recipe=Recipe(**RECIPE), seed=1, max_length=256, **places, **inputs)

    return make


def together(job: TrainingJob, folder: Path) -> Trained:
    (folder / "job.json").write_text(job.model_dump_json())
    torchrun(str(folder / "job.json"), str(folder / "result.json"))
    return Trained.model_validate_json((folder / "result.json").read_text())


def test_two_processes_learn_what_one_learns(job, tmp_path) -> None:
    alone, both = train(job("alone"), lambda _: None), together(job("both"), tmp_path)
    assert both.loss == pytest.approx(alone.loss, rel=1e-4)
    assert (both.tokens, both.coverage) == (alone.tokens, alone.coverage)
    expected, found = (load_file(Path(result.uri) / lora.WEIGHTS) for result in (alone, both))
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-2, atol=1e-4)


def test_the_others_end_where_there_is_no_job() -> None:
    torchrun("nothing")


def test_each_row_is_learnt_by_one_process() -> None:
    batch = list(range(7))
    shares = [ranks.Ranks(rank, 3).share(batch) for rank in range(3)]
    assert sorted(row for share in shares for row in share) == batch
    assert ranks.Ranks(7, 8).share(batch) == []
