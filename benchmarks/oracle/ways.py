"""Three ways to the same answers, one adapter at a time: the oracle, lm-eval's own `hf` model, and bare generation.

Each begins with nothing but folders and ends with every answer's text; the bare one scores nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from lm_eval.evaluator import evaluate as run_tasks
from lm_eval.models.huggingface import HFLM
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.campaign import DOMAINS, ItemSet
from services.oracle.evaluate import evaluate
from services.oracle.harness.tasks import make_tasks
from services.oracle.job import EvaluationJob, SealedSet
from services.oracle.sets import draw_set
from services.runtime.prompting import plain_question
from services.runtime.storage.hashing import hash_folder
from tasks.item import Item

KEY = b"of the benchmark"
LENGTH, NEW = 256, 96
BATCH = 64
"""Of the peers; the oracle has its own."""

Texts = list[str]


@dataclass(frozen=True)
class MeasuredSet:
    """The set that is measured."""

    spec: ItemSet
    """Items per domain."""
    folder: Path
    """Where key and receipts lie."""

    @property
    def items(self) -> Mapping[str, Sequence[Item]]:
        """The items by domain."""
        return draw_set("dev", self.spec, DOMAINS, KEY, "bench")

    @property
    def number(self) -> int:
        """How many they are."""
        return self.spec.items * len(DOMAINS)


def oracle(base: Path, adapter: Path, item_set: MeasuredSet) -> Texts:
    """As a job of the oracle does it, to the receipt."""
    (item_set.folder / "key").write_bytes(KEY)
    job = EvaluationJob(
        candidate="r1s0",
        base=str(base),
        adapter=str(adapter),
        sha256=hash_folder(adapter),
        sets=(SealedSet(kind="dev", spec=item_set.spec, nonce="bench"),),
        domains=DOMAINS,
        key_file=str(item_set.folder / "key"),
        max_length=LENGTH,
        max_new_tokens=NEW,
        out=str(item_set.folder / "receipts"),
        copies="none",
    )
    (measured,) = evaluate(job, lambda _: None).measured
    return [json.loads(line)["output"] for line in Path(measured.receipt.uri).read_text().splitlines()]


def harness(base: Path, adapter: Path, item_set: MeasuredSet) -> Texts:
    """lm-eval's `hf` model on the same tasks, as `lm_eval --model hf --model_args pretrained=,peft=` makes it."""
    lm = HFLM(
        pretrained=str(base), peft=str(adapter), device="cpu", dtype="float32", batch_size=BATCH, max_length=LENGTH
    )
    tasks = make_tasks(item_set.items, NEW)
    for task in tasks.values():
        task.dataset = {"test": Dataset.from_list(task.dataset["test"])}  # as lm-eval's tasks have it
    results = run_tasks(lm, {"tasks": tasks}, bootstrap_iters=0)
    return [sample["filtered_resps"][0] for domain in DOMAINS for sample in results["samples"][domain]]


@torch.inference_mode()
def bare(base: Path, adapter: Path, item_set: MeasuredSet) -> Texts:
    """`generate` on batches of prompts sorted by length, the adapter merged."""
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    loaded: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model: Any = PeftModel.from_pretrained(loaded, adapter).merge_and_unload().eval()
    questions = [plain_question(item.prompt) for items in item_set.items.values() for item in items]
    lengths = [len(ids) for ids in tokenizer(questions)["input_ids"]]
    order = sorted(range(len(questions)), key=lambda at: -lengths[at])
    texts = dict.fromkeys(range(len(questions)), "")
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        encoded = tokenizer([questions[at] for at in part], return_tensors="pt", padding="longest", padding_side="left")
        shape = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
        written = model.generate(**shape, max_new_tokens=NEW, do_sample=False)[:, encoded["input_ids"].shape[1] :]
        texts.update(zip(part, tokenizer.batch_decode(written, skip_special_tokens=True), strict=True))
    return list(texts.values())


def timed(
    way: Callable[[Path, Path, MeasuredSet], Texts], base: Path, adapter: Path, item_set: MeasuredSet
) -> tuple[float, Texts]:
    """Processor seconds of this process, and the answers."""
    clock = time.process_time()
    texts = way(base, adapter, item_set)
    return time.process_time() - clock, texts
