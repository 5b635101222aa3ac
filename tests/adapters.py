"""A base of one layer and PEFT adapters on it, in a few hundred bytes and without torch."""

import json

import numpy as np
from safetensors.numpy import save_file

LAYER = "model.layers.0.self_attn"


def make_base(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    save_file({f"{LAYER}.q_proj.weight": np.ones((6, 4), np.float32)}, folder / "model.safetensors")
    return folder


def make_adapter(folder, rank=2, modules=("q_proj",), value=1.0, **config):
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for module in modules:
        name = f"base_model.model.{LAYER}.{module}"
        weights[f"{name}.lora_A.weight"] = np.full((rank, 4), value, np.float32)
        weights[f"{name}.lora_B.weight"] = np.full((6, rank), value, np.float32)
    save_file(weights, folder / "adapter_model.safetensors")
    said = {"peft_type": "LORA", "r": rank, "target_modules": list(modules), **config}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return folder
