"""One model's measurement by lm-eval: a plain function, run in a subprocess with torch.

An engine is opened with the candidate's model, and every sealed set, list of tasks and guard of the job measured on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from lm_eval.evaluator import evaluate as run_tasks

from schemas.base import Frozen
from schemas.scores import Scores
from schemas.tasks import TaskList
from services.oracle import receipts, records
from services.oracle.engines.engine import Count, Engine
from services.oracle.engines.registry import engine_kind
from services.oracle.harness import asked
from services.oracle.harness.tasks import make_tasks, unjudged
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
from services.oracle.sets import Part, draw_set, read_key
from services.oracle.stamp import stamp
from services.oracle.suites import Suites, by_domain, suites_of
from services.oracle.task_lists import run_lists
from services.runtime.prompting import BOS_REMEDY, EndTokenMissing, adds_special_tokens, bos_missing
from services.runtime.storage.model_folders import load_tokenizer, model_folder
from tasks.item import Item
from tasks.puzzles.scorer import correct

Report = Callable[[dict[str, Any]], None]

Items = Mapping[str, Sequence[Item]]


def evaluate(job: EvaluationJob, report: Report) -> Evaluated:
    """Scores with receipts, one per set and one for all guards; `report` gets {"kind", "step", "steps"} after a batch.

    Raises `KeyMissing`, `ModelMissing`, `ModelDamaged`, `PickledWeights`, `AdapterChanged`, `AdapterMissing`,
    `AdapterUnsafe`, `AdapterRefused`, `TokenizerUnfit`, `EndTokenMissing`, `ChatTemplateMissing`, `PromptTooLong`,
    `OtherStamp`, `TaskRefused`, `CodeRefused`, or `StoreFailed`; of suites `SuiteRefused`, `ItemsChanged`,
    `SetTooSmall`, `ScoreInvalid`, `UserCodeFailed` or `NothingScored`; and where a server computes,
    `EngineUnreachable`, `EngineSilent`, `EngineDenied`, `EngineGarbled`, `EngineMismatched` or `EngineRefused`.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns about each of our settings
    start = now()
    tokenizer = load_tokenizer(model_folder(job.base))
    check_begin(tokenizer, job)
    with suites_of(job) as suites:
        drawn = [Drawn.of(job, item_set, suites) for item_set in job.sets]  # what is missing is found before any work
        with engine_kind(job.engine.kind).open(job, tokenizer) as engine:
            base = base_measurement(job, stamp(job, engine))
            loaded = Loaded(job, report, Clock(start, engine.waits), engine, suites)
            measured = [sealed(loaded, one) for one in drawn]
            measured += [listed(loaded, item_set) for item_set in job.lists]
            guards = guarded(loaded) if job.guards else None
    reference = evaluate(base, report).measured[0] if base else None
    return Evaluated(candidate=job.candidate, measured=tuple(measured), guarded=guards, reference=reference)


@dataclass
class Drawn:
    """A sealed set with its items."""

    item_set: SealedSet
    """The set."""
    items: Items
    """Its items by domain, in the order in which they are asked."""
    parts: Sequence[Part]
    """The same by suite; none of puzzles."""

    @classmethod
    def of(cls, job: EvaluationJob, item_set: SealedSet, suites: Suites | None) -> Drawn:
        """The set drawn with the job's key. Raises `KeyMissing`, `SetTooSmall` or `SuiteRefused`."""
        key = read_key(job.key_file)
        if suites is None:
            return cls(item_set, draw_set(item_set.kind, item_set.spec, job.domains, key, item_set.nonce), ())
        parts = suites.draw(item_set, job.domains, key)
        return cls(item_set, by_domain(parts), parts)


@dataclass
class Loaded:
    """A job and the engine that has its model."""

    job: EvaluationJob
    report: Report
    clock: Clock
    engine: Engine
    suites: Suites | None = None

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


def sealed(loaded: Loaded, drawn: Drawn) -> Measured:
    """The score of a sealed set."""
    job, kind = loaded.job, drawn.item_set.kind
    progress = Progress(loaded.report, kind, sum(map(len, drawn.items.values())))
    lines = ask(job, drawn, loaded.engine, loaded.suites, progress)
    return Measured(kind=kind, scores=receipts.count(lines), **loaded.result(lines, progress.tokens))


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
    lm, form = loaded.engine.tasks(progress), job.list_form
    lines, changes = run_lists(lists, lm, run_code=job.run_code, form=form, tokenizer=loaded.engine.tokenizer)
    return records.count(lines), loaded.result(lines, progress.tokens, **changes)


def ask(job: EvaluationJob, drawn: Drawn, engine: Engine, suites: Suites | None, count: Count) -> list[receipts.Line]:
    """The receipt line of every item, in order: the model's output by lm-eval, and its verdict or score."""
    questions = {domain: questions_of(items, job, engine.tokenizer) for domain, items in drawn.items.items()}
    check_room(job, list(chain.from_iterable(questions.values())))
    tasks = make_tasks(drawn.items, job.max_new_tokens, questions, unjudged, job.form.stop)
    samples = run_tasks(engine.puzzles(count), {"tasks": tasks}, bootstrap_iters=0)["samples"]
    answers = [sample["filtered_resps"][0] for domain in drawn.items for sample in samples[domain]]
    outputs, key = [asked.cut(answer, job.form.stop) for answer in answers], read_key(job.key_file)
    if suites:
        return suites.lines(drawn.parts, outputs, key)
    pairs = zip(chain.from_iterable(drawn.items.values()), outputs, strict=True)
    return [receipts.line(item, output, correct(item.prompt, output, item.answer), key) for item, output in pairs]


def questions_of(items: Sequence[Item], job: EvaluationJob, tokenizer: Any) -> list[asked.Asked]:
    """What the model reads of items, by the form of the job. Raises `ChatTemplateMissing`."""
    return asked.ask([item.question for item in items], job.form, tokenizer)


def check_room(job: EvaluationJob, questions: Sequence[asked.Asked]) -> None:
    """Raise `PromptTooLong` where lm-eval would silently cut a prompt to make room for its answer."""
    longest = max(len(question.ids) for question in questions)
    if longest > (room := job.max_length - job.max_new_tokens):
        raise PromptTooLong(
            f"model.max_length: {job.max_length} less max_new_tokens {job.max_new_tokens} leaves {room} tokens, the "
            f"longest prompt has {longest}; raise max_length or lower max_new_tokens"
        )


def check_begin(tokenizer: Any, job: EvaluationJob) -> None:
    """Raise `TokenizerUnfit` where texts do not begin as the model expects, and the form adds nothing itself.

    Raises `EndTokenMissing` where nothing would end an answer.
    """
    if tokenizer.eos_token_id is None:
        raise EndTokenMissing(
            f"model.base: the tokenizer of {job.base} has no end token (eos_token), so no answer would end; name one "
            "in tokenizer_config.json"
        )
    if adds_special_tokens(job.form) and bos_missing(Path(job.base), tokenizer):
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
