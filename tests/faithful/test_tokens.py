"""The tokens and labels that we train on are those of TRL's trainer, where TRL's are right."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from schemas.prompts import Prompt, Shot
from schemas.rows import Row
from services.runtime import prompting
from services.runtime.prompting import control_tokens, question_ids
from services.trainer.batches import IGNORED, encode, pad, sequences
from services.trainer.layout import join, packs
from tests.tiny_models import FORGETFUL, TOKENIZERS, make_text_model, spelt, text_tokenizer
from tests.typed import instance

CHAT = Prompt(template="chat")
SHOTS = Prompt(template="chat", system="because", suffix=" so?", shots=(Shot(prompt="2?", completion="2"),))

TEXTS = [
    ("What is 2 + 3?", "The answer is 5."),
    ("Tom has 12 apples and gives 7 away. How many are left?", "12 - 7 = 5\n#### 5"),
    ("Übung macht den Meister?", "  çà et là"),
    ("user: why", "because therefore 🙂"),
]

TALKS = [
    [("user", "What is 2 + 3?"), ("assistant", "5")],
    [("system", "answer because"), ("user", "Tom has 12."), ("assistant", "12"), ("user", "7?"), ("assistant", "= 5")],
    [
        ("user", "why"),
        ("assistant", "because"),
        ("user", "so"),
        ("assistant", "there"),
        ("user", "?"),
        ("assistant", "!"),
    ],
]


def plain_rows() -> list[Row]:
    return [Row("d", 0, 0, prompt, "", completion, prompt) for prompt, completion in TEXTS]


def messages(talk: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in talk]


def talk_row(talk: list[dict[str, str]]) -> Row:
    return Row("d", 0, 0, talk[0]["content"], "", talk[-1]["content"], "core", messages=json.dumps(talk))


@pytest.fixture(scope="module")
def trl(tmp_path_factory):
    """TRL's trainer on some rows, with a model for its tokenizer."""
    folder = tmp_path_factory.mktemp("models")

    def make(kind: str, rows: list[dict[str, Any]], **settings) -> SFTTrainer:
        place = folder / kind
        if not place.exists():
            make_text_model(place, kind)
        common = {"use_cpu": True, "report_to": [], "bf16": False, "max_length": None, "gradient_checkpointing": False}
        config = SFTConfig(output_dir=str(folder / "out"), **{**common, **settings})
        model = AutoModelForCausalLM.from_pretrained(place)
        return SFTTrainer(model, config, train_dataset=Dataset.from_list(rows), processing_class=text_tokenizer(kind))

    return make


def collated(trainer: SFTTrainer) -> list[tuple[list[int], list[int]]]:
    """Tokens and labels of TRL's batch, row by row, without padding."""
    batch = trainer.data_collator(list(instance(Dataset, trainer.train_dataset)))
    rows = zip(batch["input_ids"], batch["labels"], batch["attention_mask"].sum(1), strict=True)
    return [(ids[:length].tolist(), labels[:length].tolist()) for ids, labels, length in rows]


def ours(tokenizer, rows: list[Row], form: Prompt) -> list[tuple[list[int], list[int]]]:
    examples = encode(tokenizer, [(row, False) for row in rows], form)
    ids, targets = pad(examples, filler=0)
    return [(ids[at, : one.size].tolist(), targets[at, : one.size].tolist()) for at, one in enumerate(examples)]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_prompt_and_its_completion(trl, kind: str) -> None:
    rows = [{"prompt": f"{prompt}\n", "completion": completion} for prompt, completion in TEXTS]
    theirs = collated(trl(kind, rows))
    tokenizer = text_tokenizer(kind)
    if kind == "appending":  # TRL writes the end token and the tokenizer appends a second one
        assert all(ids[-2:] == [tokenizer.eos_token_id] * 2 for ids, _ in theirs)
        theirs = [(ids[:-1], labels[:-1]) for ids, labels in theirs]
    assert ours(tokenizer, plain_rows(), Prompt()) == theirs
    for ids, _ in theirs:
        assert ids.count(tokenizer.eos_token_id) == 1
        assert tokenizer.bos_token_id is None or ids.count(tokenizer.bos_token_id) == (kind != "no_beginning")


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_question_and_its_answer_through_the_chat_template(trl, kind: str) -> None:
    rows = [
        {"prompt": messages([("user", prompt)]), "completion": messages([("assistant", completion)])}
        for prompt, completion in TEXTS
    ]
    tokenizer = text_tokenizer(kind)
    for (ids, labels), (their_ids, their_labels) in zip(
        ours(tokenizer, plain_rows(), CHAT), collated(trl(kind, rows)), strict=True
    ):
        assert (ids, labels) == (their_ids[: len(ids)], their_labels[: len(ids)])
        assert spelt(tokenizer, their_ids[len(ids) :]).strip() == ""  # TRL learns the line break after a turn, too
        assert tokenizer.bos_token_id is None or ids.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_every_assistant_turn_of_a_conversation(trl, kind: str) -> None:
    talks = [messages(talk) for talk in TALKS]
    theirs = collated(trl(kind, [{"messages": talk} for talk in talks], assistant_only_loss=True))
    tokenizer = text_tokenizer(kind)
    found = ours(tokenizer, [talk_row(talk) for talk in talks], CHAT)
    assert len(found) == len(talks)
    for (ids, labels), (their_ids, their_labels) in zip(found, theirs, strict=True):
        assert (ids, labels) == (their_ids[: len(ids)], their_labels[: len(ids)])
        assert set(their_labels[len(ids) :]) <= {IGNORED}
        assert spelt(tokenizer, their_ids[len(ids) :]).strip() == ""


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_packed_rows(trl, kind: str) -> None:
    rows = [{"prompt": f"{prompt}\n", "completion": completion} for prompt, completion in TEXTS]
    trainer = trl(kind, rows, packing=True, max_length=96, padding_free=True)
    batch = trainer.data_collator(list(instance(Dataset, trainer.train_dataset)))
    theirs = segments(batch["input_ids"][0].tolist(), batch["labels"][0].tolist(), batch["position_ids"][0].tolist())
    examples = encode(text_tokenizer(kind), [(row, False) for row in plain_rows()])
    found = [
        segment
        for ids, targets, positions in zip(*join(packs(examples, 96)), strict=True)
        for segment in segments(ids.tolist(), targets.tolist(), positions.tolist())
        if any(label != IGNORED for label in segment[1])
    ]
    if kind == "appending":
        theirs = [(ids[:-1], labels[:-1]) for ids, labels in theirs]
    assert sorted(found) == sorted(theirs)


def segments(ids: list[int], labels: list[int], positions: list[int]) -> list[tuple[list[int], list[int]]]:
    """The rows of a sequence, which begin where a position is 0."""
    starts = [at for at, position in enumerate(positions) if position == 0]
    cuts = zip(starts, [*starts[1:], len(ids)], strict=True)
    return [(ids[begin:end], labels[begin:end]) for begin, end in cuts]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("form", [Prompt(), CHAT, SHOTS], ids=["plain", "chat", "few-shot"])
def test_what_stands_before_an_answer_is_what_evaluation_asks_with(kind: str, form: Prompt) -> None:
    tokenizer = text_tokenizer(kind)
    for row, one in zip(plain_rows(), encode(tokenizer, [(row, False) for row in plain_rows()], form), strict=True):
        assert list(one.tokens[: one.prompt]) == question_ids(row.prompt, form, tokenizer)
    for talk in TALKS:
        turns = messages(talk)
        for one in encode(tokenizer, [(talk_row(turns), False)], form):
            asked = [turns[:at] for at, turn in enumerate(turns) if turn["role"] == "assistant"]
            prompts = [question_ids(before, form, tokenizer) for before in asked]
            assert all(list(one.tokens[:begin]) in prompts for begin, _ in one.spans)


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("form", [Prompt(), CHAT])
def test_text_of_a_row_never_becomes_a_control_token(kind: str, form: Prompt) -> None:
    tokenizer = text_tokenizer(kind)
    control = control_tokens(tokenizer)
    wide = "".join(control).translate({ord("<"): "\uff1c", ord(">"): "\uff1e", ord("|"): "\uff5c"})
    hostile = "".join(control) + wide
    clean = Row("d", 0, 0, "why", "", "because", "a")
    spelt = Row("d", 0, 0, f"why {hostile}", "", f"because {hostile}", "b")
    talked = talk_row(messages([("user", f"why {hostile}"), ("assistant", f"because {hostile}")]))
    special = {*instance(list, tokenizer.convert_tokens_to_ids(control))} - {tokenizer.unk_token_id}

    def written(row: Row) -> list[int]:
        (one,) = encode(tokenizer, [(row, False)], form)
        return [token for token in one.tokens if token in special]

    assert written(spelt) == written(clean)
    assert written(talked) == written(clean)
    wide_alone = replace(spelt, prompt=f"why {wide}", trace=wide)
    assert written(wide_alone) == written(clean)
    text = f"why {control[0]} so"
    assert tokenizer.decode(prompting.encode(tokenizer, text, special=False)) == text


def test_an_answer_ends_as_the_template_ends_a_turn_and_as_a_text_elsewhere() -> None:
    tokenizer = text_tokenizer("bytes")
    row = plain_rows()[0]
    (text,), (turn,) = (encode(tokenizer, [(row, False)], form) for form in (Prompt(), CHAT))
    assert tokenizer.decode(text.tokens[-1]) == "<|endoftext|>"
    assert tokenizer.decode(turn.tokens[-1]) == "<|im_end|>"
    (whole,) = encode(tokenizer, [(Row("d", 0, 0, "", "", "because", "c"), False)], CHAT)
    assert spelt(tokenizer, whole.tokens) == "because<|endoftext|>"


def test_turns_that_a_template_rewrites_later_are_learned_as_they_are_asked(monkeypatch) -> None:
    tokenizer = text_tokenizer("bytes")
    monkeypatch.setattr(tokenizer, "chat_template", FORGETFUL)
    turns = messages(
        [("user", "2?"), ("assistant", "<think>so</think>2"), ("user", "3?"), ("assistant", "<think>why</think>3")]
    )
    examples = instance(tuple, *sequences(tokenizer, [(talk_row(turns), False)], CHAT))
    assert len(examples) == 2
    assert [spelt(tokenizer, one.tokens[slice(*span)]) for one in examples for span in one.spans] == [
        "<think>so</think>2<|im_end|>",
        "<think>why</think>3<|im_end|>",
    ]
    assert "so" not in spelt(tokenizer, examples[1].tokens)
    assert list(examples[1].tokens[: examples[1].prompt]) == question_ids(turns[:3], CHAT, tokenizer)


def test_a_conversation_without_a_turn_to_learn_has_no_sequence_and_a_greeting_is_not_learned() -> None:
    tokenizer = text_tokenizer("bytes")
    silent, greeted = messages([("user", "why")]), messages([("assistant", "hi"), ("user", "why"), ("assistant", "so")])
    none, made = sequences(tokenizer, [(talk_row(silent), False), (talk_row(greeted), False)], CHAT)
    (one,) = instance(tuple, made)
    assert none == "no_assistant_turn"
    assert [spelt(tokenizer, one.tokens[slice(*span)]) for span in one.spans] == ["so<|im_end|>"]


def test_a_plain_conversation_is_paragraphs_with_each_answer_learned() -> None:
    tokenizer = text_tokenizer("bytes")
    turns = messages([("user", "2?"), ("assistant", "2"), ("user", "3?"), ("assistant", "3")])
    examples = encode(tokenizer, [(talk_row(turns), False)])
    read = [spelt(tokenizer, one.tokens) for one in examples]
    assert read == ["2?\n2<|endoftext|>", "2?\n\n2\n\n3?\n3<|endoftext|>"]
    assert [spelt(tokenizer, one.tokens[one.prompt :])[0] for one in examples] == ["2", "3"]
