"""One model's measurement by lm-eval: a plain function, run in a subprocess with torch.

An engine is opened with the candidate's model, and every sealed set, list of tasks and guard of the job measured on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lm_eval.evaluator import evaluate as run_tasks
from transformers import AutoTokenizer

from schemas.base import Frozen
from schemas.scores import Scores
from schemas.tasks import TaskList
from services.oracle import receipts, records
from services.oracle.engines.engine import Count, Engine
from services.oracle.engines.registry import engine_kind
from services.oracle.harness.tasks import make_tasks
from services.oracle.job import (
    Evaluated,
    EvaluationJob,
    Guarded,
    ListedSet,
    Measured,
    PromptTooLong,
    SealedSet,
    TokenizerUnfit,
)
from services.oracle.reference import base_measurement
from services.oracle.sets import draw_set, read_key
from services.oracle.stamp import stamp
from services.oracle.task_lists import run_lists
from services.runtime.prompting import BOS_REMEDY, adds_special_tokens, bos_missing, question
from services.runtime.storage.model_folders import model_folder
from tasks.item import Item

Report = Callable[[dict[str, Any]], None]

Items = Mapping[str, Sequence[Item]]


def evaluate(job: EvaluationJob, report: Report) -> Evaluated:
    """Scores with receipts, one per set and one for all guards; `report` gets {"kind", "step", "steps"} after a batch.

    Raises `KeyMissing`, `ModelMissing`, `PickledWeights`, `AdapterChanged`, `AdapterMissing`, `AdapterUnsafe`,
    `AdapterRefused`, `TokenizerUnfit`, `ChatTemplateMissing`, `PromptTooLong`, `OtherStamp`, `TaskRefused`,
    `CodeRefused`, or `StoreFailed`; and where a server computes, `EngineUnreachable`, `EngineSilent`, `EngineDenied`,
    `EngineGarbled`, `EngineMismatched` or `EngineRefused`.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns about each of our settings
    start = now()
    tokenizer = AutoTokenizer.from_pretrained(model_folder(job.base))
    check_begin(tokenizer, job)
    with engine_kind(job.engine.kind).open(job, tokenizer) as engine:
        base = base_measurement(job, stamp(job, engine))
        loaded = Loaded(job, report, Clock(start, engine.waits), engine)
        measured = [sealed(loaded, item_set) for item_set in job.sets]
        measured += [listed(loaded, item_set) for item_set in job.lists]
        guards = guarded(loaded) if job.guards else None
    reference = evaluate(base, report).measured[0] if base else None
    return Evaluated(candidate=job.candidate, measured=tuple(measured), guarded=guards, reference=reference)


@dataclass
class Loaded:
    """A job and the engine that has its model."""

    job: EvaluationJob
    report: Report
    clock: Clock
    engine: Engine

    def result(self, lines: Sequence[Frozen], tokens: int, **changes: str) -> dict[str, Any]:
        """The fields of `Result` for the work since the last call; `changes` replace fields of the stamp."""
        seconds, device_seconds = self.clock.lap()
        return {
            "receipt": receipts.write(lines, self.job.out),
            "stamp": stamp(self.job, self.engine).model_copy(update=changes),
            "tokens": tokens,
            "seconds": seconds,
            "device_seconds": device_seconds,
        }


def sealed(loaded: Loaded, item_set: SealedSet) -> Measured:
    """The score of a sealed set."""
    job, key = loaded.job, read_key(loaded.job.key_file)
    items = draw_set(item_set.kind, item_set.spec, job.domains, key, item_set.nonce)
    progress = Progress(loaded.report, item_set.kind, item_set.spec.items * len(job.domains))
    lines = ask(job, items, loaded.engine, key, progress)
    return Measured(kind=item_set.kind, scores=receipts.count(lines), **loaded.result(lines, progress.tokens))


def listed(loaded: Loaded, item_set: ListedSet) -> Measured:
    """The score of a list of tasks."""
    suites, result = _run_lists(loaded, {item_set.kind: item_set.tasks}, item_set.kind)
    return Measured(kind=item_set.kind, scores=suites[item_set.kind], **result)


def guarded(loaded: Loaded) -> Guarded:
    """The scores of all guards."""
    suites, result = _run_lists(loaded, {guard.name: guard for guard in loaded.job.guards}, "guards")
    return Guarded(suites=suites, **result)


def _run_lists(loaded: Loaded, lists: Mapping[str, TaskList], what: str) -> tuple[dict[str, Scores], dict[str, Any]]:
    job, progress = loaded.job, Progress(loaded.report, what, 0)
    lines, changes = run_lists(lists, loaded.engine.tasks(progress), run_code=job.run_code)
    return records.count(lines), loaded.result(lines, progress.tokens, **changes)


def ask(job: EvaluationJob, items: Items, engine: Engine, key: bytes, count: Count) -> list[receipts.Line]:
    """The receipt line of every item, in order: the model's output by lm-eval, and its verdict."""
    asking = partial(question, profile=job.profile, tokenizer=engine.tokenizer)
    check_room(job, [asking(item.prompt) for domain_items in items.values() for item in domain_items], engine.tokenizer)
    tasks = make_tasks(items, job.max_new_tokens, asking)
    results = run_tasks(engine.puzzles(count), {"tasks": tasks}, bootstrap_iters=0)
    return [
        receipts.line(item, sample["filtered_resps"][0], bool(sample["exact_match"]), key)
        for domain, domain_items in items.items()
        for item, sample in zip(domain_items, results["samples"][domain], strict=True)
    ]


def check_room(job: EvaluationJob, questions: Sequence[str], tokenizer: Any) -> None:
    """Raise `PromptTooLong` where lm-eval would silently cut a prompt to make room for its answer."""
    ids = tokenizer(questions, add_special_tokens=adds_special_tokens(job.profile))["input_ids"]
    longest = max(map(len, ids))
    if longest > (room := job.max_length - job.max_new_tokens):
        raise PromptTooLong(
            f"model.max_length: {job.max_length} less max_new_tokens {job.max_new_tokens} leaves {room} tokens, the "
            f"longest prompt has {longest}; raise max_length or lower max_new_tokens"
        )


def check_begin(tokenizer: Any, job: EvaluationJob) -> None:
    """Raise `TokenizerUnfit` where texts do not begin as the model expects, and the profile adds nothing itself."""
    if adds_special_tokens(job.profile) and bos_missing(Path(job.base), tokenizer):
        raise TokenizerUnfit(
            f"model.base: the tokenizer of {job.base} does not put {tokenizer.bos_token!r} before a text; {BOS_REMEDY}"
        )


@dataclass
class Progress:
    """Counts answers and tokens as lm-eval's batches end."""

    report: Report
    kind: str
    total: int
    done: int = 0
    tokens: int = 0

    def __call__(self, answers: int, tokens: int) -> None:
        """Add one batch. The total of a list of tasks is unknown in advance: it grows with the count."""
        self.done, self.tokens = self.done + answers, self.tokens + tokens
        self.report({"kind": self.kind, "step": self.done, "steps": max(self.total, self.done)})


def now() -> tuple[float, float]:
    """Wall seconds, and processor seconds of this process."""
    return time.monotonic(), time.process_time()


class Clock:
    """Wall and device seconds since the last lap; if another process computes (`waits`), device time is wall time."""

    def __init__(self, start: tuple[float, float], waits: bool) -> None:
        self.last, self.waits = start, waits

    def lap(self) -> tuple[float, float]:
        """Wall and device seconds of this lap."""
        before, self.last = self.last, now()
        wall, processor = (late - early for late, early in zip(self.last, before, strict=True))
        return wall, wall if self.waits else processor
