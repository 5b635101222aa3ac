"""Every way in which a real vLLM refuses or fails ends one job by name, and the next one is measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from schemas.campaign import Model
from services.oracle.engines import vllm
from services.oracle.engines.client import (
    Client,
    EngineDenied,
    EngineFailed,
    EngineMismatched,
    EngineRefused,
    EngineUnreachable,
)
from services.oracle.engines.vllm import served_name
from services.oracle.evaluate import evaluate
from services.oracle.job import AdapterRefused, EngineUse, EvaluationJob, PromptTooLong
from services.runtime.settings import Settings
from tests.processes import until
from tests.tiny_models import make_adapter, make_model
from tests.typed import there
from tests.vllm.conftest import of


def measure(job: EvaluationJob) -> None:
    evaluate(job, lambda _: None)


def test_another_base_a_longer_context_and_another_tokenizer_are_refused(
    job: EvaluationJob, operators: EngineUse, tmp_path: Path
) -> None:
    with pytest.raises(EngineMismatched, match="--served-model-name base-cdcdcdcd"):
        measure(of(job, None, operators, base_sha256="cd" * 32))
    with pytest.raises(EngineMismatched, match="--max-model-len 512"):
        measure(of(job, None, operators, max_length=512))


def test_a_wrong_key_is_denied(job: EvaluationJob, operators: EngineUse, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("another")
    with pytest.raises(EngineDenied, match="AEVOLVE_ENGINE_KEY_FILE"):
        measure(of(job, None, operators.model_copy(update={"key_file": str(tmp_path / "key")})))


def test_an_adapter_that_does_not_fit_is_refused_and_the_next_one_is_measured(
    job: EvaluationJob, base: Path, adapters: list[Path], operators: EngineUse, tmp_path: Path
) -> None:
    wide = make_adapter(make_model(tmp_path / "wide", width=48), tmp_path / "adapter", 0)
    with pytest.raises(AdapterRefused, match=r"has the shape \[4, 96\], and .* of the base \[128, 256\]"):
        measure(of(job, wide, operators))
    with pytest.raises(AdapterRefused, match="status 500"):
        measure(of(job, make_adapter(base, tmp_path / "rank", 0, rank=32), operators))
    with pytest.raises(AdapterRefused, match="AEVOLVE_ENGINE=hf"):
        measure(of(job, make_adapter(base, tmp_path / "output", 0, ["lm_head"]), operators))
    measure(of(job, adapters[0], operators))
    assert list(Client(operators).models()) == [served_name(job.base_sha256)]


def test_what_a_server_cannot_read_or_has_loaded_already_is_refused(
    adapters: list[Path], operators: EngineUse, tmp_path: Path
) -> None:
    client = Client(operators)
    with pytest.raises(AdapterRefused, match="status 404"):
        client.load("nowhere", tmp_path / "nowhere")
    client.load("twice", adapters[0])
    with pytest.raises(AdapterRefused, match="status 400"):
        client.load("twice", adapters[0])
    client.unload("twice")
    with pytest.raises(EngineRefused, match="404 to /completions"):
        client.complete("twice", [[1, 2]], max_tokens=1)


def test_a_prompt_is_never_cut(job: EvaluationJob, own: EngineUse) -> None:
    with pytest.raises(PromptTooLong, match=r"model\.max_length: 40 "):
        measure(of(job, None, own, max_length=40))


def children(pid: int) -> set[int]:
    """All descendants of a process."""
    found, todo = set[int](), [pid]
    while todo:
        parent = todo.pop()
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            below = {int(child) for child in task.read_text().split()}
            todo += below - found
            found |= below
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def measure_until_killed(job: EvaluationJob) -> None:
    while True:
        measure(job)


def test_an_engine_that_is_killed_fails_its_job_is_started_again_and_leaves_nothing(
    job: EvaluationJob, base: Path, sha256: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm, "_warm", [])
    settings = Settings(work=tmp_path / "work", engine_seconds=60)
    use = vllm.warm(base, sha256, Model(), settings)
    try:
        measure(of(job, None, use))
        assert vllm.warm(base, sha256, Model(), settings).pid == use.pid
        pid = there(use.pid)
        everything = children(pid) | {pid}
        assert len(everything) > 1

        def kill() -> None:
            for child in children(pid):
                os.kill(child, signal.SIGKILL)

        killer = threading.Timer(0.5, kill)
        killer.start()
        with pytest.raises(EngineFailed):
            measure_until_killed(of(job, None, use))
        until(lambda: not any(map(alive, everything)))
        again = vllm.warm(base, sha256, Model(), settings)
        assert again.pid != use.pid
        measure(of(job, None, again))
    finally:
        vllm._warm[0].stop()


def test_a_server_that_cannot_start_is_named_with_its_log(job: EvaluationJob, base: Path, tmp_path: Path) -> None:
    for file in base.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    server = vllm.start((tmp_path, "ab" * 32, Model()), Settings(work=tmp_path / "work"))
    with pytest.raises(EngineUnreachable, match=r"ended as it started; see .*vllm\.log"):
        measure(of(job, None, server.use))
    server.stop()


def test_nothing_is_left_of_a_server_whose_oracle_was_killed(base: Path, sha256: str, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from schemas.campaign import Model\n"
        "from services.oracle.engines import vllm; from services.runtime.settings import Settings\n"
        f"use = vllm.warm(Path({str(base)!r}), {sha256!r}, Model(), Settings(work={str(tmp_path)!r}))\n"
        "print(use.pid, flush=True); time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as oracle:
        assert oracle.stdout
        server = int(oracle.stdout.readline())
        until(lambda: children(server))  # the engine's own process has begun
        everything = children(server) | {server}
        oracle.kill()
    until(lambda: not any(map(alive, everything)))
    time.sleep(1)
    assert not any(map(alive, everything))
