"""From the configuration of a Hugging Face model to its shapes: one formula per family, no library needed.

Keys are those of `config.json`; what a file leaves out has the default of the family's class in `transformers`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sizing.parts import Attention, Experts, Mamba, Mlp, Part
from sizing.shapes import Block, Shapes

Config = Mapping[str, Any]


class ShapesUnknown(Exception):
    """No formula here knows the model, or its configuration lacks a key."""


def read(folder: Path) -> Shapes:
    """Shapes of the model of a folder. Raises `ShapesUnknown`, or `OSError` where it has no `config.json`."""
    return shapes(json.loads((folder / "config.json").read_text(encoding="utf-8")))


def shapes(config: Config) -> Shapes:
    """Shapes of a configuration. Raises `ShapesUnknown`."""
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        raise ShapesUnknown(f"model_type: {kind!r}; no formula here knows it: it knows {', '.join(sorted(FAMILIES))}")
    try:
        made = FAMILIES[kind](config)
        made.total  # noqa: B018 - counting refuses values that are no numbers
    except KeyError as missing:
        raise ShapesUnknown(f"{missing.args[0]}: missing in the configuration of a {kind} model; add it") from missing
    except (AttributeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ShapesUnknown(f"config.json: a {kind} model cannot have these values ({error}); correct them") from error
    return made


def _model(config: Config, blocks: tuple[Block, ...], *, tied: bool = False) -> Shapes:
    return Shapes(config["vocab_size"], config["hidden_size"], blocks, bool(config.get("tie_word_embeddings", tied)))


def _attention(config: Config, *, bias: bool = False, out_bias: bool = False, head_norms: bool = False) -> Attention:
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    return Attention(
        config["hidden_size"], heads, config.get("num_key_value_heads") or heads, width, bias, out_bias, head_norms
    )


def _dense(config: Config) -> Mlp:
    return Mlp(config["hidden_size"], config["intermediate_size"], bias=bool(config.get("mlp_bias")))


def _alike(config: Config, *parts: Part) -> Shapes:
    return _model(config, (parts,) * config["num_hidden_layers"])


def _llama(config: Config) -> Shapes:
    bias = bool(config.get("attention_bias"))
    return _alike(config, _attention(config, bias=bias, out_bias=bias), _dense(config))


def _qwen2(config: Config) -> Shapes:
    return _alike(config, _attention(config, bias=True), _dense(config))


def _qwen3(config: Config) -> Shapes:
    bias = bool(config.get("attention_bias"))
    return _alike(config, _attention(config, bias=bias, out_bias=bias, head_norms=True), _dense(config))


def _mixtral(config: Config) -> Shapes:
    experts, chosen = config["num_local_experts"], config["num_experts_per_tok"]
    mixture = Experts(config["hidden_size"], config["intermediate_size"], experts, chosen)
    return _alike(config, _attention(config), mixture)


def _qwen_mixture(config: Config, attention: Attention, mixture: Experts) -> Shapes:
    """Every `decoder_sparse_step`-th block has experts, but for those named in `mlp_only_layers`."""
    every, dense = config.get("decoder_sparse_step", 1), config.get("mlp_only_layers") or ()
    blocks = tuple(
        (attention, _dense(config) if at in dense or (at + 1) % every else mixture)
        for at in range(config["num_hidden_layers"])
    )
    return _model(config, blocks)


def _mixture(config: Config) -> tuple[int, int, int, int]:
    """Width, width inside an expert, experts, and how many see a token."""
    experts = config["num_local_experts"] if "num_local_experts" in config else config["num_experts"]
    return config["hidden_size"], config["moe_intermediate_size"], experts, config["num_experts_per_tok"]


def _qwen2_moe(config: Config) -> Shapes:
    mixture = Experts(*_mixture(config), shared=config["shared_expert_intermediate_size"], shared_gate=True)
    return _qwen_mixture(config, _attention(config, bias=bool(config.get("qkv_bias", True))), mixture)


def _qwen3_moe(config: Config) -> Shapes:
    bias = bool(config.get("attention_bias"))
    return _qwen_mixture(
        config, _attention(config, bias=bias, out_bias=bias, head_norms=True), Experts(*_mixture(config), adapted=True)
    )


def _nemotron_h(config: Config) -> Shapes:
    """One part per block, as `hybrid_override_pattern` or `layers_block_type` say."""
    builders: dict[str, Callable[[Config], Part]] = {"M": _mamba, "*": _attention, "-": _plain, "E": _nemotron_experts}
    return _model(config, tuple((builders[letter](config),) for letter in _pattern(config)))


NAMES = {"linear_attention": "M", "mamba": "M", "full_attention": "*", "attention": "*", "mlp": "-", "moe": "E"}


def _pattern(config: Config) -> str:
    pattern: str | None = config.get("hybrid_override_pattern")
    return pattern or "".join(NAMES[kind] for kind in config["layers_block_type"])


def _plain(config: Config) -> Mlp:
    return Mlp(config["hidden_size"], config["intermediate_size"], gated=False, bias=bool(config.get("mlp_bias")))


def _nemotron_experts(config: Config) -> Experts:
    return Experts(
        config["hidden_size"],
        config["moe_intermediate_size"],
        config["n_routed_experts"],
        config["num_experts_per_tok"],
        gated=False,
        shared=config["moe_shared_expert_intermediate_size"],
        latent=config.get("moe_latent_size"),
    )


def _mamba(config: Config) -> Mamba:
    return Mamba(
        config["hidden_size"],
        config["mamba_num_heads"],
        config["mamba_head_dim"],
        config["ssm_state_size"],
        config["n_groups"],
        config.get("conv_kernel", 4),
        bool(config.get("use_conv_bias", True)),
        bool(config.get("use_bias")),
    )


FAMILIES: dict[str, Callable[[Config], Shapes]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "mixtral": _mixtral,
    "qwen2_moe": _qwen2_moe,
    "qwen3_moe": _qwen3_moe,
    "nemotron_h": _nemotron_h,
}
