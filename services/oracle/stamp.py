"""How a score was taken, in what may change it: scores with different stamps are never compared (design rule 4)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from schemas.scores import Stamp
from services.oracle.job import EvaluationJob
from services.runtime.hashing import hash_source

BATCH = 64
"""Prompts generated together. Part of the stamp: batching changes the rounding, and greedy decoding follows it."""


@cache
def _template() -> str:
    """Hash of the prompt template, its task and the scorer."""
    return hash_source("services.oracle.harness", "judgement.scorer")


def stamp(job: EvaluationJob, device: str, precision: str) -> Stamp:
    """The stamp of a job's measurements on this machine."""
    return Stamp(
        engine=f"transformers {version('transformers')}, torch {version('torch')}, {device}, batch {BATCH}",
        harness=f"lm-eval {version('lm-eval')}",
        max_new_tokens=job.max_new_tokens,
        max_length=job.max_length,
        template_sha256=_template(),
        precision=precision,
    )
