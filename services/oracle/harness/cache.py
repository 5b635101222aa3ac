"""Keys and values of a batch that is decoded, written in place: transformers' own cache copies them for every token.

What is held is a view of a larger tensor, which has room for the next tokens. What is attended to is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

BLOCK = 4
"""Tokens for which room is made at a time, so that all is copied once in so many steps.

More room is fewer copies and slower reading: a processor fetches ahead over small gaps alone.
"""


def make_cache(model: Any) -> DynamicCache:
    """An empty cache of a model. Layers that keep all tokens are ours, others (sliding windows) transformers' own."""
    cache = DynamicCache(config=model.config)
    growing: Callable[[], DynamicLayer] = GrowingLayer
    cache.layers = [growing() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class Growing:
    """Keys or values: `held`, [rows, heads, tokens, width], and room for more tokens."""

    def __init__(self, like: torch.Tensor) -> None:
        self._room = self.held = like[..., :0, :]

    def append(self, states: torch.Tensor) -> torch.Tensor:
        """Take in those of the next tokens; all that is held."""
        tokens = self.held.shape[-2]
        end = tokens + states.shape[-2]
        if end > self._room.shape[-2]:
            self._grow(-(-end // BLOCK) * BLOCK)
        self._room[..., tokens:end, :] = states
        self.held = self._room[..., :end, :]
        return self.held

    def select(self, rows: torch.Tensor) -> torch.Tensor:
        """Keep these rows alone, at the beginning of the same tensor; all that is held."""
        tokens = self.held.shape[-2]
        self._room = self._room[: len(rows)]
        self._room[..., :tokens, :] = self.held[rows]
        self.held = self._room[..., :tokens, :]
        return self.held

    def _grow(self, capacity: int) -> None:
        rows, heads, tokens, width = self.held.shape
        self._room = self.held.new_empty(rows, heads, capacity, width)
        self._room[..., :tokens, :] = self.held


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # of transformers' own hook
    """A layer of a cache."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Make room for rows and heads like these."""
        super().lazy_initialization(key_states, value_states)
        self._keys, self._values = Growing(key_states), Growing(value_states)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in the keys and values of the next tokens; all there are."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.values = self._keys.append(key_states), self._values.append(value_states)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows alone."""
        self.keys, self.values = self._keys.select(indices), self._values.select(indices)
