"""A base model from its folder: on a device, or only announced, without weights, on the device `meta`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM


def load(base: Path, dtype: torch.dtype, device: str) -> Any:
    """The model. Weights are read from safetensors alone: a pickle could run code (`services.runtime.models`)."""
    if device == "meta":
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base), dtype=dtype)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, use_safetensors=True)
    return model.to(device)
