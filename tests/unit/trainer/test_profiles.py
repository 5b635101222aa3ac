"""How a model is asked: one function for training and evaluation, and the challenge's settings under one name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.campaign import Campaign, Model
from schemas.profiles import BOXED, PROFILES
from schemas.prompts import PROFILE_PROMPTS
from services.runtime.prompting import ChatTemplateMissing, adds_special_tokens, question
from services.trainer.tiny_base.tokenizer import make_tokenizer
from tasks.puzzles.vocabulary import vocabulary
from tests.unit.console_events import Log

PLAIN, THINKING = PROFILE_PROMPTS["plain"], PROFILE_PROMPTS["thinking"]

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}{% if enable_thinking %}[think]{% endif %}"
)


@pytest.fixture
def tokenizer():
    return make_tokenizer(vocabulary(), 256)


def test_the_plain_question_is_the_prompt_and_a_line_break(tokenizer) -> None:
    assert question("what?", PLAIN, tokenizer) == "what?\n"
    assert adds_special_tokens(PLAIN)


def test_the_thinking_question_goes_through_the_chat_template_with_the_challenges_request(tokenizer) -> None:
    tokenizer.chat_template = TEMPLATE
    assert question("what?", THINKING, tokenizer) == f"<bos>[user]what?\n{BOXED}[assistant][think]"
    assert "\\boxed{your answer}" in BOXED


def test_the_begin_token_that_a_template_writes_is_not_doubled(tokenizer) -> None:
    tokenizer.chat_template = TEMPLATE
    ids = tokenizer(question("what?", THINKING, tokenizer), add_special_tokens=adds_special_tokens(THINKING))[
        "input_ids"
    ]
    assert ids.count(tokenizer.bos_token_id) == 1


def test_a_tokenizer_without_a_chat_template_is_named(tokenizer) -> None:
    with pytest.raises(ChatTemplateMissing, match=r"model\.prompt: template: chat needs a chat template"):
        question("what?", THINKING, tokenizer)


def test_the_challenges_settings_have_one_name() -> None:
    profile = PROFILES["thinking"]
    assert (profile.max_rank, profile.max_new_tokens, profile.max_length) == (32, 7680, 8192)
    assert (profile.max_sequences, profile.memory) == (64, 0.85)


def test_a_profile_gives_the_lengths_that_a_campaign_leaves_out() -> None:
    model = Model(profile="thinking")
    assert (model.max_length, model.max_new_tokens) == (8192, 7680)
    assert Model(profile="thinking", max_new_tokens=3584).max_new_tokens == 3584
    assert Model.model_validate_json(model.model_dump_json()) == model


def test_a_campaign_without_a_profile_is_hashed_as_before() -> None:
    assert set(Model().model_dump()) == {"base", "max_length", "max_new_tokens"}


def test_a_rank_that_the_profile_gives_no_room_to_is_refused_at_the_start() -> None:
    campaign = Log().campaign.model_dump()
    campaign |= {"model": {"profile": "thinking"}, "recipe": {"rank": 64}}
    with pytest.raises(ValidationError, match=r"rank: 64 is above the 32 that model\.profile thinking"):
        Campaign.model_validate(campaign)
