"""Measures a model on lists of tasks by lm-eval: records with a value for every item, and how they were taken."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from lm_eval.evaluator import evaluate as run_tasks

from schemas.base import digest
from schemas.prompts import Prompt
from schemas.tasks import TaskList, TaskScore
from services.oracle.harness.chat import chat_arguments
from services.oracle.harness.lists import load_tasks
from services.oracle.job import POLICY, TaskRefused
from services.oracle.records import Record
from services.runtime.storage.hashing import hash_source

SEED = 1234
"""Of tasks whose answers are drawn at random."""

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""Where an object lies in memory, which differs between processes."""


def run_lists(
    lists: Mapping[str, TaskList],
    lm: Any,
    *,
    run_code: bool,
    form: Prompt = Prompt(),  # noqa: B008 - frozen
    tokenizer: Any = None,
) -> tuple[list[Record], dict[str, str]]:
    """Every item's record, by suite and task; and what goes into the stamp: `harness` and `template_sha256`.

    Raises `TaskRefused`, `CodeRefused`, `PromptTooLong`, `CodeTaskUnknown`, `ChatTemplateMissing` or
    `SandboxUnavailable`.
    """
    loaded = {suite: load_tasks(listed, run_code=run_code) for suite, listed in lists.items()}
    records = [record for suite, listed in lists.items() for record in _run(suite, listed, loaded[suite], lm, form)]
    asked = {"form": form.model_dump(mode="json")} if form.chat or form.system else {}
    if form.chat:
        asked["chat_template"] = tokenizer.chat_template
    return records, {
        "harness": f"lm-eval {version('lm-eval')}; " + "; ".join([*_labels(lists, loaded), *_form_labels(form)]),
        "template_sha256": _fingerprint(loaded, records, asked),
    }


def _form_labels(form: Prompt) -> Iterator[str]:
    """What the stamp names of the form; plain text is what tasks are written for."""
    yield POLICY
    if form.chat:
        yield "chat template"
    if form.system:
        yield "system instruction"


def _run(suite: str, listed: TaskList, tasks: Mapping[str, Any], lm: Any, form: Prompt) -> Iterator[Record]:
    torch.manual_seed(SEED)
    by_name = {task.config.task: task for task in tasks.values()}
    part = _part(listed, by_name)
    results = run_tasks(lm, {"tasks": by_name}, bootstrap_iters=0, **part, **chat_arguments(form))
    for score in listed.tasks:
        samples = [s for s in results["samples"][score.task] if s["filter"] == score.filter]
        records = [_record(suite, score, sample) for sample in samples]
        _check_mean(score, records, results["results"][score.task][f"{score.metric},{score.filter}"])
        yield from records


def _part(listed: TaskList, tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Which items of each task are measured, as lm-eval's argument. Raises `TaskRefused` where none is left."""
    if not listed.first:
        return {"limit": listed.limit}
    samples = {}
    for name, task in tasks.items():
        number = len(task.eval_docs)
        if number <= listed.first:
            raise TaskRefused(
                f"tasks: {name} has {number} items, none after the first {listed.first}, which dev takes; lower "
                "evaluation.dev.items, or name other tasks for confirm"
            )
        samples[name] = range(listed.first, min(number, listed.first + (listed.limit or number)))
    return {"samples": samples}


def _record(suite: str, score: TaskScore, sample: Mapping[str, Any]) -> Record:
    value = sample[score.metric]
    if isinstance(value, (list, tuple, str)) or not 0 <= value <= 1:
        raise TaskRefused(
            f"tasks: {score.task}: {score.metric} of item {sample['doc_id']} is no number within 0 and 1; "
            "choose a metric that is"
        )
    return Record(
        suite=suite,
        task=score.name,
        item=sample["doc_id"],
        document=sample["doc_hash"],
        prompt=sample["prompt_hash"],
        outputs=json.loads(json.dumps(sample["filtered_resps"])),
        value=float(value),
    )


def _check_mean(score: TaskScore, records: list[Record], whole: float) -> None:
    """Whether lm-eval's own figure is the mean over items: only then can a standard error be taken from them."""
    mean = math.fsum(record.value for record in records) / len(records)
    if not math.isclose(mean, whole, abs_tol=1e-9):
        raise TaskRefused(
            f"tasks: {score.task}: {score.metric} is {whole:.6g} by lm-eval, the mean over its items is {mean:.6g}; "
            "choose a metric that is a mean over items"
        )


def _labels(lists: Mapping[str, TaskList], loaded: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for suite, listed in lists.items():
        part = f", first {listed.limit}" if listed.limit else ""
        part += f" after {listed.first}" if listed.first else ""
        for score in listed.tasks:
            task = loaded[suite][score.name]
            yield f"{score.task} {task.VERSION}, {score.metric}, {score.filter}, {task.config.num_fewshot}-shot{part}"


def _fingerprint(loaded: Mapping[str, Mapping[str, Any]], records: list[Record], form: Mapping[str, Any]) -> str:
    """Hash of our code, of the tasks' configurations with their functions' source, of every prompt and of its form."""
    configs = {suite: {name: _config(task) for name, task in tasks.items()} for suite, tasks in loaded.items()}
    prompts = [(r.suite, r.task, r.item, r.document, r.prompt) for r in records]
    return digest({"code": _code(), "configs": configs, "prompts": prompts, **form})


@cache
def _code() -> str:
    modules = ("harness", "task_lists", "records")
    return hash_source(*(f"services.oracle.{module}" for module in modules))


def _config(task: Any) -> Any:
    """A task's configuration as plain data, without the place that it was read from."""
    config = task.dump_config()
    config["metadata"] = {k: v for k, v in (config.get("metadata") or {}).items() if k != "config_source"}
    return json.loads(ADDRESS.sub("", json.dumps(config, default=_source)))


def _source(value: Any) -> str:
    try:
        return inspect.getsource(value)
    except (TypeError, OSError):
        return repr(value)
