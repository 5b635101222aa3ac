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


def make_tasks(
    items: Mapping[str, Sequence[Item]], max_new_tokens: int, question: Callable[[str], str] = plain_question
) -> dict[str, ConfigurableTask]:
    """One task per domain, its documents in the order of the items; `question` is what a model reads of a prompt."""
    return {domain: _task(domain, domain_items, max_new_tokens, question) for domain, domain_items in items.items()}


class Documents(list[dict[str, str]]):
    """Rows as lm-eval reads them. A data set of `datasets` would decode each row anew, three times over."""

    @property
    def features(self) -> dict[str, str]:
        """The columns; lm-eval asks for their names."""
        return self[0]


def _task(domain: str, items: Sequence[Item], max_new_tokens: int, question: Callable[[str], str]) -> ConfigurableTask:
    config: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text())
    config["generation_kwargs"]["max_gen_toks"] = max_new_tokens
    columns = [{"question": question(item.prompt), "prompt": item.prompt, "answer": item.answer} for item in items]
    documents = Documents(columns)
    overrides = {"task": domain, "custom_dataset": lambda **_: {"test": documents}, "process_results": verdict}
    return ConfigurableTask(config={**config, **overrides})


def verdict(document: Mapping[str, str], outputs: Sequence[str]) -> dict[str, int]:
    """The challenge's score of one output, as lm-eval's metric."""
    return {"exact_match": int(correct(document["prompt"], outputs[0], document["answer"]))}
