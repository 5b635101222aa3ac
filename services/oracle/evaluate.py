"""One model's measurement by lm-eval, in process: a plain function, run in a subprocess with torch.

The base is loaded, the adapter joined to it, and every sealed set, list of tasks and guard of the job measured on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lm_eval.evaluator import evaluate as run_tasks
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from puzzles.item import Item
from schemas.base import Frozen
from schemas.scores import Scores
from schemas.tasks import TaskList
from services.oracle import receipts, records
from services.oracle.adapters import adapter
from services.oracle.harness.model import GreedyLM, TaskLM
from services.oracle.harness.tasks import make_tasks, question
from services.oracle.job import (
    AdapterMissing,
    Evaluated,
    EvaluationJob,
    Guarded,
    ListedSet,
    Measured,
    PromptTooLong,
    SealedSet,
)
from services.oracle.listed import run_lists
from services.oracle.sets import draw_set, read_key
from services.oracle.stamp import BATCH, stamp
from services.runtime.models import model_folder

Report = Callable[[dict[str, Any]], None]

Items = Mapping[str, Sequence[Item]]


def evaluate(job: EvaluationJob, report: Report) -> Evaluated:
    """Scores with receipts, one per set and one for all guards; `report` gets {"kind", "step", "steps"} after a batch.

    Raises `KeyMissing`, `ModelMissing`, `AdapterChanged`, `AdapterMissing`, `PromptTooLong`, `TaskRefused`,
    `CodeRefused`, or `StoreFailed`.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of every way in which we use it
    clock = Clock()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(model_folder(job.base))
    loaded = Loaded(job, report, clock, device, tokenizer, load(job, device))
    measured = [sealed(loaded, asked) for asked in job.sets]
    measured += [listed(loaded, asked) for asked in job.lists]
    return Evaluated(candidate=job.candidate, measured=tuple(measured), guarded=guarded(loaded) if job.guards else None)


@dataclass
class Loaded:
    """A job and its model."""

    job: EvaluationJob
    report: Report
    clock: Clock
    device: str
    tokenizer: Any
    model: Any

    def taken(self, lines: Sequence[Frozen], tokens: int, **differs: str) -> dict[str, Any]:
        """Receipt, stamp and cost of what was measured since the last time; what `differs` stands in the stamp."""
        seconds, device_seconds = self.clock.lap()
        stamped = stamp(self.job, self.device, str(self.model.dtype).removeprefix("torch."))
        return {
            "receipt": receipts.write(lines, self.job.out),
            "stamp": stamped.model_copy(update=differs),
            "tokens": tokens,
            "seconds": seconds,
            "device_seconds": device_seconds,
        }


def sealed(loaded: Loaded, asked: SealedSet) -> Measured:
    """The score of a sealed set."""
    job, key = loaded.job, read_key(loaded.job.key_file)
    items = draw_set(asked.kind, asked.spec, job.domains, key, asked.nonce)
    progress = Progress(loaded.report, asked.kind, asked.spec.items * len(job.domains))
    lines = ask(job, items, loaded.model, loaded.tokenizer, key, progress)
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
    lm = TaskLM(loaded.model, loaded.tokenizer, BATCH, job.max_length, job.max_new_tokens, progress)
    found, differs = run_lists(lists, lm, run_code=job.run_code)
    return records.count(found), loaded.taken(found, progress.tokens, **differs)


def load(job: EvaluationJob, device: str) -> Any:
    """The base with the job's adapter, ready to generate.

    In single precision the adapter is merged, which halves the time of a step. In bfloat16 it stays beside the base:
    merging would round its small updates away. Raises `ModelMissing`, `AdapterChanged` or `AdapterMissing`.
    """
    trained = adapter(job.adapter, job.sha256, Path(job.copies))
    if device == "cpu":
        torch.set_num_threads(1)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    base: Any = AutoModelForCausalLM.from_pretrained(model_folder(job.base), dtype=dtype)
    base = base.to(device).eval()
    if trained is None:
        return base
    if not (trained / "adapter_config.json").is_file():
        raise AdapterMissing(f"adapter: {job.adapter!r} holds no adapter_config.json; train the candidate again")
    adapted: Any = PeftModel.from_pretrained(base, trained).eval()
    return adapted.merge_and_unload() if dtype == torch.float32 else adapted


def ask(
    job: EvaluationJob, items: Items, model: Any, tokenizer: Any, key: bytes, count: Callable[[int, int], None]
) -> list[receipts.Line]:
    """What the model says to every item, by lm-eval, in the order of the items."""
    check_room(job, items, tokenizer)
    lm = GreedyLM(model, tokenizer, BATCH, job.max_length, count)
    results = run_tasks(lm, {"tasks": make_tasks(items, job.max_new_tokens)}, bootstrap_iters=0)
    return [
        receipts.line(item, sample["filtered_resps"][0], bool(sample["exact_match"]), key)
        for domain, asked in items.items()
        for item, sample in zip(asked, results["samples"][domain], strict=True)
    ]


def check_room(job: EvaluationJob, items: Items, tokenizer: Any) -> None:
    """Raise `PromptTooLong` where lm-eval would silently cut a prompt to make room for its answer."""
    prompts = [question(item) for asked in items.values() for item in asked]
    longest = max(len(ids) for ids in tokenizer(prompts)["input_ids"])
    if longest > (room := job.max_length - job.max_new_tokens):
        raise PromptTooLong(
            f"model.max_length: {job.max_length} less max_new_tokens {job.max_new_tokens} leaves {room} tokens, the "
            f"longest prompt has {longest}; raise max_length or lower max_new_tokens"
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


class Clock:
    """Wall and device seconds since the last lap; an accelerator's device time is its wall time."""

    def __init__(self) -> None:
        self.last = self._now()

    def lap(self) -> tuple[float, float]:
        """Wall and device seconds of this lap."""
        before, self.last = self.last, self._now()
        return self.last[0] - before[0], self.last[1] - before[1]

    def _now(self) -> tuple[float, float]:
        wall = time.monotonic()
        return wall, wall if torch.cuda.is_available() else time.process_time()
