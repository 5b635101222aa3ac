"""Greedy decoding of a batch in which rows that have ended are dropped.

`generate` computes every row until the longest has ended. Answers to puzzles have very different lengths, so a third of
that work is thrown away; here the batch shrinks, and with it the keys and values kept of it.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class StopTexts:
    """Texts that end an answer, which are sought in its last tokens after each step."""

    def __init__(self, texts: Sequence[str], tokenizer: Any) -> None:
        self.texts, self._tokenizer = tuple(texts), tokenizer
        self._window = max((len(text.encode()) for text in texts), default=0) + 4

    def found(self, written: torch.Tensor) -> torch.Tensor:
        """Which rows of answers [rows, tokens] have a stop text among their last tokens."""
        tails = self._tokenizer.batch_decode(written[:, -self._window :], skip_special_tokens=True)
        return torch.tensor([any(text in tail for text in self.texts) for tail in tails], device=written.device)


def decode(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    length: int,
    ends: Sequence[int],
    filler: int,
    stop: StopTexts | None = None,
) -> torch.Tensor:
    """The prompts with their greedy continuations, [rows, `length` at most].

    Prompts are padded on the left, continuations on the right with `filler`, after one of their end tokens or the token
    that completes a stop text.
    """
    room = length - ids.shape[1]
    written = ids.new_full((len(ids), room), filler)
    batch, last = _Batch(model, ids, mask), ids.new_tensor(list(ends))
    for step in range(room):
        rows, tokens = batch.step()
        written[rows, step] = tokens
        ended = torch.isin(tokens, last)
        if stop and stop.texts:
            ended |= stop.found(written[rows, : step + 1])
        if not batch.left(ended):
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

    def left(self, ended: torch.Tensor) -> int:
        """How many rows go on after the last step, in which `ended` of those that ran have ended."""
        self.running[self.running.clone()] = ended.logical_not()
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
