"""A job on two processes, as on two hosts: torchrun starts them, and they learn what one process learns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from eventstore.effect import Append
from schemas.campaign import Model
from schemas.envelope import candidate_stream, round_stream
from schemas.events import CampaignStarted, RecipeProposed
from schemas.policy import Estimate
from schemas.recipe import Recipe
from services.console.embedded.base_model import substrate
from services.console.embedded.system import clean_environment
from services.policy.app import SERVICE as POLICY
from services.runtime.ports import free_ports
from services.runtime.reactor import Reactor
from services.trainer.app import SERVICE as TRAINER
from services.trainer.batches import Example
from services.trainer.distributed.data_parallel import Ranks
from services.trainer.engine import train
from services.trainer.job import Trained, TrainingJob
from services.trainer.model import lora
from tests.conftest import PASSWORDS, Stores
from tests.tiny_models import make_model, make_snapshot
from tests.unit.loopworld import campaign, data_ready

STANDIN = "tests.hosts_for_tests"
RECIPE = {"steps": 6, "batch": 5, "rank": 4, "alpha": 8.0, "dropout": 0.0, "traces": 0.5}


def torchrun(module: str, *arguments: str, **settings: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    command += [f"--master-port={free_ports(1)[0]}", "-m", module, *arguments]
    environment = {**clean_environment(), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **settings}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def job(tmp_path: Path):
    inputs = {"base": str(make_model(tmp_path / "base")), "snapshot": make_snapshot(tmp_path)}

    def make(name: str) -> TrainingJob:
        places = {"work": str(tmp_path / name / "work"), "out": str(tmp_path / name / "adapter"), "copies": "none"}
        return TrainingJob(candidate="r1s0", recipe=Recipe(**RECIPE), seed=1, max_length=256, **places, **inputs)

    return make


def together(job: TrainingJob, folder: Path) -> Trained:
    (folder / "job.json").write_text(job.model_dump_json())
    torchrun(STANDIN, str(folder / "job.json"), str(folder / "result.json"))
    return Trained.model_validate_json((folder / "result.json").read_text())


def test_two_processes_learn_what_one_learns(job, tmp_path) -> None:
    alone, both = train(job("alone"), lambda _: None), together(job("both"), tmp_path)
    assert both.loss == pytest.approx(alone.loss, rel=1e-4)
    assert (both.tokens, both.coverage) == (alone.tokens, alone.coverage)
    expected, found = (load_file(Path(result.uri) / lora.WEIGHTS) for result in (alone, both))
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-2, atol=1e-4)


def hosts(database: str, folder: Path) -> None:
    """Both processes as they are in a cluster, beside a log."""
    settings = {"postgres": database, "password": PASSWORDS["trainer"], "idle_seconds": "5"}
    places = {"artifacts": str(folder / "artifacts"), "work": str(folder / "work")}
    torchrun(
        "services.trainer.distributed.hosts", **{f"AEVOLVE_{k.upper()}": v for k, v in {**settings, **places}.items()}
    )


async def owe(stores: Stores, job: TrainingJob) -> None:
    """A campaign whose log owes the training of a candidate with this job's recipe, and the queued order."""
    facts, law = substrate(Path(job.base)), campaign()
    law = law.model_copy(update={"model": Model(max_length=job.max_length)})
    start = CampaignStarted(campaign=law, constitution_sha256=law.constitution_sha256, substrate=facts)
    await (await stores("console")).append([Append("w", "w", start, expected=0)])
    assert await Reactor(POLICY, await stores("policy")).catch_up()
    data = data_ready(1).model_copy(update={"snapshot": Path(job.snapshot).stem, "uri": job.snapshot})
    await (await stores("data")).append([Append("w", round_stream("w", 1), data)])
    proposed = RecipeProposed(
        round=1,
        slot=0,
        candidate=job.candidate,
        recipe=job.recipe,
        changes=(),
        intervention="anchor",
        predicted=Estimate(mean=0.0, sd=1.0),
        compute=1.0,
        snapshot=data.snapshot,
        seed=job.seed,
        basis=data.basis,
    )
    await (await stores("recipes")).append([Append("w", candidate_stream("w", job.candidate), proposed)])
    assert await Reactor(TRAINER, await stores("trainer")).catch_up()


async def test_the_first_leases_a_job_and_both_end_with_it(stores, trainer, database, job, tmp_path) -> None:
    await owe(stores, job("owed"))
    hosts(database, tmp_path)
    (event,) = [event async for event in trainer.read(types=["CheckpointTrained"])]
    alone = train(job("alone"), lambda _: None)
    assert event.data["loss"] == pytest.approx(alone.loss, rel=1e-4)


async def test_all_end_where_no_job_comes(database, tmp_path) -> None:
    hosts(database, tmp_path)


def test_each_row_is_learnt_by_one_process() -> None:
    batch = [Example((token,), ((0, 1),), 0) for token in range(7)]
    shares = [Ranks(rank, 3).share(batch) for rank in range(3)]
    assert sorted(row.tokens for share in shares for row in share) == [row.tokens for row in batch]
    assert Ranks(7, 8).share(batch) == []
