"""A real vLLM (its build for processors), the demo's base model, and adapters of it.

`make test-vllm` makes the environment; two servers are shared: the oracle's own, and one that an operator would start.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.campaign import ItemSet
from schemas.campaign import Model as ModelSettings
from services.console.embedded.base_model import base_folder, is_model, make_base, substrate
from services.oracle.engines import vllm
from services.oracle.job import EngineUse, EvaluationJob, SealedSet
from services.runtime.ports import free_ports
from services.runtime.settings import Settings
from services.runtime.storage.hashing import hash_folder
from tests.tiny_models import make_adapter

WORKERS = 3
"""Jobs that the oracle's server is made for."""

PROCESSOR = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_CI_ENV": "1",  # few compiled shapes, so that it starts in a minute
    "VLLM_CPU_OMP_THREADS_BIND": "0",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
}
"""vLLM's own variables, which the oracle's server inherits."""


def pytest_configure() -> None:
    os.environ.update(PROCESSOR)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's base, as `make demo` makes and keeps it."""
    folder = base_folder(ModelSettings(), Settings().cache)
    if not is_model(folder):
        asyncio.run(make_base(folder, tmp_path_factory.mktemp("base") / "log"))
    return folder


@pytest.fixture(scope="session")
def sha256(base: Path) -> str:
    """The base's recorded hash."""
    return substrate(base).base_sha256


@pytest.fixture(scope="session")
def adapters(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three adapters that change the base's answers, of all its linear layers and of some."""
    folder = tmp_path_factory.mktemp("adapters")
    targets = (["q_proj", "down_proj"], "all-linear", ["v_proj"])
    return [make_adapter(base, folder / f"r1s{n}", n, target, std=0.06) for n, target in enumerate(targets)]


@pytest.fixture(scope="session")
def job(base: Path, sha256: str, tmp_path_factory: pytest.TempPathFactory) -> EvaluationJob:
    """The base on 60 items by this process."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "key").write_bytes(b"0123456789abcdef")
    return EvaluationJob(
        candidate="base",
        base=str(base),
        base_sha256=sha256,
        sets=(SealedSet(kind="dev", spec=ItemSet(items=10), nonce="n"),),
        domains=("bits", "cipher", "equations", "gravity", "roman", "units"),
        key_file=str(folder / "key"),
        max_length=256,
        max_new_tokens=48,
        out=str(folder / "receipts"),
        copies=str(folder / "copies"),
    )


def of(job: EvaluationJob, adapter: Path | None, use: EngineUse | None = None, **differs: object) -> EvaluationJob:
    """The job for an adapter, by an engine."""
    given = {"adapter": str(adapter), "sha256": hash_folder(adapter), "candidate": adapter.name} if adapter else {}
    return job.model_copy(update={**given, "engine": use or EngineUse(), **differs})


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The oracle's, with its own server."""
    return Settings(work=tmp_path_factory.mktemp("work"), engine="vllm", engine_seconds=120, workers=WORKERS)


@pytest.fixture(scope="session")
def own(base: Path, sha256: str, settings: Settings) -> Iterator[EngineUse]:
    """The server that the oracle starts and keeps."""
    yield vllm.warm(base, sha256, ModelSettings(), settings)
    for server in vllm._warm:
        server.stop()


@pytest.fixture(scope="session")
def operators(base: Path, sha256: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUse]:
    """A server in single precision, started by docs/guides/measuring.md's command, with a key."""
    folder, (port,) = tmp_path_factory.mktemp("operator"), free_ports(1)
    (folder / "key").write_text("the operator's key\n")
    name = vllm.served_name(sha256)
    command = [
        *(str(Path(sys.executable).with_name("vllm")), "serve", str(base), "--served-model-name", name),
        *("--enable-lora", "--max-lora-rank", "16", "--max-loras", "4", "--max-model-len", "256", "--dtype", "float32"),
        *("--generation-config", "vllm", "--port", str(port), "--lora-target-modules", *vllm.layers(base)),
    ]
    environment = {**os.environ, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_API_KEY": "the operator's key"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        # A job waits for a server that the oracle has started; this one is given as such until it answers.
        use = EngineUse(kind="remote", url=f"http://127.0.0.1:{port}/v1", key_file=str(folder / "key"), seconds=120)
        yield use.model_copy(update={"pid": server.pid, "log": str(folder / "log")})
        server.terminate()
        server.wait()
