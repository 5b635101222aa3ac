"""Which attention a model uses, decided in one place by what is installed; packed rows must not see one another in it.

Flash attention where its package is there and the model has it, since it neither builds a mask nor computes what the
mask hides; else the library's own choice, which is torch's fused attention. In both, positions that start again at 0
within a sequence tell rows apart (a block-diagonal mask, or flash attention's boundaries of variable length).
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.utils.import_utils import is_flash_attn_2_available

FLASH = "flash_attention_2"


class RowsSeen(Exception):
    """The model lets packed rows see one another."""


def choose(model: Any) -> None:
    """Set a loaded model's attention."""
    if is_flash_attn_2_available() and getattr(model, "_supports_flash_attn", False):
        model.set_attn_implementation(FLASH)


@torch.no_grad()
def check_packing(model: Any, device: str) -> None:
    """Raise `RowsSeen` where what stands before a row in a sequence changes the row's logits.

    Attention can be masked; a state that runs along the sequence (Mamba) cannot, unless the model resets it.
    """
    row = torch.arange(1, 9, device=device)
    alone = model(input_ids=row[None], use_cache=False).logits[0].float()
    positions = torch.arange(8, device=device).repeat(2)[None]
    both = model(input_ids=torch.cat([row.flip(0), row])[None], position_ids=positions, use_cache=False)
    apart = (both.logits[0, 8:].float() - alone).abs().max() / alone.abs().max()
    if apart > TOLERANCE:
        raise RowsSeen(
            "recipe.packing: packed rows see one another in this model, which carries a state along the sequence; say "
            "packing: buckets"
        )


TOLERANCE = 0.02
"""Largest relative difference that rounding makes, in bfloat16 and another order of sums."""
