"""A model of the campaign's own as a filter: it reads all of a row, and it is the one that the constitution names."""

from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

from schemas.rows import Row
from schemas.sources import ClassifierRule, FilterRule
from services.data.filters.classifier import Classifier, ClassifierRefused
from services.data.filters.filter import Dropped, judged
from services.data.filters.registry import make_filters
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import PickledWeights
from services.trainer.tiny_base.tokenizer import make_tokenizer
from tasks.puzzles.vocabulary import vocabulary
from tests.typed import instance

TOKENS = 64
QUIET, LOUD = "the number of", "gravity"


def make_classifier(folder: Path, *, several: bool = False) -> Path:
    """A Llama with one layer that learns in seconds to tell texts with the word LOUD from others."""
    tokenizer = make_tokenizer(vocabulary(), TOKENS)
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=TOKENS,
            pad_token_id=tokenizer.pad_token_id,
            id2label={0: "fine", 1: "loud"},
            label2id={"fine": 0, "loud": 1},
            problem_type="multi_label_classification" if several else "single_label_classification",
        )
    )
    texts = list(teaching(Random(0)))
    loud = torch.tensor([float(LOUD in text) for text in texts])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batch = tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
    wanted = torch.stack([1 - loud, loud], dim=1) if several else loud.long()
    for _ in range(80):
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=wanted).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def teaching(random: Random):
    """Texts of quiet words; every other one has the loud word somewhere."""
    for number in range(100):
        words = random.choices(QUIET.split(), k=random.randint(1, 5))
        if number % 2:
            words.insert(random.randint(0, len(words)), LOUD)
        yield random.choice(" \n").join(words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_classifier(tmp_path_factory.mktemp("classifier"))


def rule(folder, **changes):
    said = {"name": "guard", "model": str(folder), "sha256": hash_folder(folder), "drop": ["loud"], **changes}
    return ClassifierRule.model_validate(said)


def text(words):
    return Row("web", 0, 0, "", "", words, "core")


def test_a_row_with_the_label_is_dropped_and_counted_by_it(folder):
    guard = Classifier(rule(folder))
    assert guard.judge(text(QUIET)) == text(QUIET)
    dropped = guard.judge(text(f"{QUIET} {LOUD}"))
    assert isinstance(dropped, Dropped)
    assert dropped.key == "guard/loud"
    assert float(dropped.detail) > 0.5


@pytest.mark.parametrize("place", ["prompt", "trace", "answer"])
def test_every_part_of_a_row_is_read(folder, place):
    row = Row(
        **{"domain": "web", "difficulty": 1, "wording": 0, "prompt": QUIET, "answer": QUIET, "trace": QUIET}
        | {"core": "c", place: LOUD}
    )
    assert isinstance(Classifier(rule(folder)).judge(row), Dropped)


def test_what_stands_beyond_the_models_window_is_read_too(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    long = f"{QUIET} " * 60 + LOUD
    assert len(tokenizer(long)["input_ids"]) > 2 * TOKENS
    assert isinstance(Classifier(rule(folder)).judge(text(long)), Dropped)


def test_the_threshold_decides(folder):
    assert isinstance(Classifier(rule(folder, threshold=1.0)).judge(text(LOUD)), Row)  # no softmax is that sure here
    assert isinstance(Classifier(rule(folder, threshold=0.0)).judge(text(QUIET)), Dropped)


def test_labels_that_can_hold_together_are_judged_one_by_one(tmp_path):
    guard = Classifier(rule(make_classifier(tmp_path / "several", several=True), drop=["fine", "loud"]))
    assert instance(Dropped, guard.judge(text(LOUD))).reason == "loud"
    assert instance(Dropped, guard.judge(text(QUIET))).reason == "fine"


def test_it_reads_what_the_other_filters_have_left(folder):
    filters = make_filters(FilterRule(languages=(), min_words=0, quality=(), classifiers=(rule(folder),)))
    assert [one.name for one in filters][-2:] == ["guard", "pii"]
    assert instance(Dropped, judged(filters, text(LOUD))).key == "guard/loud"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "/nowhere"}, "model '/nowhere' has no config.json; put"),
        ({"sha256": "0" * 64}, "sha256 '0+', but the files of .* have .*; restore them"),
        ({"drop": ["unsafe"]}, "drop 'unsafe' is no label of .*; give one of fine, loud"),
    ],
)
def test_a_classifier_that_cannot_be_used_is_named_with_the_remedy(folder, changes, words):
    with pytest.raises(ClassifierRefused, match=words):
        Classifier(rule(folder, **changes))


def test_pickled_weights_are_refused(folder, tmp_path):
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((folder / "config.json").read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(PickledWeights):
        Classifier(rule(pickled))


def test_a_rule_without_classifiers_hashes_as_before():
    assert "classifiers" not in FilterRule().model_dump()
