"""The base model on its device, in the number format that its recipe trains beside.

Weights are read from safetensors alone, since a pickle could run code. On the device `meta` a model is only announced:
its layers are there, and no weight is read.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from services.trainer.job import QuantizerMissing

META = "meta"


def plain(base: Path, device: str, dtype: torch.dtype) -> Any:
    """As it is computed with."""
    if device == META:
        with torch.device(META):
            config = AutoConfig.from_pretrained(base)
            return AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, use_safetensors=True)
    return model.to(device)


def master(base: Path, device: str, dtype: torch.dtype) -> Any:
    """In single precision, whatever is computed with: bfloat16 has 8 bits, and would lose most updates of a weight."""
    return plain(base, device, torch.float32)


def quantised(base: Path, device: str, dtype: torch.dtype) -> Any:
    """Linear layers in 4 bits, NF4 with quantised constants, computed in `dtype` (QLoRA, arXiv 2305.14314).

    Raises `QuantizerMissing` where bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise QuantizerMissing("recipe.adapter: qlora needs bitsandbytes; install aevolve[qlora], or say adapter: lora")
    four_bits = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    where = {"": torch.cuda.current_device() if device == "cuda" else device}
    return AutoModelForCausalLM.from_pretrained(
        base, dtype=dtype, quantization_config=four_bits, device_map=where, use_safetensors=True
    )
