"""Every engine by its name in `AEVOLVE_ENGINE`.

Other packages add theirs by entry points of the group `aevolve.engines`: each names a class that implements
`services.oracle.engines.engine.EngineKind`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from schemas.campaign import Model
from services.oracle.engines import vllm
from services.oracle.engines.engine import Engine, EngineKind
from services.oracle.job import EngineUse, EvaluationJob
from services.runtime.jobs.runner import JobFailed
from services.runtime.settings import BadSetting, Settings

GROUP = "aevolve.engines"


class InProcess:
    """`hf`: transformers in the job's own process."""

    def prepare(self, base: Path, base_sha256: str, model: Model, settings: Settings) -> EngineUse:
        """Nothing has to be started."""
        return EngineUse(kind="hf")

    def open(self, job: EvaluationJob, tokenizer: Any) -> AbstractContextManager[Engine]:
        """Raises as `local.load` does."""
        from services.oracle.engines import local  # noqa: PLC0415 - loads torch

        return local.opened(job, tokenizer)


class OwnServer:
    """`vllm`: a vLLM server that the oracle starts and keeps."""

    def prepare(self, base: Path, base_sha256: str, model: Model, settings: Settings) -> EngineUse:
        """Start the server unless it runs. Raises `JobFailed`."""
        return vllm.warm(base, base_sha256, model, settings)

    def open(self, job: EvaluationJob, tokenizer: Any) -> AbstractContextManager[Engine]:
        """Raises as `remote.opened` does."""
        from services.oracle.engines import remote  # noqa: PLC0415 - loads lm-eval

        return remote.opened(job, tokenizer, own_server=True)


class RemoteServer:
    """`remote`: an OpenAI-compatible server that takes LoRA adapters, run by its operator."""

    def prepare(self, base: Path, base_sha256: str, model: Model, settings: Settings) -> EngineUse:
        """Read the address and the key's file. Raises `JobFailed`."""
        if settings.engine_url is None:
            raise JobFailed("EngineMissing", "AEVOLVE_ENGINE_URL is not set; name the server, or set AEVOLVE_ENGINE=hf")
        key = settings.engine_key_file
        return EngineUse(
            kind="remote",
            url=str(settings.engine_url),
            key_file=str(key) if key else None,
            seconds=settings.engine_seconds,
        )

    def open(self, job: EvaluationJob, tokenizer: Any) -> AbstractContextManager[Engine]:
        """Raises as `remote.opened` does."""
        from services.oracle.engines import remote  # noqa: PLC0415 - loads lm-eval

        return remote.opened(job, tokenizer, own_server=False)


ENGINES: dict[str, type[EngineKind]] = {"hf": InProcess, "vllm": OwnServer, "remote": RemoteServer}
"""The engines of this package."""


def engine_kind(name: str) -> EngineKind:
    """The engine of this name. Raises `BadSetting` for an unknown one."""
    if name in ENGINES:
        return ENGINES[name]()
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in others:
        names = ", ".join([*ENGINES, *sorted(others)])
        raise BadSetting("engine", name, f"give one of {names}, or install the package that provides it")
    kind: EngineKind = others[name].load()()
    return kind


def check_engine(settings: Settings) -> None:
    """Raise `BadSetting` if `AEVOLVE_ENGINE` names no registered engine."""
    engine_kind(settings.engine)
