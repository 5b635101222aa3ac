"""Lists of lm-eval tasks: what the model is asked is what lm-eval would ask, and what is no mean is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.scores import Receipt
from schemas.tasks import Guard, TaskList, TaskScore
from services.oracle import records
from services.oracle.evaluate import evaluate
from services.oracle.job import CodeRefused, EvaluationJob, ListedSet, PromptTooLong, TaskRefused
from services.oracle.records import Record
from tests.tiny_models import DOMAINS, make_model
from tests.typed import there
from tests.unit.task_files import CHOICE, SUMS, WRITTEN, write_task

ACC = TaskScore(task="Sums", metric="acc")
EXACT = TaskScore(task="written", metric="exact_match")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    """Of the tasks, the model and the receipts; also of the copies that the library makes of the tasks' data."""
    made = tmp_path_factory.mktemp("lists")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", made / "cache")
        yield made


@pytest.fixture(scope="module")
def job(folder) -> EvaluationJob:
    """A random model, asked to choose and to write."""
    write_task(folder / "tasks", "Sums", CHOICE)
    write_task(folder / "tasks", "written", WRITTEN)
    both = TaskList(tasks=(ACC, EXACT), include=str(folder / "tasks"))
    return EvaluationJob(
        candidate="base",
        base=str(make_model(folder / "base")),
        lists=(ListedSet(kind="external", tasks=both),),
        domains=DOMAINS,
        key_file=str(folder / "none"),
        max_length=64,
        max_new_tokens=16,
        out=str(folder / "receipts"),
        copies="none",
    )


@pytest.fixture(scope="module")
def measured(job):
    return evaluate(job, lambda _: None).measured[0]


def records_of(receipt: Receipt) -> list[Record]:
    return [Record.model_validate_json(text) for text in Path(receipt.uri).read_text().splitlines()]


def asking(job: EvaluationJob, *tasks: TaskScore, limit: int | None = None, **differs) -> EvaluationJob:
    asked = job.lists[0].tasks.model_copy(update={"tasks": tasks, "limit": limit})
    return job.model_copy(update={"lists": (ListedSet(kind="external", tasks=asked),), **differs})


def refusal(job, kind, *tasks, **differs) -> str:
    with pytest.raises(kind) as caught:
        evaluate(asking(job, *tasks, **differs), lambda _: None)
    return str(caught.value)


def test_a_choice_is_the_one_that_the_model_itself_finds_likelier(job, measured) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(job.base), AutoTokenizer.from_pretrained(job.base)
    chosen = [record for record in records_of(measured.receipt) if record.task == "sums"]
    for record, row in zip(chosen, SUMS, strict=True):
        for (told, _), choice in zip(record.outputs, row["choices"], strict=True):
            prompt, whole = (tokenizer(text)["input_ids"] for text in (row["question"], f"{row['question']} {choice}"))
            logits = model(torch.tensor([whole])).logits[0].log_softmax(-1).detach()
            own = sum(float(logits[i - 1, whole[i]]) for i in range(len(prompt), len(whole)))
            assert told == pytest.approx(own, abs=1e-3)
        likelihoods = [output[0] for output in record.outputs]
        assert record.value == float(likelihoods[0] > likelihoods[1])


def test_what_is_written_is_plain_greedy_generation(job, measured) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(job.base)  # its `generate` is said to be of another type
    tokenizer = AutoTokenizer.from_pretrained(job.base)
    for record, row in zip([r for r in records_of(measured.receipt) if r.task == "written"], SUMS, strict=True):
        ids = torch.tensor([tokenizer(row["question"])["input_ids"]])
        ended = model.generate(input_ids=ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
        text = str(tokenizer.decode(ended, skip_special_tokens=True)).split("\n")[0]
        assert record.outputs == [text]
        assert record.value == float(text.strip() == row["answer"])


def test_the_score_is_the_mean_over_the_tasks_and_its_receipt_recounts_to_it(measured) -> None:
    scores = measured.scores
    assert list(scores.domains) == ["sums", "written"]
    assert scores.score == pytest.approx(sum(part.score for part in scores.domains.values()) / 2)
    assert (scores.n, scores.domains["sums"].n) == (8, 4)
    assert scores.se > 0
    assert records.count(records_of(measured.receipt)) == {"external": scores}


def test_equal_jobs_have_equal_receipts_and_stamps_and_are_charged_alike(job, measured, tmp_path) -> None:
    again = evaluate(job.model_copy(update={"out": str(tmp_path)}), lambda _: None).measured[0]
    assert (again.receipt.sha256, again.stamp) == (measured.receipt.sha256, measured.stamp)
    assert again.tokens == measured.tokens > 0


def test_the_stamp_tells_what_was_asked_and_how(job, measured) -> None:
    assert "Sums 1.0, acc, none, 0-shot; written 1.0, exact_match, none, 0-shot" in measured.stamp.harness
    fewer = evaluate(asking(job, ACC, EXACT, limit=2), lambda _: None).measured[0]
    assert "first 2" in fewer.stamp.harness
    assert fewer.scores.n == 4
    assert fewer.stamp.template_sha256 != measured.stamp.template_sha256


def test_other_items_or_another_task_file_have_another_stamp(job, measured, tmp_path) -> None:
    def stamped(name: str, rows=SUMS, **differs):
        write_task(tmp_path / name, "Sums", CHOICE, rows, **differs)
        write_task(tmp_path / name, "written", WRITTEN)
        listed = job.lists[0].tasks.model_copy(update={"include": str(tmp_path / name)})
        one = job.model_copy(update={"lists": (ListedSet(kind="external", tasks=listed),)})
        return evaluate(one, lambda _: None).measured[0].stamp

    assert stamped("copy") == measured.stamp
    assert stamped("rows", [*SUMS[:-1], {**SUMS[-1], "question": "2 + 2 ="}]) != measured.stamp
    assert stamped("config", target_delimiter="") != measured.stamp


def test_data_that_changed_in_its_place_is_read_anew(job, folder) -> None:
    """Not taken from the library's cache: the stamp must speak of what was asked."""
    write_task(folder / "tasks", "moving", CHOICE)
    asked = asking(job, TaskScore(task="moving", metric="acc"))
    before = evaluate(asked, lambda _: None).measured[0]
    write_task(folder / "tasks", "moving", CHOICE, [*SUMS, {**SUMS[0], "question": "2 + 2 ="}])
    after = evaluate(asked, lambda _: None).measured[0]
    assert (before.scores.n, after.scores.n) == (4, 5)
    assert before.stamp != after.stamp


def test_guards_are_measured_by_suite_with_one_receipt(job) -> None:
    listed = {"include": job.lists[0].tasks.include, "bound": 0.05}
    guards = (Guard(name="sums", tasks=(ACC,), **listed), Guard(name="writing", tasks=(EXACT,), limit=3, **listed))
    found = evaluate(job.model_copy(update={"lists": (), "guards": guards}), lambda _: None)
    assert found.measured == ()
    guarded = there(found.guarded)
    assert {name: suite.n for name, suite in guarded.suites.items()} == {"sums": 4, "writing": 3}
    assert records.count(records_of(guarded.receipt)) == guarded.suites


def test_solved_examples_are_counted_and_change_the_prompt(job, folder, measured) -> None:
    write_task(folder / "tasks", "shots", CHOICE, fewshot_split="test")
    shot = evaluate(asking(job, TaskScore(task="shots", metric="acc", fewshot=1)), lambda _: None).measured[0]
    assert "1-shot" in shot.stamp.harness
    plain = {record.item: record.prompt for record in records_of(measured.receipt) if record.task == "sums"}
    assert all(record.prompt != plain[record.item] for record in records_of(shot.receipt))
    again = evaluate(asking(job, TaskScore(task="shots", metric="acc", fewshot=1)), lambda _: None).measured[0]
    assert again.stamp == shot.stamp  # the same examples were drawn


def test_each_filter_of_outputs_has_a_score_of_its_own(job, folder) -> None:
    first = {"function": "take_first"}
    seven = {"function": "regex", "regex_pattern": "never written", "fallback": "7"}
    filters = [{"name": "seven", "filter": [seven, first]}, {"name": "as-is", "filter": [first]}]
    write_task(folder / "tasks", "filtered", WRITTEN, filter_list=filters)

    def score(name: str) -> float:
        asked = asking(job, TaskScore(task="filtered", metric="exact_match", filter=name))
        return evaluate(asked, lambda _: None).measured[0].scores.score

    assert (score("seven"), score("as-is")) == (1.0, 0.0)  # the right answer of each item is 7


def test_an_unknown_task_metric_or_filter_is_named_with_what_there_is(job) -> None:
    assert "'nowhere' is neither in the folder" in refusal(job, TaskRefused, TaskScore(task="nowhere", metric="acc"))
    assert "no metric 'f1'; it has acc" in refusal(job, TaskRefused, TaskScore(task="Sums", metric="f1"))
    strict = TaskScore(task="Sums", metric="acc", filter="strict")
    assert "no filter 'strict'; it has none" in refusal(job, TaskRefused, strict)
    lost = job.lists[0].tasks.model_copy(update={"include": "not/there"})
    with pytest.raises(TaskRefused, match="'not/there' is no folder in "):
        evaluate(job.model_copy(update={"lists": (ListedSet(kind="external", tasks=lost),)}), lambda _: None)


def test_data_that_are_not_there_are_told_by_the_name_of_the_task(job, folder) -> None:
    write_task(folder / "tasks", "bare", CHOICE)
    (folder / "tasks" / "bare.jsonl").unlink()
    words = refusal(job, TaskRefused, TaskScore(task="bare", metric="acc"))
    assert "'bare': its data cannot be read (FileNotFoundError)" in words


ONE = {"question": "1 + 1 =", "choices": ["2", "7"], "right": 0, "answer": "2"}


NO_CHOICE, NO_RIGHT = "has no choices, or an empty one", "has 2 choices, and its right one is none of them"


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    ("named", "good", "wrong", "words"),
    [
        ("empty", {}, {"choices": ["2", ""]}, NO_CHOICE),
        ("none", {}, {"choices": []}, NO_CHOICE),
        ("beyond", {}, {"right": 2}, NO_RIGHT),
        ("before", {}, {"right": -1}, NO_RIGHT),
        ("missing", {}, {"right": None}, NO_RIGHT),
        ("letter", {"right": "2"}, {"right": "A"}, NO_RIGHT),
        ("several", {"right": [0]}, {"right": [0, 5]}, NO_RIGHT),
        ("nobody", {"right": [0]}, {"right": []}, NO_RIGHT),
    ],
)
def test_an_item_without_a_right_choice_is_refused_by_its_number(job, folder, named, good, wrong, words, at) -> None:
    rows = [{**ONE, **good}, {**ONE, **good}]
    rows[at] = {**rows[at], **wrong}
    name = f"{named}{at}"
    columns = {"doc_to_choice": "choices", "doc_to_target": "right"}
    write_task(folder / "tasks", name, CHOICE, rows, **columns)
    message = refusal(job, TaskRefused, TaskScore(task=name, metric="acc"))
    assert f"'{name}'" in message
    assert f"item {at} {words}" in message or (at == 0 and "lm-eval cannot read its first item" in message)
    assert message.endswith("as its right one a number from 0 or one of their texts")
    if at == 1:  # an item that the list does not take is not looked at
        listed = asking(job, TaskScore(task=name, metric="acc"), limit=1)
        assert len(records_of(evaluate(listed, lambda _: None).measured[0].receipt)) == 1


def test_a_task_without_items_is_refused(job, folder) -> None:
    write_task(folder / "tasks", "Nothing", CHOICE, [])
    assert "'Nothing': lm-eval cannot read its first item" in refusal(
        job, TaskRefused, TaskScore(task="Nothing", metric="acc")
    )


def test_a_question_without_words_is_asked(job, folder) -> None:
    write_task(folder / "tasks", "silent", CHOICE, [{**ONE, "question": ""}, ONE])
    receipt = evaluate(asking(job, TaskScore(task="silent", metric="acc")), lambda _: None).measured[0].receipt
    assert [len(record.outputs) for record in records_of(receipt)] == [2, 2]


def test_a_metric_that_is_no_rising_mean_within_0_and_1_is_refused(job, folder) -> None:
    falling = [{"metric": "acc", "aggregation": "mean", "higher_is_better": False}]
    write_task(folder / "tasks", "falling", CHOICE, metric_list=falling)
    assert "less is better" in refusal(job, TaskRefused, TaskScore(task="falling", metric="acc"))
    median = [{"metric": "acc", "aggregation": "perplexity", "higher_is_better": True}]
    write_task(folder / "tasks", "aggregated", CHOICE, metric_list=median)
    assert "a mean over items" in refusal(job, TaskRefused, TaskScore(task="aggregated", metric="acc"))
    bleu = [{"metric": "bleu", "aggregation": "bleu", "higher_is_better": True}]
    write_task(folder / "tasks", "corpus", WRITTEN, metric_list=bleu)
    assert "is no number within 0 and 1" in refusal(job, TaskRefused, TaskScore(task="corpus", metric="bleu"))


def test_a_task_that_runs_what_the_model_wrote_is_refused_before_its_code_is_loaded(job, folder) -> None:
    write_task(folder / "tasks", "program", WRITTEN, unsafe_code=True)
    metric = TaskScore(task="program", metric="exact_match")
    assert "'program' runs code that the model wrote" in refusal(job, CodeRefused, metric)
    assert "set it to true" in refusal(job, CodeRefused, metric)
    text = (folder / "tasks" / "program.yaml").read_text()
    (folder / "tasks" / "program.yaml").write_text(f"{text}process_results: !function trap.f\n")
    (folder / "tasks" / "trap.py").write_text("raise AssertionError('loaded')\n")
    assert "'program' runs code that the model wrote" in refusal(job, CodeRefused, metric)


def test_a_prompt_that_lm_eval_would_cut_is_refused(job, folder) -> None:
    long = [{"question": "1 + " * 60, "choices": ["1", "2"], "right": 0, "answer": "1"}]
    for name, config in (("long-choice", CHOICE), ("long-text", WRITTEN)):
        write_task(folder / "tasks", name, config, long)
        metric = config["metric_list"][0]["metric"]
        assert "raise max_length" in refusal(job, PromptTooLong, TaskScore(task=name, metric=metric))
    greedy = {"until": ["\n"], "max_gen_toks": 64, "do_sample": False}
    write_task(folder / "tasks", "long-answer", WRITTEN, generation_kwargs=greedy)
    assert "the answer of a task" in refusal(job, PromptTooLong, TaskScore(task="long-answer", metric="exact_match"))


def test_a_receipt_line_holds_no_item_but_its_hashes(measured) -> None:
    for text in Path(measured.receipt.uri).read_text().splitlines():
        assert set(json.loads(text)) == {"suite", "task", "item", "document", "prompt", "outputs", "value"}
