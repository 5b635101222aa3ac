"""Measuring: lm-eval agrees with plain generation, receipts recount, nothing sealed leaves the process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.evaluator import evaluate as run_tasks
from lm_eval.models.huggingface import HFLM
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from judgement.statistics import scores
from schemas.campaign import ItemSet
from schemas.recipe import Recipe
from schemas.scores import Receipt
from services.oracle import receipts
from services.oracle.adapters import AdapterChanged
from services.oracle.evaluate import evaluate
from services.oracle.harness.model import GreedyLM
from services.oracle.harness.tasks import make_tasks
from services.oracle.job import Evaluated, EvaluationJob, PromptTooLong, Reference, SealedSet
from services.oracle.receipts import ReceiptForged, rescore
from services.oracle.sets import draw_set
from services.runtime.prompting import plain_question
from services.runtime.storage import object_store
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import ModelMissing
from services.runtime.storage.trained_folders import AdapterMissing
from services.trainer.engine import train
from services.trainer.job import TrainingJob
from tasks.puzzles.scorer import correct
from tests.tiny_models import DOMAINS, make_model, make_snapshot, memorise
from tests.typed import there

KEY = b"0123456789abcdef"
SPEC = ItemSet(items=40, wordings=(1, 1, 0))


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> EvaluationJob:
    """A model that knows the first half of each domain's dev items by heart, and a light adapter on it."""
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "key").write_bytes(KEY)
    base = str(make_model(folder / "base", width=64))
    dev = draw_set("dev", SPEC, DOMAINS, KEY, "demo/0")
    memorise(
        folder / "base", [(plain_question(i.prompt), i.completion(traced=False)) for d in DOMAINS for i in dev[d][:20]]
    )
    recipe = Recipe(steps=10, lr=3e-3, wordings=(1, 1, 0))
    common = {"candidate": "r1s0", "base": base, "max_length": 256, "out": str(folder / "adapter")}
    places = {"snapshot": make_snapshot(folder), "work": str(folder / "w"), "copies": "none"}
    trained = train(TrainingJob(recipe=recipe, seed=1, **places, **common), lambda _: None)
    sealed = SealedSet(kind="dev", spec=SPEC, nonce="demo/0")
    return EvaluationJob(
        candidate="r1s0",
        base=base,
        adapter=trained.uri,
        sha256=trained.sha256,
        copies="none",
        sets=(sealed,),
        domains=DOMAINS,
        key_file=str(folder / "key"),
        max_length=256,
        max_new_tokens=24,
        out=str(folder / "receipts"),
    )


@pytest.fixture(scope="module")
def result(job) -> Evaluated:
    return evaluate(job, lambda _: None)


def items_of(job: EvaluationJob):
    asked = job.sets[0]
    return draw_set(asked.kind, asked.spec, job.domains, KEY, asked.nonce)


def lines_of(receipt: Receipt) -> list[dict[str, Any]]:
    return [json.loads(text) for text in Path(receipt.uri).read_text().splitlines()]


def adapted(job: EvaluationJob):
    base = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32)
    return PeftModel.from_pretrained(base, there(job.adapter)).eval()


def test_outputs_equal_plain_generation_with_the_begin_token(job, result) -> None:
    model, tokenizer = adapted(job), AutoTokenizer.from_pretrained(job.base)
    asked = [item for items in items_of(job).values() for item in items]
    lines = lines_of(result.measured[0].receipt)
    for line, item in zip(lines, asked, strict=True):
        prompt = tokenizer(plain_question(item.prompt), add_special_tokens=False)["input_ids"]
        ids = torch.tensor([[tokenizer.bos_token_id, *prompt]])
        written = model.generate(input_ids=ids, max_new_tokens=job.max_new_tokens, do_sample=False)
        output = str(tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True))
        assert line["output"] == output
        assert line["correct"] == correct(item.prompt, output, item.answer)
    assert {line["correct"] for line in lines} == {True, False}


def test_stopping_at_the_end_token_alone_changes_nothing_against_lm_eval_itself(job) -> None:
    items, tokenizer = items_of(job), AutoTokenizer.from_pretrained(job.base)
    model = adapted(job).merge_and_unload()
    ours = GreedyLM(model, tokenizer, 16, 256, lambda *_: None)
    stock = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=16, max_length=256)
    answers = [
        run_tasks(lm, {"tasks": make_tasks(items, job.max_new_tokens)}, bootstrap_iters=0)["samples"]
        for lm in (ours, stock)
    ]
    for domain in job.domains:
        first, second = ([s["filtered_resps"] for s in samples[domain]] for samples in answers)
        assert first == second


def test_scores_are_lm_evals_own_means(job, result) -> None:
    items, tokenizer = items_of(job), AutoTokenizer.from_pretrained(job.base)
    lm = GreedyLM(adapted(job).merge_and_unload(), tokenizer, 64, 256, lambda *_: None)
    harness = run_tasks(lm, {"tasks": make_tasks(items, job.max_new_tokens)}, bootstrap_iters=0)["results"]
    for domain, measured in result.measured[0].scores.domains.items():
        assert measured.score == harness[domain]["exact_match,none"]
        assert measured.n == 40


def test_the_adapter_makes_the_difference(job, result) -> None:
    base = evaluate(job.model_copy(update={"adapter": None, "candidate": "base"}), lambda _: None)
    assert base.measured[0].receipt.sha256 != result.measured[0].receipt.sha256


def test_equal_jobs_give_equal_receipts(job, result, tmp_path) -> None:
    again = evaluate(job.model_copy(update={"out": str(tmp_path)}), lambda _: None)
    assert again.measured[0].receipt.sha256 == result.measured[0].receipt.sha256
    assert again.measured[0].tokens == result.measured[0].tokens


def test_several_sets_share_one_loaded_model(job) -> None:
    confirm = SealedSet(kind="confirm", spec=SPEC, nonce="demo/0/1")
    both = evaluate(job.model_copy(update={"sets": (*job.sets, confirm)}), lambda _: None)
    assert [measured.kind for measured in both.measured] == ["dev", "confirm"]
    assert both.measured[0].stamp == both.measured[1].stamp
    dev, fresh = ({line["item"] for line in lines_of(measured.receipt)} for measured in both.measured)
    assert not dev & fresh


def test_under_another_stamp_the_base_is_measured_on_dev_too(job, result) -> None:
    taken = result.measured[0].stamp
    elsewhere = Reference(stamp=taken.model_copy(update={"engine": "another"}), dev=job.sets[0])
    again = evaluate(job.model_copy(update={"reference": elsewhere}), lambda _: None)
    bare = evaluate(job.model_copy(update={"candidate": "base", "adapter": None, "sha256": None}), lambda _: None)
    assert again.measured[0].receipt == result.measured[0].receipt
    assert there(again.reference).stamp == taken
    assert there(again.reference).receipt == bare.measured[0].receipt
    alike = Reference(stamp=taken, dev=job.sets[0])
    assert evaluate(job.model_copy(update={"reference": alike}), lambda _: None).reference is None


def test_progress_counts_items(job) -> None:
    seen: list[dict[str, Any]] = []
    evaluate(job, seen.append)
    assert seen[-1] == {"kind": "dev", "step": 80, "steps": 80}


def test_a_receipt_recounts_to_its_scores(job, result) -> None:
    measured = result.measured[0]
    assert rescore(measured.receipt, items_of(job), KEY) == measured.scores


def test_a_receipt_says_nothing_of_prompts_and_answers(job, result) -> None:
    for line in lines_of(result.measured[0].receipt):
        assert set(line) == {"domain", "item", "output", "correct", "answer"}
    right = {item.answer for items in items_of(job).values() for item in items}
    assert not right & {line["answer"] for line in lines_of(result.measured[0].receipt)}


def test_a_changed_receipt_is_found_out(job, result, tmp_path) -> None:
    receipt = result.measured[0].receipt
    copy = tmp_path / "receipt.jsonl"
    copy.write_text(Path(receipt.uri).read_text().replace('"correct":false', '"correct":true', 1))
    with pytest.raises(ReceiptForged, match="its hash is"):
        rescore(Receipt(uri=str(copy), sha256=receipt.sha256), items_of(job), KEY)


def test_a_verdict_that_the_output_does_not_bear_out_is_found_out(job, tmp_path) -> None:
    items = items_of(job)
    claims = [receipts.line(item, "nothing", True, KEY) for asked in items.values() for item in asked]
    with pytest.raises(ReceiptForged, match="is not True"):
        rescore(receipts.write(claims, tmp_path), items, KEY)


def test_a_receipt_of_another_set_is_found_out(job, result) -> None:
    other = draw_set("dev", SPEC, job.domains, b"another key, as long", "demo/0")
    with pytest.raises(ReceiptForged, match="not those of the set"):
        rescore(result.measured[0].receipt, other, KEY)


def test_right_outputs_count_per_domain(job) -> None:
    items = items_of(job)
    lines = [receipts.line(item, "", item.domain == "roman", KEY) for asked in items.values() for item in asked]
    assert receipts.count(lines) == scores({"roman": (40, 40), "units": (0, 40)})


def test_a_prompt_without_room_for_its_answer_is_refused(job) -> None:
    with pytest.raises(PromptTooLong, match=r"model\.max_length: 30 less max_new_tokens 24 leaves 6 tokens"):
        evaluate(job.model_copy(update={"max_length": 30}), lambda _: None)


def test_missing_folders_are_named(job, tmp_path) -> None:
    with pytest.raises(ModelMissing, match=r"holds no config\.json"):
        evaluate(job.model_copy(update={"base": str(tmp_path)}), lambda _: None)
    empty = {"adapter": str(tmp_path), "sha256": hash_folder(tmp_path)}
    with pytest.raises(AdapterMissing, match=r"holds no adapter_config\.json"):
        evaluate(job.model_copy(update=empty), lambda _: None)


@pytest.mark.parametrize(("adapter", "found"), [("nowhere", "missing"), (".", "[0-9a-f]{64}")])
def test_another_adapter_than_the_trained_one_is_not_measured(job, tmp_path, adapter, found) -> None:
    changed = job.model_copy(update={"adapter": str(tmp_path / adapter)})
    with pytest.raises(AdapterChanged, match=f"its hash is {found}, the trainer recorded {job.sha256}; train it again"):
        evaluate(changed, lambda _: None)


def test_a_stop_string_is_refused_since_it_would_cut_the_box(job, monkeypatch) -> None:
    lm = GreedyLM(adapted(job), AutoTokenizer.from_pretrained(job.base), 16, 256, lambda *_: None)
    with pytest.raises(ValueError, match="more than the end token"):
        lm._model_generate(torch.tensor([[1]]), 4, ["}"], attention_mask=torch.tensor([[1]]))


def test_an_adapter_and_a_receipt_may_lie_in_a_store_of_objects(job, result, tmp_path) -> None:
    store = f"memory://{tmp_path}"
    object_store.upload(Path(job.adapter), f"{store}/adapter")
    places = {"adapter": f"{store}/adapter", "out": f"{store}/receipts", "copies": str(tmp_path)}
    (there,) = evaluate(job.model_copy(update=places), lambda _: None).measured
    assert there.receipt.uri == f"{store}/receipts/{there.receipt.sha256}.jsonl"
    assert (there.receipt.sha256, there.scores) == (result.measured[0].receipt.sha256, result.measured[0].scores)
    assert rescore(there.receipt, items_of(job), KEY) == there.scores
