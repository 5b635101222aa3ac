"""What holds of every estimate of memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.recipe import Recipe
from services.trainer.registry import traits
from sizing import memory
from sizing.families import shapes
from sizing.shapes import Shapes

LLAMA = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 4, "vocab_size": 500}
NEMOTRON = {
    "model_type": "nemotron_h",
    "hidden_size": 64,
    "vocab_size": 500,
    "hybrid_override_pattern": "M*EM",
    "head_dim": 16,
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
    "ssm_state_size": 16,
    "n_groups": 2,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "moe_shared_expert_intermediate_size": 48,
}
MODELS = st.sampled_from(
    [shapes({**config, "num_attention_heads": 4, "num_key_value_heads": 2}) for config in (LLAMA, NEMOTRON)]
)
LENGTHS = st.integers(32, 65_536)
RECIPES = st.builds(
    Recipe,
    batch=st.integers(1, 512),
    rank=st.integers(1, 128),
    adapter=st.sampled_from(["lora", "qlora", "full"]),
    method=st.sampled_from(["sft", "grpo", "dpo"]),
    activations=st.sampled_from(["kept", "recomputed"]),
    devices=st.integers(1, 64),
    sharding=st.sampled_from(["replicated", "fsdp"]),
    target_modules=st.just(("q_proj", "o_proj", "up_proj", "down_proj", "in_proj")),
)


def total(model: Shapes, recipe: Recipe, length: int) -> int:
    return memory.training(model, recipe, traits(recipe), length).total


@given(MODELS, RECIPES, LENGTHS, st.sampled_from(["batch", "rank"]))
def test_more_of_a_knob_never_needs_less(model: Shapes, recipe: Recipe, length: int, knob: str) -> None:
    more = recipe.model_copy(update={knob: 2 * getattr(recipe, knob)})
    assert total(model, recipe, length) <= total(model, more, length)


@given(MODELS, RECIPES, LENGTHS)
def test_longer_sequences_never_need_less_but_for_the_remainder_of_a_pass(
    model: Shapes, recipe: Recipe, length: int
) -> None:
    assert total(model, recipe, length) <= total(model, recipe, 2 * length)


@given(MODELS, RECIPES, LENGTHS)
def test_a_sharded_model_needs_no_more_than_a_whole_one(model: Shapes, recipe: Recipe, length: int) -> None:
    sharded, whole = (recipe.model_copy(update={"sharding": how}) for how in ("fsdp", "replicated"))
    assert total(model, sharded, length) <= total(model, whole, length) + 4  # rounded up, item by item


@given(MODELS, RECIPES, LENGTHS)
def test_activations_computed_again_take_no_more_than_all_that_are_kept(
    model: Shapes, recipe: Recipe, length: int
) -> None:
    again, kept = (recipe.model_copy(update={"activations": how}) for how in ("recomputed", "kept"))
    assert total(model, again, length) <= total(model, kept, length)


@given(MODELS, RECIPES, LENGTHS)
def test_4_bits_take_less_than_16_and_all_weights_more_than_an_adapter(
    model: Shapes, recipe: Recipe, length: int
) -> None:
    small = recipe.model_copy(update={"devices": 1, "rank": 1})
    forms = (small.model_copy(update={"adapter": form}) for form in ("qlora", "lora", "full"))
    qlora, lora, full = (memory.training(model, recipe, traits(recipe), length) for recipe in forms)
    assert qlora.weights < lora.weights < full.weights
    assert lora.optimizer < full.optimizer == 8 * model.total


@given(MODELS, RECIPES, LENGTHS)
def test_only_rewarded_answers_need_a_cache_in_training(model: Shapes, recipe: Recipe, length: int) -> None:
    cache = memory.training(model, recipe, traits(recipe), length).cache
    assert (cache > 0) == (recipe.method == "grpo")


@given(MODELS, LENGTHS)
def test_all_linear_is_every_linear_layer_but_the_output_layer(model: Shapes, length: int) -> None:
    names = tuple(sorted({matrix.name for matrix in model.matrices() if matrix.linear} - {"lm_head"}))
    recipe = Recipe(target_modules=names)
    whole = recipe.replace("target_modules", ("all-linear",))
    assert model.adapter(whole.target_modules, 8) == model.adapter(names, 8) > 0
    assert total(model, whole, length) == total(model, recipe, length)


@given(MODELS, RECIPES, LENGTHS)
def test_pairs_never_need_less_than_rows(model: Shapes, recipe: Recipe, length: int) -> None:
    rows, pairs = (recipe.model_copy(update={"method": method}) for method in ("sft", "dpo"))
    assert total(model, rows, length) <= total(model, pairs, length)
