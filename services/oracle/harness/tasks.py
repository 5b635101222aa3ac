"""lm-eval tasks over items in memory: a sealed set never touches the disk, not even as a data set's cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from lm_eval.api.task import ConfigurableTask

from services.runtime.prompting import plain_question
from tasks.item import Item
from tasks.puzzles.scorer import correct

TEMPLATE = Path(__file__).with_name("puzzle.yaml")
"""The task as lm-eval reads it."""


Verdict = Callable[[Mapping[str, str], Sequence[str]], dict[str, int]]
"""The metric of a document's outputs, as lm-eval calls it."""


def verdict(document: Mapping[str, str], outputs: Sequence[str]) -> dict[str, int]:
    """The challenge's score of one output, as lm-eval's metric."""
    return {"exact_match": int(correct(document["prompt"], outputs[0], document["answer"]))}


def unjudged(document: Mapping[str, str], outputs: Sequence[str]) -> dict[str, int]:
    """No verdict: the scorers of suites judge all answers at once, after the last one."""
    return {"exact_match": 0}


def make_tasks(
    items: Mapping[str, Sequence[Item]],
    max_new_tokens: int,
    questions: Mapping[str, Sequence[str]] | None = None,
    judge: Verdict = verdict,
    stop: Sequence[str] = (),
) -> dict[str, ConfigurableTask]:
    """One task per domain, its documents in the order of the items.

    `questions` is what a model reads of them, plain text where left out.
    """
    tasks = {}
    for domain, domain_items in items.items():
        texts = questions[domain] if questions else [plain_question(item.question) for item in domain_items]
        pairs = zip(texts, domain_items, strict=True)
        documents = [{"question": text, "prompt": item.prompt, "answer": item.answer} for text, item in pairs]
        tasks[domain] = _task(domain, Documents(documents), max_new_tokens, judge, stop)
    return tasks


class ItemsTask(ConfigurableTask):  # type: ignore[misc]  # lm-eval is untyped
    """A task whose questions are passed on as they are, with their tokens."""

    def fewshot_context(self, doc: Mapping[str, str], *_: Any, **__: Any) -> str:
        """The question, which has its solved examples already."""
        return doc["question"]


class Documents(list[dict[str, str]]):
    """Rows as lm-eval reads them. A data set of `datasets` would decode each row anew, three times over."""

    @property
    def features(self) -> dict[str, str]:
        """The columns; lm-eval asks for their names."""
        return self[0]


def _task(domain: str, documents: Documents, max_new_tokens: int, judge: Verdict, stop: Sequence[str]) -> ItemsTask:
    config: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text())
    config["generation_kwargs"] |= {"max_gen_toks": max_new_tokens, "until": list(stop)}
    overrides = {"task": domain, "custom_dataset": lambda **_: {"test": documents}, "process_results": judge}
    return ItemsTask(config={**config, **overrides})
