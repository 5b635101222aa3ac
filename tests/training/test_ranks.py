"""A job of two devices: torchrun's two processes learn what one learns, one that dies or hangs is told, all go on."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from eventstore.effect import Effect, Work
from schemas.recipe import Recipe
from services.runtime.jobs.runner import JobFailed, JobRunner
from services.runtime.jobs.worker import Worker
from services.runtime.settings import Settings
from services.trainer.adapter_job import TRAINING
from services.trainer.engine import train
from services.trainer.job import Trained, TrainingJob
from services.trainer.model import lora
from tests.ranks_for_tests import rank_processes, signalled, step_folders, until
from tests.tiny_models import make_model, make_snapshot
from tests.work_for_tests import finished_event, kind, started_event

RECIPE = {"steps": 200, "batch": 5, "rank": 4, "alpha": 8.0, "traces": 0.5, "devices": 2}


@pytest.fixture
def job(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    inputs = {"base": str(make_model(tmp_path / "base")), "snapshot": make_snapshot(tmp_path)}

    def make(name: str, **recipe) -> TrainingJob:
        places = {"work": str(tmp_path / name / "work"), "out": str(tmp_path / name / "adapter"), "copies": "none"}
        chosen = Recipe(**{**RECIPE, **recipe})
        return TrainingJob(
            candidate="r1s0", recipe=chosen, seed=1, max_length=256, rank_seconds=15.0, **places, **inputs
        )

    return make


def quiet(job: TrainingJob) -> Trained:
    return train(job, lambda _: None)


def test_a_sharded_job_outlives_the_death_of_a_rank_and_learns_what_one_process_learns(job) -> None:
    doomed = job("both", sharding="fsdp")
    with ThreadPoolExecutor() as threads:
        failing = threads.submit(quiet, doomed)
        signalled(doomed, 1, signal.SIGKILL, after=lambda: step_folders(doomed))
        with pytest.raises(JobFailed, match=r"rank 1 \(process \d+\) died") as failed:
            failing.result()
    assert failed.value.error == "RankLost"
    assert failed.value.device_seconds > 0
    assert not rank_processes(doomed)
    (kept,) = step_folders(doomed)
    cut = kept.with_name("step-000199.x.part")
    cut.mkdir()
    (cut / "state.pt").write_bytes(b"")
    resumed, alone = quiet(doomed), quiet(job("alone", devices=1))
    assert resumed.resumed_from == int(kept.name.removeprefix("step-"))
    assert resumed.loss == pytest.approx(alone.loss, rel=1e-3)
    assert (resumed.tokens, resumed.coverage) == (alone.tokens, alone.coverage)
    expected, found = (load_file(Path(result.uri) / lora.WEIGHTS) for result in (alone, resumed))
    assert expected.keys() == found.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-2, atol=1e-3)
    base = AutoModelForCausalLM.from_pretrained(doomed.base)
    assert PeftModel.from_pretrained(base, resumed.uri)(torch.tensor([[1, 20, 30]])).logits.isfinite().all()


def written_again(job: TrainingJob) -> Callable[[], bool]:
    """Whether the checkpoint has been written since now."""
    place = Path(job.work) / "checkpoint.pt"

    def version() -> int:
        return place.stat().st_mtime_ns if place.exists() else 0

    before = version()
    return lambda: version() != before


async def test_a_rank_that_dies_and_one_that_hangs_are_charged_and_the_third_try_ends_as_if_undisturbed(
    trainer, queue, job
) -> None:
    doomed = job("doomed", dropout=0.1)
    results: list[Trained] = []

    def finished(_, result: Trained) -> Effect:
        results.append(result)
        return finished_event(queue)

    of = replace(
        kind(queue, "none", doomed),
        function=TRAINING.function,
        permanent=TRAINING.permanent,
        uncharged=TRAINING.uncharged,
        finished=finished,
        pause=lambda _: timedelta(),
    )
    (cause,) = await trainer.append([started_event(queue, 1)])
    await trainer.handle(queue, cause, Effect(work=(Work(queue, queue, queue, {}, attempts=3),)))
    worker = Worker(of, trainer, JobRunner(["services.trainer.engine"]), Settings(), "me")
    undisturbed = asyncio.create_task(asyncio.to_thread(quiet, job("undisturbed", dropout=0.1)))
    for number in (signal.SIGKILL, signal.SIGSTOP):
        stop = asyncio.to_thread(signalled, doomed, 1, number, after=written_again(doomed))
        await asyncio.gather(worker.take(), stop)
        until(lambda: not rank_processes(doomed))
    await worker.take()
    events = [event async for event in trainer.read(campaign=queue)]
    failures = [event.data for event in events if event.type == "TrainingFailed"]
    assert [(data["error"], data["terminal"]) for data in failures] == [("RankLost", False), ("RankHung", False)]
    assert re.match(r"(rank 1|all ranks) hung after step \d+", failures[1]["message"])
    assert all(data["cost"]["seconds"] > 0 and data["cost"]["device_seconds"] > 0 for data in failures)
    (result,), expected = results, await undisturbed
    assert result.resumed_from >= 50
    assert (result.sha256, result.loss) == (expected.sha256, expected.loss)
