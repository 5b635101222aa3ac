"""The formulas beside the real models of transformers: parameters on the meta device, and what autograd saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from sizing.activations import HALF, PassFormat, body_bytes
from sizing.families import ShapesUnknown, read, shapes
from sizing.parts import SINGLE

ATTENTION = {"hidden_size": 128, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 100}
DENSE = {**ATTENTION, "intermediate_size": 320, "num_hidden_layers": 3}
MAMBA = {"mamba_num_heads": 8, "mamba_head_dim": 16, "ssm_state_size": 16, "n_groups": 2}
HYBRID = {
    **ATTENTION,
    **MAMBA,
    "head_dim": 16,
    "intermediate_size": 320,
    "n_routed_experts": 8,
    "moe_intermediate_size": 96,
    "moe_shared_expert_intermediate_size": 160,
}
QWEN_MIXTURE = {**DENSE, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 96}

MODELS: dict[str, dict[str, Any]] = {
    "Llama": DENSE,
    "Llama with biases": {**DENSE, "attention_bias": True, "mlp_bias": True},
    "Llama, tied": {**DENSE, "tie_word_embeddings": True},
    "Mistral": DENSE,
    "Qwen2": DENSE,
    "Qwen3": {**DENSE, "head_dim": 16},
    "Mixtral": {**DENSE, "num_local_experts": 4},
    "Qwen2Moe": {**QWEN_MIXTURE, "shared_expert_intermediate_size": 48, "decoder_sparse_step": 2},
    "Qwen3Moe": QWEN_MIXTURE,
    "NemotronH": {**HYBRID, "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"]},
    "NemotronH, latent": {**HYBRID, "moe_latent_size": 64, "layers_block_type": ["linear_attention", "moe"]},
}


def config(name: str, settings: dict[str, Any]) -> Any:
    return getattr(transformers, f"{name.split(maxsplit=1)[0].rstrip(',')}Config")(**settings)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_real_model(name: str) -> None:
    made = config(name, MODELS[name])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made)
    assert shapes(made.to_dict()).total == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:The following:RuntimeWarning")
def test_an_adapter_has_the_parameters_that_peft_gives_it(name: str) -> None:
    named = {
        "Mixtral": ["q_proj", "o_proj"],
        "NemotronH": ["q_proj", "v_proj", "in_proj", "down_proj"],
        "NemotronH, latent": ["in_proj", "fc1_latent_proj"],
    }
    targets = named.get(name, ["q_proj", "gate_proj", "up_proj", "down_proj"])
    made = config(name, MODELS[name])
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(made)
        model = get_peft_model(base, LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM"))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert shapes(made.to_dict()).adapter(targets, 4) == trained > 0


def saved(made: Any, mode: str, targets: tuple[str, ...]) -> float:
    """Bytes that autograd saves in the forward pass of the model's body over 128 tokens, weights themselves aside."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(made, dtype=torch.bfloat16 if mode == "half" else torch.float32)
    if targets:
        model = get_peft_model(model, LoraConfig(r=4, target_modules=list(targets), task_type="CAUSAL_LM"))
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    held: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if (where := tensor.untyped_storage().data_ptr()) not in own:
            held.setdefault(where, tensor)
        return tensor

    body = (model.get_base_model() if targets else model).train().model
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=mode == "mixed"),
    ):
        body(input_ids=torch.randint(0, made.vocab_size, (2, 64)), use_cache=False)
    return float(sum(tensor.untyped_storage().nbytes() for tensor in held.values()))


# A block whose input needs no gradient keeps less, so attention, which always has an adapter, stands first.
KEPT: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "Llama": (DENSE, ("q_proj", "v_proj", "o_proj", "up_proj", "down_proj")),
    "Qwen3": ({**DENSE, "head_dim": 16}, ("q_proj", "down_proj")),
    "Mixtral": ({**DENSE, "num_local_experts": 4}, ("q_proj", "v_proj")),
    "Qwen3Moe": (QWEN_MIXTURE, ("q_proj", "gate_proj", "up_proj", "down_proj")),
    "NemotronH": (
        {**HYBRID, "moe_latent_size": 64, "layers_block_type": ["full_attention", "moe", "mlp"]},
        ("q_proj", "v_proj", "up_proj", "down_proj", "fc1_latent_proj"),
    ),
}


@pytest.mark.filterwarnings("ignore:The following:RuntimeWarning")
@pytest.mark.parametrize("mode", ["single", "half", "full", "mixed"])
@pytest.mark.parametrize("name", KEPT)
def test_activations_are_what_autograd_saves(name: str, mode: str) -> None:
    settings, adapted = KEPT[name]
    targets = adapted if mode in ("single", "half") else ()
    made = config(name, settings)
    how = PassFormat(
        stream=HALF if mode == "half" else SINGLE,
        compute=HALF if mode in ("half", "mixed") else SINGLE,
        full=not targets,
        targets=frozenset(targets),
        rank=4,
    )
    estimate = body_bytes(shapes(made.to_dict()), how, 128, recomputed=False)
    assert estimate == pytest.approx(saved(made, mode, targets), rel=0.1)


def test_the_folder_of_a_model_tells_its_shapes(tmp_path: Path) -> None:
    config("Llama", DENSE).save_pretrained(tmp_path)
    assert read(tmp_path) == shapes(config("Llama", DENSE).to_dict())


def test_what_no_formula_knows_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "rwkv"}))
    with pytest.raises(ShapesUnknown, match="model_type: 'rwkv'; no formula here knows it: it knows llama, mistral"):
        read(tmp_path)
    with pytest.raises(ShapesUnknown, match="hidden_size: missing in the configuration of a llama model"):
        shapes({"model_type": "llama", "vocab_size": 8, "num_attention_heads": 2})
