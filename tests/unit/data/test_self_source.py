"""Answers that a model of the campaign writes: only accepted ones, of the train split, by the weights that may."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from schemas.campaign import Model
from schemas.evidence import Stored
from schemas.sources import SelfSource
from services.data.collect.verify import verified
from services.data.job import Sampled
from services.data.sources.registry import make_source
from services.data.sources.self_source import SelfSampler
from services.data.sources.source import RoundContext, Sampling, SourceFailed
from services.runtime.storage.artifacts import ArtifactChanged
from services.runtime.storage.hashing import hash_folder
from tasks.puzzles.draw import draw
from tasks.puzzles.scorer import correct
from tasks.split import split_of
from tests.tiny_model import make_model, memorise

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
    state: dict = {}
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


def standing(adapter: Path) -> dict:
    return {"candidate": "r1s2", "adapter": Stored(uri=str(adapter), sha256=hash_folder(adapter))}


def test_the_base_is_asked_unless_the_constitution_says_standing(base, adapter):
    spec = SPEC.model_copy(update={"model": "standing"})
    by_base = [step.rows for step in harvested(sampler(base, **standing(adapter)))]
    by_standing = [step.rows for step in harvested(sampler(base, spec, **standing(adapter)))]
    assert by_base == [step.rows for step in harvested(sampler(base))]
    assert by_standing != by_base
    assert sampler(base, spec, **standing(adapter))._uri == f"model:r1s2:{hash_folder(adapter)}"


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
