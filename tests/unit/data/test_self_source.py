"""Answers that a model of the campaign writes: only accepted ones, of the train split, by the weights that may."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.campaign import Constitution, Model
from schemas.evidence import Stored
from schemas.sources import SelfSource
from services.data.collect.verify import verified
from services.data.job import Sampled
from services.data.sources import self_source
from services.data.sources.registry import make_source
from services.data.sources.self_source import SelfSampler, Writer
from services.data.sources.source import RoundContext, Sampling, SourceFailed
from services.data.sources.suites import Suites
from services.runtime.prompting import question_ids
from services.runtime.storage.artifacts import ArtifactChanged
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import PickledWeights
from tasks.formats import core_of
from tasks.puzzles.draw import draw
from tasks.puzzles.scorer import correct
from tasks.split import split_of
from tests.tiny_models import make_model, memorise
from tests.unit.folder_places import FolderPlaces

SPEC = SelfSource(name="own", domain="roman", prompts_per_round=24, samples=3, temperature=0.5)
EASY = (1.0, 0.0, 0.0)


def sampling(base: Path, **sampled) -> Sampling:
    given = Sampled(base=str(base), base_sha256=hash_folder(base), **sampled)
    model = Model(max_length=96, max_new_tokens=40)
    return Sampling(sampled=given, model=model, copies=base.parent / "copies", difficulty=EASY, wordings=EASY)


def sampler(base: Path, spec: SelfSource = SPEC, round_: int = 1, **sampled) -> SelfSampler:
    return SelfSampler(spec, RoundContext(round_, sampling=sampling(base, **sampled)))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model that knows some of the puzzles that it will be asked by heart, and answers one of them wrongly."""
    torch.set_num_threads(1)
    folder = make_model(tmp_path_factory.mktemp("model") / "base")
    puzzles = sampler(folder)._puzzles()[:6]
    pairs = [(f"{item.prompt}\n", item.completion(traced=True)) for item in puzzles[1:]]
    memorise(folder, [(f"{puzzles[0].prompt}\n", "\\boxed{1}"), *pairs], steps=60)
    return folder


def harvested(source: SelfSampler, state=None):
    state = {} if state is None else state
    for step in source.harvest(state):
        state.update(step.remember)
        yield step


def test_only_accepted_answers_to_puzzles_of_the_train_split_are_kept(base):
    steps = list(harvested(sampler(base)))
    rows = [row for step in steps for row in step.rows]
    refused = sum(n for step in steps for n in step.skipped.values())
    assert len(rows) >= 5
    assert len(rows) + refused == SPEC.prompts_per_round * SPEC.samples
    assert all(correct(row.prompt, row.completion(traced=True), row.answer) for row in rows)
    assert {split_of(row.domain, row.parent) for row in rows} == {"train"}
    assert len({row.core for row in rows}) == len(rows)
    assert {row.uri for row in rows} == {f"model:base:{hash_folder(base)}"}
    assert all(verified(row, sampled=True) is None for row in rows)


def test_a_source_that_was_killed_goes_on_with_the_same_answers(base):
    whole = list(harvested(sampler(base)))
    state: dict[str, Any] = {}
    first = next(harvested(sampler(base), state))
    rest = list(harvested(sampler(base), state))
    assert [first, *rest] == whole
    assert list(harvested(sampler(base), state)) == []


def test_another_round_asks_other_puzzles(base):
    first, second = (sampler(base, round_=n)._puzzles() for n in (1, 2))
    assert {item.core for item in first} != {item.core for item in second}


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(0)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    adapted.save_pretrained(folder := tmp_path_factory.mktemp("adapter") / "made")
    return folder


def standing(adapter: Path) -> dict[str, Any]:
    return {"candidate": "r1s2", "adapter": Stored(uri=str(adapter), sha256=hash_folder(adapter))}


def test_the_base_is_asked_unless_the_constitution_says_standing(base, adapter):
    spec = SPEC.model_copy(update={"model": "standing"})
    by_base = [step.rows for step in harvested(sampler(base, **standing(adapter)))]
    by_standing = [step.rows for step in harvested(sampler(base, spec, **standing(adapter)))]
    assert by_base == [step.rows for step in harvested(sampler(base))]
    assert by_standing != by_base
    assert sampler(base, spec, **standing(adapter))._uri == f"model:r1s2:{hash_folder(adapter)}"


def test_an_adapter_that_could_run_code_is_not_asked(base, adapter, tmp_path):
    given = Path(shutil.copytree(adapter, tmp_path / "copy"))
    (given / "adapter_model.safetensors").rename(given / "adapter_model.bin")
    spec = SPEC.model_copy(update={"model": "standing"})
    with pytest.raises(PickledWeights):
        next(harvested(sampler(base, spec, **standing(given))))


def test_an_adapter_that_is_not_the_recorded_one_is_not_asked(base, adapter, tmp_path):
    given = standing(Path(shutil.copytree(adapter, tmp_path / "copy")))
    (tmp_path / "copy" / "more").touch()
    with pytest.raises(ArtifactChanged, match="recorded is"):
        next(harvested(sampler(base, SPEC.model_copy(update={"model": "standing"}), **given)))


def test_a_domain_without_puzzles_is_named(base):
    with pytest.raises(SourceFailed, match="domain 'prose' has no puzzles; give one of bits"):
        next(sampler(base, SPEC.model_copy(update={"domain": "prose"})).harvest({}))


def test_without_torch_the_extra_is_named(base, monkeypatch):
    monkeypatch.setitem(sys.modules, "services.data.sources.self_source", None)
    with pytest.raises(SourceFailed, match=r"needs services\.data\..*; pip install 'aevolve\[trainer\]'"):
        make_source(SPEC, RoundContext(1, sampling=sampling(base)))


def test_a_sealed_puzzle_is_never_taught(base):
    sealed = draw("roman", 1, difficulty=EASY, wordings=EASY, split="dev", seed=0)[0]
    row = sampler(base)._row(sealed, sealed.completion(traced=True))
    dropped = verified(row, sampled=True)
    assert dropped
    assert dropped.key == "verifier/split"


# --- Questions of a suite, and how they are asked ---------------------------------------------------


def suites(folder: Path, items, **suite) -> Suites:
    records = [{"question": one.prompt, "answer": one.answer, "kind": kind} for one, kind in items]
    (folder / "all.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    given = {
        "kind": "files",
        "name": "own",
        "all": "all.jsonl",
        "score": "boxed",
        "columns": {"domain": "kind"},
        **suite,
    }
    law = {
        "suites": [given],
        "evaluation": {kind: {"items": 2} for kind in ("dev", "confirm", "external", "final")},
        "budget": {"external_queries": 2},
        "space": [{"knob": "rank", "values": [8, 16]}],
        "data": {"sources": [SPEC.model_dump(mode="json")]},
    }
    return Suites(Constitution.model_validate(law), FolderPlaces(folder))


def test_questions_of_a_suite_are_asked_and_its_scorer_accepts(base, tmp_path):
    puzzles = sampler(base)._puzzles()[:6]
    items = [(item, "numerals") for item in puzzles] + [(puzzles[0], "other")]
    spec = SPEC.model_copy(update={"domain": "numerals", "suite": "own"})
    context = RoundContext(1, sampling=sampling(base), suites=suites(tmp_path, items))
    steps = list(harvested(SelfSampler(spec, context)))
    rows = [row for step in steps for row in step.rows]
    trained = [item for item in puzzles if split_of("numerals", core_of(item.prompt)) == "train"]
    assert rows
    assert {row.prompt for row in rows} <= {item.prompt for item in trained}
    assert {row.domain for row in rows} == {"numerals"}
    assert {row.parent for row in rows} <= {core_of(item.prompt) for item in trained}
    assert all(row.completion(traced=False) == row.trace and f"\\boxed{{{row.answer}}}" in row.trace for row in rows)


def written(folder: Path, **model) -> list[list[str]]:
    limits = Model(max_length=96, max_new_tokens=24, **model)
    puzzles = sampler(folder)._puzzles()[:6]
    return Writer(folder, None, limits, 2, 0.5).write([item.prompt for item in puzzles], "seed")


def test_the_bases_generation_settings_change_no_answer(base, tmp_path):
    calm = written(base)
    strict = Path(shutil.copytree(base, tmp_path / "strict"))
    penalties = {
        "repetition_penalty": 9.0,
        "no_repeat_ngram_size": 1,
        "top_k": 1,
        "temperature": 3.0,
        "min_new_tokens": 20,
    }
    (strict / "generation_config.json").write_text(json.dumps(penalties))
    assert written(strict) == calm


def test_an_answer_ends_at_every_end_token_of_the_base_and_at_stop_texts(base, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(base)
    whole = written(base)
    first = next(
        text for texts in whole for text in texts if len(tokenizer(text, add_special_tokens=False)["input_ids"]) > 3
    )
    ids = tokenizer(first, add_special_tokens=False)["input_ids"]
    other = Path(shutil.copytree(base, tmp_path / "other"))
    (other / "generation_config.json").write_text(json.dumps({"eos_token_id": [tokenizer.eos_token_id, ids[2]]}))
    assert all(
        ids[2] not in tokenizer(text, add_special_tokens=False)["input_ids"]
        for texts in written(other)
        for text in texts
    )
    stop = first[1:3]
    stopped = written(base, prompt={"stop": [stop]})
    assert stopped != whole
    assert all(stop not in text for texts in stopped for text in texts)


def test_the_model_is_asked_in_the_campaigns_form(base, monkeypatch):
    asked = []

    def heard(one, form, tokenizer):
        asked.append((one, form))
        return question_ids(one, form, tokenizer)

    monkeypatch.setattr(self_source, "question_ids", heard)
    written(base, prompt={"system": "Be brief.", "suffix": " ="})
    assert {form.suffix for _, form in asked} == {" ="}
