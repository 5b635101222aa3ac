"""Attention of one new token on a processor, by two batched products, which read keys and values where they lie.

PyTorch's kernel is made for many queries at a time, and takes nearly twice as long for one. All else is left to it.
What it is worth is measured by `make bench-oracle` (docs/reference/benchmarks/oracle.md).
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_one_query"
USUAL = "sdpa"
HEEDED = ("position_bias", "cache", "softcap")


def use_products(model: Any) -> None:
    """Have a model attend so, if it is in single precision, on a processor, and attends by `sdpa`; else do nothing."""
    usual = model.config._attn_implementation == USUAL  # noqa: SLF001  # transformers has no other word for it
    if usual and model.device.type == "cpu" and model.dtype == torch.float32:
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """What `sdpa` gives, [rows, queries, heads, width], of queries [rows, heads, queries, width].

    Keys and values are [rows, as many heads or fewer, tokens, width]; a mask says which tokens count.
    """
    if not _simple(query, attention_mask, options):
        attended: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return attended
    rows, heads, _, width = query.shape
    scale = options.get("scaling") or width**-0.5
    grouped = query.reshape(rows * key.shape[1], -1, width)  # the heads that share keys and values lie together
    scores = torch.bmm(grouped * scale, key.flatten(0, 1).transpose(1, 2))
    if attention_mask is not None:
        of_heads = scores.view(rows, key.shape[1], -1, key.shape[2])
        of_heads.masked_fill_(attention_mask.logical_not(), torch.finfo(scores.dtype).min)
    summed = torch.bmm(scores.softmax(-1), value.flatten(0, 1))
    return summed.view(rows, 1, heads, -1), None


def _simple(query: torch.Tensor, mask: torch.Tensor | None, options: dict[str, Any]) -> bool:
    """Whether each row has one query, all heads share one mask, and no other option of `sdpa` is set."""
    extras = options.get("dropout") or any(options.get(name) is not None for name in HEEDED)
    masked = mask is None or (mask.dtype == torch.bool and mask.shape[1] == 1)
    return query.shape[2] == 1 and masked and not extras
