"""How a score was taken, in what may change it: scores with different stamps are never compared (design rule 4)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from schemas.base import digest
from schemas.profiles import PROFILES, ProfileName
from schemas.scores import Stamp
from services.oracle.engines.engine import Engine
from services.oracle.job import EvaluationJob
from services.runtime.storage.hashing import hash_source


@cache
def _code() -> str:
    """Hash of how a model is asked and judged, in plain text: the prompt's template, its task and the scorer."""
    return hash_source("services.oracle.harness", "services.runtime.prompting", "schemas.profiles", "tasks.puzzles.scorer")


def template(profile: ProfileName, tokenizer: Any) -> str:
    """Hash of the prompt template; of one that asks through a chat template, that belongs to it."""
    if not PROFILES[profile].chat:
        return _code()
    return digest({"code": _code(), "profile": profile, "chat_template": tokenizer.chat_template})


def stamp(job: EvaluationJob, engine: Engine) -> Stamp:
    """The stamp of a job's measurements by this engine."""
    return Stamp(
        engine=engine.name,
        harness=f"lm-eval {version('lm-eval')}",
        max_new_tokens=job.max_new_tokens,
        max_length=job.max_length,
        template_sha256=template(job.profile, engine.tokenizer),
        precision=engine.precision,
    )
