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

from puzzles.item import Item
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
from services.oracle.reference import owed
from services.oracle.sets import draw_set, read_key
from services.oracle.stamp import stamp
from services.oracle.task_lists import run_lists
from services.runtime.prompting import BOS_REMEDY, adds_special_tokens, bos_missing, question
from services.runtime.storage.model_folders import model_folder

Report = Callable[[dict[str, Any]], None]

Items = Mapping[str, Sequence[Item]]


def evaluate(job: EvaluationJob, report: Report) -> Evaluated:
    """Scores with receipts, one per set and one for all guards; `report` gets {"kind", "step", "steps"} after a batch.

    Raises `KeyMissing`, `ModelMissing`, `PickledWeights`, `AdapterChanged`, `AdapterMissing`, `AdapterUnsafe`,
    `AdapterRefused`, `TokenizerUnfit`, `ChatTemplateMissing`, `PromptTooLong`, `OtherStamp`, `TaskRefused`,
    `CodeRefused`, or `StoreFailed`; and where a server computes, `EngineUnreachable`, `EngineSilent`, `EngineDenied`,
    `EngineGarbled`, `EngineMismatched` or `EngineRefused`.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of every way in which we use it
    begun = now()
    tokenizer = AutoTokenizer.from_pretrained(model_folder(job.base))
    check_begin(tokenizer, job)
    with engine_kind(job.engine.kind).open(job, tokenizer) as engine:
        base = owed(job, stamp(job, engine))
        loaded = Loaded(job, report, Clock(begun, engine.waits), engine)
        measured = [sealed(loaded, asked) for asked in job.sets]
        measured += [listed(loaded, asked) for asked in job.lists]
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

    def taken(self, lines: Sequence[Frozen], tokens: int, **differs: str) -> dict[str, Any]:
        """Receipt, stamp and cost of what was measured since the last time; what `differs` stands in the stamp."""
        seconds, device_seconds = self.clock.lap()
        return {
            "receipt": receipts.write(lines, self.job.out),
            "stamp": stamp(self.job, self.engine).model_copy(update=differs),
            "tokens": tokens,
            "seconds": seconds,
            "device_seconds": device_seconds,
        }


def sealed(loaded: Loaded, asked: SealedSet) -> Measured:
    """The score of a sealed set."""
    job, key = loaded.job, read_key(loaded.job.key_file)
    items = draw_set(asked.kind, asked.spec, job.domains, key, asked.nonce)
    progress = Progress(loaded.report, asked.kind, asked.spec.items * len(job.domains))
    lines = ask(job, items, loaded.engine, key, progress)
    return Measured(kind=asked.kind, scores=receipts.count(lines), **loaded.taken(lines, progress.tokens))


def listed(loaded: Loaded, asked: ListedSet) -> Measured:
    """The score of a list of tasks."""
    suites, taken = _run_lists(loaded, {asked.kind: asked.tasks}, asked.kind)
    return Measured(kind=asked.kind, scores=suites[asked.kind], **taken)


def guarded(loaded: Loaded) -> Guarded:
    """The scores of all guards."""
    suites, taken = _run_lists(loaded, {guard.name: guard for guard in loaded.job.guards}, "guards")
    return Guarded(suites=suites, **taken)


def _run_lists(loaded: Loaded, lists: Mapping[str, TaskList], what: str) -> tuple[dict[str, Scores], dict[str, Any]]:
    job, progress = loaded.job, Progress(loaded.report, what, 0)
    found, differs = run_lists(lists, loaded.engine.tasks(progress), run_code=job.run_code)
    return records.count(found), loaded.taken(found, progress.tokens, **differs)


def ask(job: EvaluationJob, items: Items, engine: Engine, key: bytes, count: Count) -> list[receipts.Line]:
    """What the model says to every item, by lm-eval, in the order of the items."""
    asking = partial(question, profile=job.profile, tokenizer=engine.tokenizer)
    check_room(job, [asking(item.prompt) for asked in items.values() for item in asked], engine.tokenizer)
    tasks = make_tasks(items, job.max_new_tokens, asking)
    results = run_tasks(engine.puzzles(count), {"tasks": tasks}, bootstrap_iters=0)
    return [
        receipts.line(item, sample["filtered_resps"][0], bool(sample["exact_match"]), key)
        for domain, asked in items.items()
        for item, sample in zip(asked, results["samples"][domain], strict=True)
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
        """Note the end of one batch; of a list of tasks nobody knows the total before."""
        self.done, self.tokens = self.done + answers, self.tokens + tokens
        self.report({"kind": self.kind, "step": self.done, "steps": max(self.total, self.done)})


def now() -> tuple[float, float]:
    """Wall seconds, and processor seconds of this process."""
    return time.monotonic(), time.process_time()


class Clock:
    """Wall and device seconds since the last lap; where the work is done elsewhere, device time is wall time."""

    def __init__(self, begun: tuple[float, float], waits: bool) -> None:
        self.last, self.waits = begun, waits

    def lap(self) -> tuple[float, float]:
        """Wall and device seconds of this lap."""
        before, self.last = self.last, now()
        wall, processor = (late - early for late, early in zip(self.last, before, strict=True))
        return wall, wall if self.waits else processor
