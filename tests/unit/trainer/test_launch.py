"""What a job of several processes makes of what it hears from them: which end is a cause, and which a consequence."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schemas.recipe import Recipe
from services.runtime.jobs.runner import JobFailed
from services.trainer import checkpoint
from services.trainer.batches import Example
from services.trainer.distributed import launch
from services.trainer.distributed.data_parallel import READY_SECONDS, Ranks
from services.trainer.distributed.fsdp import Sharded
from services.trainer.job import TrainingJob

JOB = TrainingJob(
    candidate="c", recipe=Recipe(devices=2), base="b", snapshot="s", seed=1, max_length=8, work="w", out="o", copies="k"
)


@dataclass
class Torchrun:
    """Ends when it is told to."""

    returncode: int | None = None
    asked: list[str] = field(default_factory=list)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, seconds: float) -> None:
        self.asked.append("wait")

    def kill(self) -> None:
        self.asked.append("kill")


@pytest.fixture
def heard(monkeypatch):
    """The listener of two ranks, and their ends of the lines; the processes have no ids, so none is killed."""
    monkeypatch.setattr(launch, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(launch, "LAST_WORDS_SECONDS", 0.2)
    reports: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{folder}/line")
        door.listen()
        listener = launch.Ranks(JOB, reports.append, door, cast("subprocess.Popen[bytes]", Torchrun()))
        ends: list[Connection] = []
        for rank in range(2):
            here, there = Pipe()
            listener.lines.append(launch.Line(here, rank))
            ends.append(there)
        yield listener, ends, reports


def test_the_first_ends_with_the_result_and_its_progress_is_told(heard) -> None:
    listener, (first, second), reports = heard
    result = "the adapter"
    second.send(("done", None))
    second.close()
    for message in (("step",), ("report", {"step": 1, "steps": 1}), ("done", result)):
        first.send(message)
    assert listener.listen() == result
    assert reports == [{"step": 1, "steps": 1}]


def test_a_ranks_own_failure_ends_the_job_under_its_class(heard) -> None:
    listener, (_, second), _ = heard
    second.send(("failed", "OutOfMemory", "lower it"))
    with pytest.raises(JobFailed, match="OutOfMemory: lower it"):
        listener.listen()


def test_a_rank_that_ends_without_a_word_is_lost(heard) -> None:
    listener, (_, second), _ = heard
    second.close()
    with pytest.raises(JobFailed, match=r"RankLost: rank 1 \(process 0\) died"):
        listener.listen()


def test_the_failure_of_a_rank_that_has_lost_another_is_not_the_cause(heard) -> None:
    listener, (first, second), _ = heard
    first.send(("failed", "RuntimeError", "raised at c.py"))
    listener.receive(listener.lines[0])
    second.close()
    with pytest.raises(JobFailed, match="RankLost: rank 1"):
        listener.listen()


def test_a_rank_that_torchrun_ends_after_another_has_failed_is_not_the_cause(heard) -> None:
    listener, (first, second), _ = heard
    first.send(("failed", "RuntimeError", "raised at c.py"))
    first.close()
    listener.receive(listener.lines[0])
    listener.receive(listener.lines[0])
    second.close()
    with pytest.raises(JobFailed, match=r"RuntimeError: rank 0: raised at c\.py"):
        listener.listen()


def test_a_rank_that_is_still_there_when_another_could_not_reach_it_hangs(heard) -> None:
    listener, (first, _), _ = heard
    first.send(("failed", "DistStoreError", "raised at c.py"))
    first.close()
    with pytest.raises(JobFailed, match="RankHung: rank 1 hung before the first step"):
        listener.listen()


def test_the_rank_that_lags_behind_is_named(heard) -> None:
    listener, (first, second), _ = heard
    listener.job = JOB.model_copy(update={"rank_seconds": 0.2})
    for end, steps in ((first, 4), (second, 3)):
        for _ in range(steps):
            end.send(("step",))
    with pytest.raises(
        JobFailed, match=r"RankHung: rank 1 hung after step 2, nothing heard for 0\.2 s; .*AEVOLVE_RANK"
    ):
        listener.listen()


def test_until_each_has_its_model_silence_is_borne_longer(heard) -> None:
    listener, (first, second), _ = heard
    listener.job = JOB.model_copy(update={"rank_seconds": 0.05})
    first.send(("step",))
    listener.receive(listener.lines[0])
    assert listener.allowed_silence() == READY_SECONDS
    second.send(("step",))
    listener.receive(listener.lines[1])
    assert listener.allowed_silence() == 0.05


def test_silence_after_the_last_step_is_no_hang_since_the_result_is_written(heard) -> None:
    listener, (first, second), _ = heard
    listener.job = JOB.model_copy(update={"rank_seconds": 0.01})
    for end in (first, second):
        end.send(("step",))
    first.send(("report", {"step": 9, "steps": 9}))
    for line in (listener.lines[0], listener.lines[0], listener.lines[1]):
        listener.receive(line)
    listener.last -= 60
    listener.judge(any_message=False)
    listener.watched = True
    with pytest.raises(JobFailed, match="RankHung: all ranks hung after step 0"):
        listener.judge(any_message=False)


def test_torchrun_that_ends_by_itself_is_told(heard) -> None:
    listener, _, _ = heard
    listener.lines.clear()
    listener.torchrun.returncode = 1
    with pytest.raises(JobFailed, match="RankLost: torchrun ended with 1"):
        listener.listen()


EXAMPLES = st.lists(
    st.integers(2, 40).map(lambda length: Example(tuple(range(length)), ((1, length),), 1)), min_size=1, max_size=12
)


@given(EXAMPLES, st.integers(1, 4), st.integers(1, 3))
def test_sharded_ranks_make_equally_many_passes_and_learn_each_row_once(batch, world, size) -> None:
    def cut(share: list[Example]) -> list[list[Example]]:
        return [share[at : at + size] for at in range(0, len(share), size)]

    passes = [Sharded(rank, world).passes(batch, cut) for rank in range(world)]
    assert len({len(made) for made in passes}) == 1
    learned = [row for made in passes for piece, counts in made if counts for row in piece]
    assert sorted(map(id, learned)) == sorted(map(id, batch))
    whole = [Ranks(rank, world).passes(batch, cut) for rank in range(world)]
    assert [[piece for piece, counts in made if counts] for made in passes] == [[p for p, _ in made] for made in whole]


def test_only_a_complete_checkpoint_of_the_same_job_counts(tmp_path: Path) -> None:
    assert checkpoint._current(tmp_path, "me") == (None, None)
    for name, state in (
        ("step-000050", {"job": "me", "losses": [1.0]}),
        ("step-000100.x.part", {"job": "me", "losses": [2.0]}),
    ):
        (tmp_path / name).mkdir()
        torch.save(state, tmp_path / name / checkpoint.STATE)
    (tmp_path / "step-000150").mkdir()  # nothing in it
    assert checkpoint._current(tmp_path, "me") == ("step-000050", {"job": "me", "losses": [1.0]})
    assert checkpoint._current(tmp_path, "another") == (None, None)


def test_a_checkpoint_becomes_the_current_one_by_its_name_and_the_others_go(tmp_path: Path) -> None:
    for name in ("step-000050", "step-000100.x.part", "step-000150.y.part"):
        (tmp_path / name).mkdir()
    checkpoint._make_current(tmp_path / "step-000150.y.part", tmp_path / "step-000150")
    assert os.listdir(tmp_path) == ["step-000150"]
