"""Small lm-eval tasks in a folder: YAML beside its JSON lines, in words that the tiny model's tokenizer knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

CHOICE: dict[str, Any] = {
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{right}}",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0},
}
WRITTEN: dict[str, Any] = {
    **CHOICE,
    "output_type": "generate_until",
    "doc_to_choice": None,
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8, "do_sample": False},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}
SUMS: list[dict[str, Any]] = [
    {"question": f"{a} + {b} =", "choices": [str(a + b), "7"], "right": 0, "answer": "7"}
    for a in (1, 2)
    for b in (1, 3)
]


def write_task(
    folder: Path, name: str, config: dict[str, Any], rows: Sequence[Mapping[str, Any]] = SUMS, **differs
) -> None:
    """A task file and its data."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"data_files": {"test": f"{name}.jsonl"}}
    known = {k: v for k, v in {**config, **differs}.items() if v is not None}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"task": name, **known, "dataset_kwargs": data}))
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
