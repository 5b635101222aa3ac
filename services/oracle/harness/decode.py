"""Greedy decoding of a batch in which rows that have ended are dropped.

`generate` computes every row until the longest has ended. Answers to puzzles have very different lengths, so a third of
that work is thrown away; here the batch shrinks, and with it the keys and values kept of it.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from services.oracle.harness.cache import make_cache

SHRINK = 0.85
"""Share of rows still running at which a batch is rewritten: each time costs a copy of its keys and values."""


def can_shrink(model: Any) -> bool:
    """Whether all that a model keeps of a row is keys and values; of others, `generate` alone knows how to keep it."""
    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(isinstance(layer, DynamicLayer) for layer in layers)


def decode(model: Any, ids: torch.Tensor, mask: torch.Tensor, length: int, end: int, filler: int) -> torch.Tensor:
    """The prompts with their greedy continuations, [rows, `length` at most].

    Prompts are padded on the left, continuations on the right with `filler`, after their end token.
    """
    room = length - ids.shape[1]
    written = ids.new_full((len(ids), room), filler)
    batch = _Batch(model, ids, mask)
    for step in range(room):
        rows, tokens = batch.step()
        written[rows, step] = tokens
        if not batch.left(end):
            return torch.cat([ids, written[:, : step + 1]], dim=1)
    return torch.cat([ids, written], dim=1)


class _Batch:
    """The rows that are still being written, and those that have ended since the last time they were dropped."""

    def __init__(self, model: Any, ids: torch.Tensor, mask: torch.Tensor) -> None:
        self.model, self.ids, self.mask = model, ids, mask
        self.place = (mask.cumsum(-1) - 1).clamp(min=0)
        self.cache = make_cache(model)
        self.running = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
        self.rows = torch.arange(len(ids), device=ids.device)

    def step(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows that run, as numbered at first, and the next token of each."""
        logits = self.model(
            input_ids=self.ids,
            attention_mask=self.mask,
            position_ids=self.place,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        self.token = logits.argmax(-1)
        return self.rows[self.running], self.token[self.running]

    def left(self, end: int) -> int:
        """How many rows have not ended by the last step, which the next one goes on from."""
        self.running &= self.token != end
        left = int(self.running.sum())
        if 0 < left <= SHRINK * len(self.running):
            self._shrink()
        self.ids = self.token[:, None]
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        self.place = self.place[:, -1:] + 1
        return left

    def _shrink(self) -> None:
        indices = self.running.nonzero().squeeze(1)
        self.cache.batch_select_indices(indices)
        self.rows, self.token, self.mask = self.rows[indices], self.token[indices], self.mask[indices]
        self.place, self.running = self.place[indices], self.running[indices]
