"""What holds of every estimate of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.recipe import Recipe
from services.trainer.registry import traits
from sizing import speed
from sizing.cards import cards
from sizing.devices import DEVICES
from sizing.families import shapes
from sizing.speed import Assumptions

LLAMA = shapes(
    {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "vocab_size": 500,
    }
)
MODELS = st.sampled_from([LLAMA, *(card.shapes for card in cards().values())])
KNOWN = st.builds(
    Assumptions,
    row_tokens=st.floats(8, 65_536),
    answer_tokens=st.floats(8, 65_536),
    utilisation=st.floats(0.01, 1),
    decoding=st.floats(0.01, 1),
)
DEVICE = st.sampled_from(sorted(DEVICES)).map(DEVICES.__getitem__)
KNOBS = st.sampled_from(["steps", "batch", "rank"])


@given(MODELS, DEVICE, KNOWN, KNOBS, st.sampled_from(["sft", "grpo", "dpo"]))
def test_more_of_a_knob_never_takes_less(model, device, known, knob, method):
    recipe = Recipe(method=method)
    more = recipe.model_copy(update={knob: 2 * getattr(recipe, knob)})
    hours = [speed.training_hours(model, each, traits(each), device, known) for each in (recipe, more)]
    assert 0 < hours[0] <= hours[1]


@given(MODELS, DEVICE, KNOWN)
def test_an_adapter_costs_two_thirds_of_all_weights_and_computing_again_a_half_more(model, device, known):
    lora, full = Recipe(target_modules=(), rank=1), Recipe(adapter="full")
    once = speed.training(model, lora, traits(lora), known.row_tokens)
    assert once == pytest.approx(speed.training(model, full, traits(full), known.row_tokens) * 2 / 3)
    recomputed = lora.replace("activations", "recomputed")
    again = speed.training(model, recomputed, traits(recomputed), known.row_tokens)
    assert again == pytest.approx(1.5 * once)


@given(MODELS, st.integers(1, 512))
def test_more_answers_touch_no_fewer_weights_and_never_more_than_there_are(model, tokens):
    few, many = speed.touched(model, tokens), speed.touched(model, 2 * tokens)
    assert few <= many <= model.total
    assert many >= model.active * 0.99


@given(MODELS, DEVICE, KNOWN)
def test_devices_that_train_together_share_the_work(model, device, known):
    one, four = (
        speed.training_hours(model, each, traits(each), device, known) for each in (Recipe(), Recipe(devices=4))
    )
    assert one == pytest.approx(4 * four)
