"""The base model on its device: number format and attention.

Weights are read from safetensors only, since a pickle could run code. On the device `meta` a model has its layers, and
no weight is read.

Flash attention is used where its package is installed and the model supports it: it builds no mask and skips masked
pairs. Otherwise the library chooses, torch's fused attention. In both, positions that restart at 0 within a sequence
keep packed rows apart: a block-diagonal mask, or flash attention's variable-length boundaries, which transformers finds
in a batch of one sequence alone (`modeling_flash_attention_utils._is_packed_sequence`).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from transformers.utils.import_utils import is_flash_attn_2_available

from services.runtime.storage.model_folders import misfit_named
from services.trainer.job import QuantizerMissing, RowsSeen

META = "meta"

FLASH = "flash_attention_2"

TOLERANCE = 0.02
"""Largest relative difference of logits that rounding explains, in bfloat16 and another order of sums."""


def load(base: Path, device: str, dtype: torch.dtype) -> Any:
    """The base of a folder, in the given number format. Raises `ModelDamaged` where its files do not make a model."""
    if device == META:
        with torch.device(META):
            config = AutoConfig.from_pretrained(base, trust_remote_code=False)
            return AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)  # type: ignore[no-untyped-call]
    with misfit_named(base):
        model: Any = AutoModelForCausalLM.from_pretrained(
            base, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    return model.to(device)


def load_in_4_bits(base: Path, device: str, dtype: torch.dtype) -> Any:
    """Linear layers in 4 bits, NF4 with quantised constants, computed in `dtype` (QLoRA, arXiv 2305.14314).

    Raises `QuantizerMissing` where bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise QuantizerMissing("recipe.adapter: qlora needs bitsandbytes; install aevolve[qlora], or use adapter: lora")
    four_bits = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    device_map = {"": torch.cuda.current_device() if device == "cuda" else device}
    with misfit_named(base):
        model: Any = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=dtype,
            quantization_config=four_bits,
            device_map=device_map,
            use_safetensors=True,
            trust_remote_code=False,
        )
    for module in model.modules():
        # On a processor with AVX512-BF16 the first evaluation would repack the weights for a kernel without gradients.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def use_flash_attention(model: Any) -> None:
    """Switch a loaded model to flash attention where package and model allow it."""
    if is_flash_attn_2_available() and getattr(model, "_supports_flash_attn", False):
        model.set_attn_implementation(FLASH)


def uses_flash_attention(model: Any) -> bool:
    """Whether a model's attention separates rows by variable-length boundaries instead of a mask."""
    return "flash" in str(getattr(model.config, "_attn_implementation", None))


@torch.no_grad()
def check_packing(model: Any, device: str, sequences: int = 1) -> None:
    """Raise `RowsSeen` where a row's logits change with the row before it in a sequence.

    `sequences` is the number of sequences in a pass, as training has it; more than two are tried as two. Attention can
    be masked; a state that runs along the sequence (Mamba) cannot, unless the model resets it.
    """
    row = torch.arange(1, 9, device=device)
    reference = model(input_ids=row[None], use_cache=False).logits[0].float()
    batch = min(2, sequences)
    positions = torch.arange(8, device=device).repeat(2).expand(batch, -1)
    ids = torch.cat([row.flip(0), row]).expand(batch, -1)
    both = model(input_ids=ids, position_ids=positions, use_cache=False)
    difference = (both.logits[:, 8:].float() - reference).abs().max() / reference.abs().max()
    if difference > TOLERANCE:
        raise RowsSeen(
            "recipe.packing: packed rows see one another in this model: it carries a state along the sequence, or its "
            "attention ignores where a row begins; use packing: buckets"
        )
