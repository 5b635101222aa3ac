"""Rows that are too long are counted as the trainer encodes them: in the campaign's form, with the answer's end."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from schemas.campaign import Model
from schemas.rows import Row
from services.data.collect.card import Lengths
from services.trainer.batches import encode
from tests.tiny_models import make_model
from tests.typed import there

CHAT = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }}\n{% endfor %}{{ 'is ' if add_generation_prompt }}"
TURNS = [
    {"role": "user", "content": "what is it 1"},
    {"role": "assistant", "content": "the 2"},
    {"role": "user", "content": "what is it 2"},
    {"role": "assistant", "content": "the 3"},
]
ROWS = [
    Row("d", 0, 0, "what is 1", "2", "the 1", "a"),
    Row("d", 0, 0, "what is 1", "2", "the 1", "a", form="{trace}\n{answer}"),
    Row("d", 0, 0, "what is it", "", "the 3", "c", form="{trace}", messages=json.dumps(TURNS)),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = make_model(tmp_path_factory.mktemp("model") / "base")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("prompt", [{}, {"system": "is it", "suffix": " ="}, {"template": "chat", "system": "is it"}])
@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_too_long_exactly_where_the_trainer_drops_it(base, prompt, row):
    model = Model(prompt=prompt)
    longest = max(len(one.tokens) for one in encode(AutoTokenizer.from_pretrained(base), [(row, True)], model.form))
    for most in (longest - 1, longest):
        lengths = there(Lengths.of(str(base), model))
        lengths.most = most
        assert lengths.too_long(row) == (most < longest)


def test_a_plain_text_is_never_too_long_for_the_trainer_learns_it_in_pieces(base):
    lengths = there(Lengths.of(str(base), Model()))
    lengths.most = 4
    assert not lengths.too_long(Row("d", 0, 0, "", "", "the 1 is 2 and the 3 is 4", "b"))
    assert lengths.too_long(ROWS[0])


def test_without_a_tokenizer_the_number_is_unknown(tmp_path):
    assert Lengths.of(str(tmp_path), Model()) is None
    assert Lengths.of(None, Model()) is None
