"""Where an answer ends: any end token of tokenizer and base, a stop text; and one way of generating it everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.campaign import ItemSet
from schemas.prompts import Prompt
from schemas.tasks import TaskList, TaskScore
from services.oracle.evaluate import evaluate
from services.oracle.harness.asked import cut
from services.oracle.harness.decode import StopTexts, decode
from services.oracle.harness.model import TaskLM
from services.oracle.job import EngineUse, EvaluationJob, ListedSet, SealedSet, TaskRefused
from services.oracle.sets import draw_set
from services.runtime.prompting import EndTokenMissing, plain_question
from tests.engine_server import Model, serving
from tests.tiny_models import DOMAINS, make_model, spelt
from tests.unit.task_files import WRITTEN, write_task

KEY = b"0123456789abcdef"
SPEC = ItemSet(items=12)
SHA = "ab" * 32
CHAT = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}A: {% endif %}"
)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> EvaluationJob:
    folder = tmp_path_factory.mktemp("ends")
    (folder / "key").write_bytes(KEY)
    return EvaluationJob(
        candidate="base",
        base=str(make_model(folder / "base")),
        base_sha256=SHA,
        sets=(SealedSet(kind="dev", spec=SPEC, nonce="n"),),
        domains=DOMAINS,
        key_file=str(folder / "key"),
        max_length=128,
        max_new_tokens=12,
        out=str(folder / "receipts"),
        copies="none",
    )


def measure(job: EvaluationJob):
    return evaluate(job, lambda _: None).measured[0]


def outputs(measured) -> list[str]:
    return [json.loads(line)["output"] for line in Path(measured.receipt.uri).read_text().splitlines()]


def with_ends(job: EvaluationJob, folder: Path, **generation) -> EvaluationJob:
    """The same model with other generation settings."""
    make_model(folder)
    file = folder / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **generation}))
    return job.model_copy(update={"base": str(folder)})


def written(job: EvaluationJob) -> list[list[int]]:
    """The tokens that the model writes to each item without any end."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(job.base), AutoTokenizer.from_pretrained(job.base)
    rows = []
    for items in draw_set("dev", SPEC, DOMAINS, KEY, "n").values():
        for item in items:
            ids = torch.tensor([tokenizer(plain_question(item.prompt))["input_ids"]])
            for _ in range(job.max_new_tokens):
                ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
            rows.append(ids[0, -job.max_new_tokens :].tolist())
    return rows


def frequent(job: EvaluationJob) -> int:
    """A token that ends some answers early, and is no control token."""
    counts: dict[int, int] = {}
    special = set(AutoTokenizer.from_pretrained(job.base).all_special_ids)
    for row in written(job):
        for token in set(row[1:]) - special:
            counts[token] = counts.get(token, 0) + 1
    return max(counts, key=lambda token: counts[token])


def test_every_end_token_of_the_base_ends_an_answer_here_and_on_a_server(job, tmp_path) -> None:
    tokenizer, other = AutoTokenizer.from_pretrained(job.base), frequent(job)
    ended = with_ends(job, tmp_path / "base", eos_token_id=[tokenizer.eos_token_id, other])
    ends = {tokenizer.eos_token_id, other}
    expected = []
    for row in written(job):
        stop = next((at for at, token in enumerate(row) if token in ends), len(row))
        expected.append(tokenizer.decode(row[:stop], skip_special_tokens=True))
    here = measure(ended)
    assert outputs(here) == expected
    assert outputs(here) != outputs(measure(job))
    assert here.tokens < measure(job).tokens
    with serving(Model(ended.base, "base-" + SHA[:16])) as server:
        use = EngineUse(kind="remote", url=server.url, seconds=30.0)
        assert outputs(measure(ended.model_copy(update={"engine": use}))) == expected


def test_a_stop_text_ends_an_answer_at_its_first_place_here_and_on_a_server(job) -> None:
    plain = measure(job)
    (stop, other) = sorted({text[3:5] for text in outputs(plain) if len(text) > 6})[:2]
    stopped = job.model_copy(update={"prompt": Prompt(stop=(stop, other))})
    here = measure(stopped)
    assert outputs(here) == [cut(text, (stop, other)) for text in outputs(plain)]
    assert outputs(here) != outputs(plain)
    assert here.tokens < plain.tokens
    with serving(Model(job.base, "base-" + SHA[:16])) as server:
        use = EngineUse(kind="remote", url=server.url, seconds=30.0)
        assert outputs(measure(stopped.model_copy(update={"engine": use}))) == outputs(here)


def test_a_stop_text_of_several_tokens_ends_each_row_where_it_is_complete(job) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(job.base), AutoTokenizer.from_pretrained(job.base)
    ids = torch.tensor([[tokenizer.bos_token_id, 40 + at] for at in range(6)])
    mask, filler = torch.ones_like(ids), tokenizer.pad_token_id
    whole = decode(model, ids, mask, 14, (tokenizer.eos_token_id,), filler)[:, 2:]
    stop = str(tokenizer.decode(whole[0, 2:5], skip_special_tokens=True))
    ended = decode(model, ids, mask, 14, (tokenizer.eos_token_id,), filler, StopTexts((stop,), tokenizer))[:, 2:]
    assert (ended[0] != filler).sum() <= 5
    for row, free in zip(ended.tolist(), whole.tolist(), strict=True):
        kept = [token for token in row if token != filler]
        assert kept == free[: len(kept)]
        assert len(kept) == len(free) or stop in tokenizer.decode(kept, skip_special_tokens=True) or filler in free


def test_the_earliest_stop_text_counts_whatever_their_order() -> None:
    assert cut("one two three", ("three", "two")) == "one "
    assert cut("one", ("two",)) == "one"


def test_penalties_of_the_base_change_neither_sealed_answers_nor_lists(job, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    write_task(tmp_path / "tasks", "written", WRITTEN)
    tasks = TaskList(tasks=(TaskScore(task="written", metric="exact_match"),), include=str(tmp_path / "tasks"))
    asked = job.model_copy(update={"lists": (ListedSet(kind="external", tasks=tasks),)})
    punished = with_ends(asked, tmp_path / "base", repetition_penalty=5.0, do_sample=True, temperature=3.0)
    free, held = (evaluate(one, lambda _: None).measured for one in (asked, punished))
    assert [one.receipt.sha256 for one in free] == [one.receipt.sha256 for one in held]
    assert "greedy, no penalties" in held[1].stamp.harness


def test_a_tokenizer_without_an_end_token_is_refused_by_name(job, tmp_path) -> None:
    folder = make_model(tmp_path / "base")
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "eos_token": None}))
    with pytest.raises(EndTokenMissing, match="has no end token"):
        measure(job.model_copy(update={"base": str(folder)}))


@pytest.fixture
def chat(job: EvaluationJob, tmp_path, monkeypatch) -> EvaluationJob:
    """A list of two-shot tasks, asked through a chat template."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    write_task(tmp_path / "tasks", "written", WRITTEN, fewshot_split="test", num_fewshot=1)
    folder = make_model(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    tasks = TaskList(tasks=(TaskScore(task="written", metric="exact_match"),), include=str(tmp_path / "tasks"))
    form = Prompt(template="chat", system="is it")
    lists = (ListedSet(kind="external", tasks=tasks),)
    return job.model_copy(update={"base": str(folder), "sets": (), "lists": lists, "prompt": form, "chat_lists": True})


def test_lists_are_asked_in_the_campaigns_chat_and_system_instruction(chat, monkeypatch) -> None:
    plain, other = measure(chat.model_copy(update={"chat_lists": False})), Prompt(template="chat", system="it is")
    differently, seen, generate = measure(chat.model_copy(update={"prompt": other})), [], TaskLM._model_generate

    def spied(self, context, *arguments, **named):
        seen.extend(context)
        return generate(self, context, *arguments, **named)

    monkeypatch.setattr(TaskLM, "_model_generate", spied)
    measured = measure(chat)
    assert "chat template; system instruction" in measured.stamp.harness
    assert len({one.stamp.template_sha256 for one in (plain, differently, measured)}) == 3
    tokenizer = AutoTokenizer.from_pretrained(chat.base)
    assert len(seen) == 4
    for row in seen:
        text = spelt(tokenizer, row).replace(tokenizer.pad_token, "").replace(" ", "")
        assert text.count(tokenizer.bos_token) == 1
        assert text.startswith(f"{tokenizer.bos_token}system:isit")
        assert text.count("user:") == 2
        assert text.endswith("A:")


def test_confirm_of_a_list_takes_the_items_after_devs_and_a_list_without_any_is_refused(chat) -> None:
    (listed,) = chat.lists
    later = listed.tasks.model_copy(update={"first": 1, "limit": 2})
    asked = chat.model_copy(update={"lists": (ListedSet(kind="confirm", tasks=later),)})
    measured = measure(asked)
    records = [json.loads(line) for line in Path(measured.receipt.uri).read_text().splitlines()]
    assert [record["item"] for record in records] == [1, 2]
    assert "first 2 after 1" in measured.stamp.harness
    spent = ListedSet(kind="confirm", tasks=listed.tasks.model_copy(update={"first": 4, "limit": 2}))
    with pytest.raises(TaskRefused, match="written has 4 items, none after the first 4"):
        measure(chat.model_copy(update={"lists": (spent,)}))
