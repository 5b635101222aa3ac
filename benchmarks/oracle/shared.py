"""All adapters of a round in one batch, which the oracle does not do: the weights of each stacked, a product per stack.

Kept to show what it would bring, in decoding alone. Each adapter is asked the same items, so each has as many rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from benchmarks.oracle.ways import BATCH, NEW, MeasuredSet, Texts
from services.oracle.harness.decode import SHRINK, decode
from services.runtime.prompting import plain_question


class Stacked(torch.nn.Module):
    """One linear layer of several models; rows of one model stand together."""

    def __init__(self, weights: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.weights = torch.stack([weight.T for weight in weights]).contiguous()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Each row by its model's weights, [rows, length, features]."""
        apart = rows.reshape(len(self.weights), -1, rows.shape[-1])
        return torch.bmm(apart, self.weights).reshape(*rows.shape[:-1], -1)


def merged(base: Path, adapter: Path) -> Any:
    """A model that needs no adapter any more."""
    loaded: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model: Any = PeftModel.from_pretrained(loaded, adapter).merge_and_unload().eval()
    return model


def stacked(models: Sequence[Any]) -> Any:
    """The first model with the layers of all."""
    for name, part in list(models[0].named_modules()):
        if isinstance(part, torch.nn.Linear) and name != "lm_head":
            above, _, own = name.rpartition(".")
            setattr(models[0].get_submodule(above), own, Stacked([m.get_submodule(name).weight for m in models]))
    return models[0]


def batches(base: Path, item_set: MeasuredSet, size: int) -> list[tuple[list[int], torch.Tensor, torch.Tensor, Any]]:
    """Which questions, their ids and mask, and the tokenizer."""
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    questions = [plain_question(item.prompt) for items in item_set.items.values() for item in items]
    order = sorted(range(len(questions)), key=lambda at: -len(tokenizer(questions[at])["input_ids"]))
    parts = [order[at : at + size] for at in range(0, len(order), size)]
    encoded = [
        tokenizer([questions[at] for at in p], return_tensors="pt", padding=True, padding_side="left") for p in parts
    ]
    return [(p, g["input_ids"], g["attention_mask"], tokenizer) for p, g in zip(parts, encoded, strict=True)]


@torch.inference_mode()
def timed(base: Path, adapters: Sequence[Path], item_set: MeasuredSet) -> tuple[float, list[Texts]]:
    """Processor seconds of the decoding for all adapters, and each one's answers."""
    model = stacked([merged(base, adapter) for adapter in adapters])
    texts = [[""] * item_set.number for _ in adapters]
    start = time.process_time()
    for part, ids, mask, tokenizer in batches(base, item_set, BATCH // 2):
        for row, written in enumerate(_together(model, ids, mask, len(adapters), tokenizer)):
            which, at = divmod(row, len(part))
            texts[which][part[at]] = tokenizer.decode(written, skip_special_tokens=True)
    return time.process_time() - start, texts


@torch.inference_mode()
def one_adapter(base: Path, adapter: Path, item_set: MeasuredSet) -> float:
    """Processor seconds of the oracle's decoding for one adapter."""
    model, start = merged(base, adapter), time.process_time()
    for _, ids, mask, tokenizer in batches(base, item_set, 2 * BATCH):
        length = ids.shape[1] + NEW
        written = decode(model, ids, mask, length, (tokenizer.eos_token_id,), tokenizer.pad_token_id)
        tokenizer.batch_decode(written[:, ids.shape[1] :], skip_special_tokens=True)
    return time.process_time() - start


def _together(model: Any, ids: torch.Tensor, mask: torch.Tensor, models: int, tokenizer: Any) -> list[list[int]]:
    """The tokens that each model writes after each prompt: the rows of the first model, of the second, and so on."""
    ids, mask = ids.repeat(models, 1), mask.repeat(models, 1)
    written = torch.full((len(ids), NEW), tokenizer.pad_token_id)
    rows, running = torch.arange(len(ids)).view(models, -1), torch.ones(models, len(ids) // models, dtype=torch.bool)
    cache, place = DynamicCache(config=model.config), (mask.cumsum(-1) - 1).clamp(min=0)
    for step in range(NEW):
        encoded = {"input_ids": ids, "attention_mask": mask, "position_ids": place}
        token = model(**encoded, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1].argmax(-1)
        written[rows[running], step] = token[running.flatten()]
        running &= token.view(models, -1) != tokenizer.eos_token_id
        if not (left := int(running.sum(1).max())):
            break
        if left <= SHRINK * running.shape[1]:  # each model keeps as many rows, so some that have ended stay
            chosen = running.int().argsort(dim=1, descending=True, stable=True)[:, :left]
            at = (chosen + torch.arange(models)[:, None] * running.shape[1]).flatten()
            cache.batch_select_indices(at)
            rows, running = rows.flatten()[at].view(models, -1), running.flatten()[at].view(models, -1)
            token, mask, place = token[at], mask[at], place[at]
        ids, place = token[:, None], place[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    tokens: list[list[int]] = written.tolist()
    return tokens
