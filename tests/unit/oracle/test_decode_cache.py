"""The keys and values of a batch are those that transformers' own cache would hold, whatever comes and goes."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, MistralConfig
from transformers.cache_utils import DynamicLayer

from services.oracle.harness.cache import BLOCK, GrowingLayer, make_cache
from tests.typed import there

HEADS, WIDTH = 2, 3
STEPS = st.lists(st.integers(1, BLOCK + 2) | st.floats(0, 1), min_size=1, max_size=12)
"""Tokens that come, or the share of rows that stays."""


def states(rows: int, tokens: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, HEADS, tokens, WIDTH, generator=torch.Generator().manual_seed(seed))


@given(rows=st.integers(1, 9), steps=STEPS)
def test_a_growing_layer_holds_what_a_copying_one_does(rows, steps):
    ours, theirs = GrowingLayer(), DynamicLayer()
    for at, step in enumerate([1, *steps]):
        if isinstance(step, int):
            new = states(rows, step, at), states(rows, step, -at)
            attended = [layer.update(*new) for layer in (ours, theirs)]
            assert all(torch.equal(a, b) for a, b in zip(*attended, strict=True))
        else:
            kept = torch.randperm(rows, generator=torch.Generator().manual_seed(at))[: max(1, round(step * rows))]
            rows = len(kept)
            for layer in (ours, theirs):
                layer.batch_select_indices(kept.sort().values)
        assert torch.equal(there(ours.keys), there(theirs.keys))
        assert torch.equal(there(ours.values), there(theirs.values))
        assert ours.get_mask_sizes(1) == theirs.get_mask_sizes(1)


def test_tokens_that_find_room_are_not_a_reason_to_copy_the_others():
    layer = GrowingLayer()
    layer.update(states(4, 3, 0), states(4, 3, 1))
    place = there(layer.keys).data_ptr()
    for seed in range(BLOCK - 3):
        layer.update(states(4, 1, seed), states(4, 1, seed))
    assert there(layer.keys).data_ptr() == place
    layer.update(states(4, 1, 0), states(4, 1, 0))
    assert there(layer.keys).data_ptr() != place


def test_layers_that_forget_are_left_to_transformers():
    config = LlamaConfig(num_hidden_layers=2)
    assert {type(layer) for layer in make_cache(SimpleNamespace(config=config)).layers} == {GrowingLayer}
    sliding = make_cache(SimpleNamespace(config=MistralConfig(num_hidden_layers=2, sliding_window=8)))
    assert GrowingLayer not in {type(layer) for layer in sliding.layers}
