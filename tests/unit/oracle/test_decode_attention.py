"""One query at a time is attended as transformers' `sdpa` attends it, and everything else by it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from services.oracle.harness import attention
from services.oracle.harness.attention import attend, use_products
from services.oracle.harness.decode import decode

END = 1


def states(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(groups: int) -> torch.nn.Module:
    """What the attention reads of its layer."""
    return cast(torch.nn.Module, SimpleNamespace(num_key_value_groups=groups, is_causal=True))


def left_out(rows: int, tokens: int, padding: int) -> torch.Tensor:
    """A mask in which each row has so many tokens of padding more than the one before."""
    places = torch.arange(tokens).expand(rows, tokens)
    return (places >= (padding * torch.arange(rows)[:, None]).clamp(max=tokens - 1))[:, None, None]


@given(
    shape=st.tuples(*[st.integers(1, 5)] * 4),
    tokens=st.integers(1, 20),
    padding=st.integers(0, 6) | st.none(),
    room=st.integers(0, 3),
)
def test_one_query_is_attended_as_by_sdpa(shape, tokens, padding, room):
    rows, heads, groups, width = shape
    query = states(rows, 1, heads * groups, width).transpose(1, 2)
    key, value = (states(rows, heads, tokens + room, width, seed=s)[:, :, :tokens] for s in (1, 2))
    mask = None if padding is None else left_out(rows, tokens, padding)
    ours, _ = attend(layer(groups), query, key, value, mask, scaling=0.3, dropout=0.0)
    theirs, _ = sdpa_attention_forward(layer(groups), query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("queries", "options"),
    [(3, {}), (1, {"position_bias": states(2, 2, 1, 7)}), (1, {"dropout": 0.5})],
    ids=["several queries", "a bias", "dropout"],
)
def test_all_else_is_left_to_sdpa(monkeypatch, queries, options):
    asked = []
    monkeypatch.setattr(attention, "sdpa_attention_forward", lambda *_, **options: asked.append(options))
    keys = states(2, 2, 7, 4)
    attend(layer(1), states(2, 2, queries, 4), keys, keys, None, **options)
    assert asked == [options]


def test_a_mask_that_differs_between_heads_is_left_to_sdpa():
    query, keys = states(2, 2, 1, 4), states(2, 2, 7, 4)
    mask = torch.rand(2, 2, 1, 7, generator=torch.Generator().manual_seed(3)) > 0.4
    ours, _ = attend(layer(1), query, keys, keys, mask)
    assert torch.equal(ours, sdpa_attention_forward(layer(1), query, keys, keys, mask)[0])


def model(**options) -> Any:  # `generate` takes a type of model that transformers does not say its models are
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = LlamaConfig(
        vocab_size=40,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=END,
        pad_token_id=0,
        **shape,
        **options,
    )
    return LlamaForCausalLM(config).eval()


@torch.inference_mode()
def test_a_batch_is_decoded_as_generate_does_it():
    ids = torch.randint(2, 40, (9, 6), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(6).expand(9, 6) >= torch.arange(9)[:, None].clamp(max=4)
    ids[~mask] = 0
    said = model().generate(input_ids=ids, attention_mask=mask.long(), max_length=30, do_sample=False)
    use_products(ours := model())
    assert ours.config._attn_implementation == attention.NAME
    written = decode(ours, ids, mask.long(), 30, (END,), 0)
    assert torch.equal(written, said)
    assert 0 < (said[:, 6:] == END).any(1).sum() < len(said)  # some rows end, some are cut


@pytest.mark.parametrize("change", [{"dtype": torch.bfloat16}, {"attn_implementation": "eager"}], ids=str)
def test_other_precisions_and_other_attention_keep_their_own(change):
    other = model(**{k: v for k, v in change.items() if k != "dtype"}).to(change.get("dtype"))
    before = other.config._attn_implementation
    use_products(other)
    assert other.config._attn_implementation == before
