"""Shapes counted from modules: they agree with the formulas, and nearly every causal language model has them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from schemas.campaign import Model
from schemas.recipe import ALL_LINEAR
from services.console.plan_model import planned_model
from services.runtime.user_error import UserError
from sizing import counted, families
from sizing.activations import HALF, PassFormat, body_bytes
from sizing.families import ShapesUnknown
from sizing.parts import SINGLE
from tests.unit.sizing.test_shapes import DENSE, MODELS, config, saved

LESS: dict[str, int] = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
"""Sizes of a tiny model; a family whose default configuration contradicts one of them is built at its own size."""

COMPLETED: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 1e4} for kind in ("full_attention", "sliding_attention")
        }
    },
    "dbrx": {
        "d_model": 64,
        "n_heads": 4,
        "n_layers": 2,
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4},
        "ffn_config": {"ffn_hidden_size": 96, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v2": {"num_experts_per_tok": 4},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 32, "num_experts_per_tok": 2},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16, "num_experts": 4, "moe_topk": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_hidden_layers": 2},
    "ministral": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 8},
    "qwen4_exp_text": {
        "ngram_vocab_size_base": 1000,
        "split_ngram_parts": 4,
        "indexer_n_heads": 4,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 64,
        "indexer_compress_ratio": 4,
    },
    "reformer": {"is_decoder": True},
}
"""What the default configuration of a family lacks, and a published one has."""
COMPLETED["qwen4_exp"] = {"text_config": {**LESS, **COMPLETED["qwen4_exp_text"]}}

REFUSED = {
    "gemma3n",
    "gemma4_assistant",
    "gemma4_unified_assistant",
    "musicgen",
    "musicgen_melody",
}
"""Families whose default configuration transformers itself cannot build here: gemma3n needs timm, the others lack parts
of their configuration."""


def build(kind: str) -> Any:
    """The shapes of a family's tiny model, or of its default one. Raises `ShapesUnknown`."""
    own = COMPLETED.get(kind, {})
    try:
        return counted.shapes({"model_type": kind, **own, **{k: v for k, v in LESS.items() if k not in own}})
    except ShapesUnknown:
        return counted.shapes({"model_type": kind, **own})


@pytest.mark.parametrize("kind", sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
def test_a_causal_language_model_is_counted_unless_transformers_cannot_build_it(kind: str) -> None:
    if kind in REFUSED:
        with pytest.raises(ShapesUnknown, match=f"model_type: '{kind}'; transformers cannot build it"):
            build(kind)
        return
    shapes = build(kind)
    assert 0 < shapes.active <= shapes.total
    assert shapes.blocks
    assert shapes.cache(64, HALF) > 0


TARGETS = ((ALL_LINEAR,), ("q_proj", "v_proj"), ("down_proj",))


@pytest.mark.parametrize("name", MODELS)
def test_the_count_agrees_with_the_formula(name: str) -> None:
    settings = config(name, MODELS[name]).to_dict()
    formula, count = families.shapes(settings), counted.shapes(settings)
    for figure in ("vocabulary", "hidden", "tied", "total", "active", "embedding", "outside", "mixture"):
        assert getattr(count, figure) == getattr(formula, figure), figure
    assert len(count.blocks) == len(formula.blocks)
    assert count.cache(100, HALF) == formula.cache(100, HALF)
    assert count.mixing(100) == formula.mixing(100)
    for targets in TARGETS:
        if "down_proj" in targets and "Qwen3Moe" in name:
            continue  # PEFT adapts its experts by this name; the formula alone knows
        assert count.adapter(targets, 4) == formula.adapter(targets, 4), targets


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_the_activations_of_the_count_are_near_those_of_the_formula(name: str, full: bool) -> None:
    settings = config(name, MODELS[name]).to_dict()
    how = PassFormat(SINGLE, SINGLE, full=full, targets=frozenset((ALL_LINEAR,)), rank=4)
    formula, count = (
        body_bytes(shapes, how, 128, recomputed=False)
        for shapes in (families.shapes(settings), counted.shapes(settings))
    )
    assert count == pytest.approx(formula, rel=0.3)


SMALL: dict[str, Any] = {**DENSE, "num_experts": 8, "num_experts_per_tok": 2, "pad_token_id": 0, "head_dim": 16}


@pytest.mark.parametrize("name", ["Gemma", "Phi3", "Olmo2", "Starcoder2", "StableLm", "Granite", "Olmoe"])
def test_the_activations_of_the_count_are_near_what_autograd_saves(name: str) -> None:
    made = config(name, SMALL)
    shapes = counted.shapes(made.to_dict())
    estimate = body_bytes(shapes, PassFormat(SINGLE, SINGLE, full=True), 128, recomputed=False)
    assert estimate == pytest.approx(saved(made, "full", ()), rel=0.35)


def test_a_layer_that_several_blocks_share_has_its_parameters_once_and_its_work_each_time() -> None:
    settings = {"model_type": "zamba2", "num_hidden_layers": 4, "hybrid_layer_ids": [1, 3], "num_mem_blocks": 1}
    settings |= {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]}
    shapes = counted.shapes(settings)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(CONFIG_MAPPING["zamba2"].from_dict(settings))
    assert shapes.total == sum(weight.numel() for weight in model.parameters())
    shared = [m for m in shapes.matrices() if m.copies == 0]
    assert shared
    assert all(m.total == 0 < m.active for m in shared)


def test_towers_for_other_media_and_tables_are_no_work_of_a_token() -> None:
    towered = build("gemma3")
    assert 0 < towered.idle < towered.total - towered.active + towered.embedding
    positions = counted.shapes({"model_type": "gpt2", "n_layer": 1, "n_embd": 64, "n_head": 4, "n_positions": 512})
    assert positions.idle == 512 * 64


def test_a_mixture_without_the_experts_of_a_token_is_refused_by_name() -> None:
    with pytest.raises(ShapesUnknown, match="num_experts_per_tok: missing in the configuration of a deepseek_v2 model"):
        counted.shapes({"model_type": "deepseek_v2", "num_hidden_layers": 2, "first_k_dense_replace": 0})


def test_a_plan_counts_what_no_formula_knows_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma2", **LESS}))
    planned = planned_model(Model(base=str(tmp_path)), None)
    assert planned.source == f"{tmp_path / 'config.json'}, counted"
    assert any(note.startswith("shapes: counted from the modules") for note in planned.notes)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **LESS}))
    assert not any("counted" in note for note in planned_model(Model(base=str(tmp_path)), None).notes)


@pytest.mark.parametrize("kind", ["my_own_model", None])
def test_an_architecture_that_nobody_knows_is_refused_by_name(tmp_path: Path, kind: str | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "auto_map": {"AutoConfig": "own.Config"}}))
    with pytest.raises(UserError, match=f"model_type: '{kind}'; neither a formula here nor transformers knows it"):
        planned_model(Model(base=str(tmp_path)), None)


def test_without_torch_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma2"}))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "sizing.counted")
    monkeypatch.delattr("sizing.counted")
    with pytest.raises(UserError, match=r"model_type: 'gemma2'; .*pip install 'aevolve\[trainer\]'"):
        planned_model(Model(base=str(tmp_path)), None)
