"""The oracle's own vLLM server: started with the first job of a base, kept warm for all further ones.

A job's process ends with the job, and an engine takes minutes to start: so the engine is a process of its own, and the
jobs speak to it as to anybody's server. It also dies alone: a crash in a kernel is a job's failure, not the oracle's.
lm-eval's own `vllm` model takes one adapter for its whole life.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from schemas.campaign import Model
from schemas.profiles import PROFILES
from services.oracle.engines.names import served_name
from services.oracle.job import EngineUse
from services.runtime.jobs.runner import JobFailed
from services.runtime.parent_watch import GRACE, tether
from services.runtime.ports import free_ports
from services.runtime.settings import Settings

About = tuple[Path, str, Model]
"""What a server was started for: another campaign's base or lengths are another server."""


@dataclass
class Server:
    """A server that was started here."""

    about: About
    process: subprocess.Popen[bytes]
    use: EngineUse

    def stop(self) -> None:
        """End it, and wait until it has given its memory back."""
        self.process.terminate()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_warm: list[Server] = []
"""The one server of this process, if any."""


def warm(folder: Path, base_sha256: str, model: Model, settings: Settings) -> EngineUse:
    """The running server of a base, or one that has just been started and is reading its model.

    Raises `JobFailed` (`EngineMissing`) where vLLM is not installed.
    """
    if not entry_points(group="console_scripts", name="vllm"):
        raise JobFailed("EngineMissing", "AEVOLVE_ENGINE: vllm is not installed here; install aevolve[gpu], or say hf")
    about = (folder, base_sha256, model)
    if _warm and _warm[0].about == about and _warm[0].process.poll() is None:
        return _warm[0].use
    for old in _warm:
        old.stop()
    _warm[:] = [start(about, settings)]
    return _warm[0].use


def start(about: About, settings: Settings) -> Server:
    """Start a server, whose key is known to nobody else and which nobody else can reach."""
    place = (settings.work / "engine").resolve()
    place.mkdir(parents=True, exist_ok=True)
    log, key = place / "vllm.log", place / "key"
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32))
    (port,) = free_ports(1)
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, *arguments(about, port, settings.workers)],
            stdin=subprocess.PIPE,  # never written to: it ends with this process, however that ends
            stdout=said,
            stderr=said,
            env=environment(os.environ, key.read_text(), place),
            start_new_session=True,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # so that a job sees when it is gone
    use = EngineUse(
        kind="vllm",
        url=f"http://127.0.0.1:{port}/v1",
        key_file=str(key),
        seconds=settings.engine_seconds,
        pid=process.pid,
        log=str(log),
    )
    return Server(about, process, use)


def arguments(about: About, port: int, workers: int) -> Sequence[str]:
    """Of `vllm`: the profile's settings, and one place for the adapter of each job that runs at a time."""
    folder, base_sha256, model = about
    profile = PROFILES[model.profile]
    given = {
        "served-model-name": served_name(base_sha256),
        "host": "127.0.0.1",
        "port": port,
        "dtype": "bfloat16",
        "seed": 0,
        "generation-config": "vllm",  # not the base's own temperature and penalties
        "max-model-len": model.max_length,
        "max-num-seqs": profile.max_sequences,
        "gpu-memory-utilization": profile.memory,
        "max-lora-rank": profile.max_rank,
        "max-loras": max(1, workers),
    }
    return ("serve", str(folder), "--enable-lora", *(f"--{name}={value}" for name, value in given.items()))


def environment(own: Mapping[str, str], key: str, place: Path) -> dict[str, str]:
    """Of the server: it is told none of our secrets, writes to our work folder alone, and reports to nobody."""
    kept = {name: value for name, value in own.items() if not name.startswith(("AEVOLVE_", "AWS_"))}
    caches = {f"{name}_CACHE_{kind}": str(place / "cache") for name, kind in (("VLLM", "ROOT"), ("TRITON", "DIR"))}
    told = {"VLLM_API_KEY": key, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_NO_USAGE_STATS": "1"}
    return {**kept, **caches, "TORCHINDUCTOR_CACHE_DIR": str(place / "cache"), **told}


if __name__ == "__main__":
    tether()
    (command,) = entry_points(group="console_scripts", name="vllm")
    sys.exit(command.load()())
