"""What a measurement needs of an engine: two models of lm-eval, and how it is called in the stamp.

Which engine measures is a matter of deployment (`AEVOLVE_ENGINE`), how a model is asked one of the campaign
(`model.profile`). The engine stands in the stamp, so scores of different engines are never compared (design rule 4).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from services.oracle.job import EvaluationJob

Count = Callable[[int, int], None]
"""Called as answers come, with (answers, tokens read and written)."""


class Engine(Protocol):
    """One candidate's model, ready to be asked."""

    tokenizer: Any
    """The base's."""
    name: str
    """Engine, version, and what of it may change an answer."""
    precision: str
    """Number format of the weights."""
    waits: bool
    """Whether the work is done elsewhere, so that its time is wall time."""

    def puzzles(self, count: Count) -> Any:
        """An lm-eval model for our own items."""

    def tasks(self, count: Count) -> Any:
        """An lm-eval model for anybody's tasks."""


def opened(job: EvaluationJob, tokenizer: Any) -> AbstractContextManager[Engine]:
    """The job's engine with the candidate's model; raises as `local.opened` and `remote.opened` do."""
    if job.engine.kind == "hf":
        from services.oracle.engines import local  # noqa: PLC0415 - each engine is loaded when it is used

        return local.opened(job, tokenizer)
    from services.oracle.engines import remote  # noqa: PLC0415

    return remote.opened(job, tokenizer)
