"""The interface of an engine: it gives lm-eval two models of one candidate, and its name for the stamp.

The deployment chooses the engine (`AEVOLVE_ENGINE`), the campaign the prompt (`model.profile`). The stamp names the
engine, so scores of different engines are never compared (design rule 4).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from schemas.campaign import Model
from services.oracle.job import EngineUse, EvaluationJob
from services.runtime.settings import Settings

Count = Callable[[int, int], None]
"""Called after each batch with (answers, tokens read and written)."""


class Engine(Protocol):
    """One candidate's model, ready to answer."""

    tokenizer: Any
    """The base's."""
    name: str
    """Engine, version and every setting that may change an answer."""
    precision: str
    """Number format of the weights."""
    waits: bool
    """Whether another process or an accelerator does the work, so that device time is wall time."""

    def puzzles(self, count: Count) -> Any:
        """An lm-eval model for sealed items."""

    def tasks(self, count: Count) -> Any:
        """An lm-eval model for lists of tasks."""


class EngineKind(Protocol):
    """What an engine implements: a class without constructor arguments, registered in `registry`."""

    def prepare(self, base: Path, base_sha256: str, model: Model, settings: Settings) -> EngineUse:
        """How a job reaches the engine. Called in the oracle's process, which outlives the job; loads no torch.

        Raises `JobFailed` (`EngineMissing`).
        """

    def open(self, job: EvaluationJob, tokenizer: Any) -> AbstractContextManager[Engine]:
        """The engine with the job's candidate loaded. Called in the job's process."""
