"""How a score was taken, in what may change it: scores with different stamps are never compared (design rule 4)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from schemas.base import digest
from schemas.profiles import PROFILES
from schemas.scores import Stamp
from schemas.suites import AnySuite
from services.oracle.engines.engine import Engine
from services.oracle.job import POLICY, EvaluationJob
from services.runtime.storage.hashing import hash_source
from tasks.registry import KINDS, PROCESSES

PACKAGES = ("reasoning-gym", "math-verify", "verifiers")
"""Packages whose code makes items or judges answers, where they are installed."""


@cache
def _code() -> str:
    """Hash of how a model is asked and judged, in plain text: the prompt's template, its task and the scorer."""
    return hash_source(
        "services.oracle.harness",
        "services.runtime.prompting",
        "schemas.profiles",
        "schemas.prompts",
        "tasks.puzzles.scorer",
    )


@cache
def _suite_code(kinds: tuple[str, ...]) -> str:
    """Hash of the code that makes items of these kinds of suites and judges answers."""
    modules = {"tasks.item", "tasks.scorers", "tasks.scoring"}
    for kind in kinds:
        target = KINDS.get(kind)
        modules.add(target.partition(":")[0] if isinstance(target, str) else target.__module__)
        modules.update({PROCESSES[kind]} if kind in PROCESSES else ())
    return hash_source(*sorted(modules))


def template(job: EvaluationJob, tokenizer: Any) -> str:
    """Hash of how a model is asked and judged.

    Of one that asks through a chat template, that belongs to it; of suites, their items and scorers.
    """
    form = {
        "form": job.form.model_dump(mode="json"),
        "chat_template": tokenizer.chat_template if job.form.chat else None,
    }
    if job.suites:
        suites = [_suite(rule) for rule in job.suites]
        code = {"code": _code(), "suites": _suite_code(tuple(sorted({str(rule.kind) for rule in job.suites})))}
        return digest({**code, **form, "rules": suites, "policy": POLICY, "packages": dict(_versions())})
    if job.prompt is not None:
        return digest({"code": _code(), **form, "policy": POLICY})
    if not PROFILES[job.profile].chat:
        return _code()
    return digest({"code": _code(), "profile": job.profile, "chat_template": tokenizer.chat_template})


def _suite(rule: AnySuite) -> dict[str, Any]:
    """A suite's items and scorers, each by its hash."""
    scorers = [scorer.model_dump(mode="json") for scorer in rule.score]
    return {"name": rule.name, "kind": rule.kind, "score": scorers, "pin": rule.pin.sha256 if rule.pin else None}


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def stamp(job: EvaluationJob, engine: Engine) -> Stamp:
    """The stamp of a job's measurements by this engine."""
    harness = f"lm-eval {version('lm-eval')}"
    return Stamp(
        engine=engine.name,
        harness=f"{harness}, {POLICY}" if job.suites or job.prompt else harness,
        max_new_tokens=job.max_new_tokens,
        max_length=job.max_length,
        template_sha256=template(job, engine.tokenizer),
        precision=engine.precision,
    )
