"""Reinforcement: right answers are rewarded and become more, in a job that is as exact and resumable as any other."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from schemas.prompts import PROFILE_PROMPTS
from schemas.rows import Row
from services.trainer.batches import encode
from services.trainer.job import RewardsEqual, RowsMissing
from services.trainer.methods import grpo, trl_job
from services.trainer.methods.grpo import Reinforced, questions
from services.trainer.methods.rewards import PuzzleRewards, question_of
from services.trainer.methods.trl_job import MARK, per_step, rows_per_pass
from services.trainer.rows import draws, snapshot, split
from tests.tiny_models import spelt
from tests.trained import kill_at, make_inputs, make_job, quiet

ROMAN: dict[str, Any] = {"mix": {"units": 0.0}, "traces": 0.0}
GRPO: dict[str, Any] = {"method": "grpo", "steps": 6, "batch": 8, "group": 4, **ROMAN}
GRPO |= {"schedule": "constant", "lr": 4e-3}


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> dict[str, str]:
    """A base that answers some of its few questions rightly: all weights of a random one, a little trained."""
    folder = tmp_path_factory.mktemp("begun")
    inputs = make_inputs(folder, width=64, rows=16)
    taught = make_job(folder / "sft", inputs, adapter="full", steps=30, batch=32, lr=5e-3, **ROMAN)
    return {**inputs, "base": quiet(taught).uri}


@pytest.fixture
def job(begun, tmp_path):
    return lambda name="a", **recipe: make_job(tmp_path / name, begun, **{**GRPO, **recipe})


def test_a_short_run_raises_its_reward_beyond_noise(job) -> None:
    seen: list[dict[str, Any]] = []
    learner = begin(job(steps=24, batch=64, group=8, rank=16, alpha=32.0))
    learner.run(0, seen.append)
    first, last = sum(learner.rewards[:6]) / 6, sum(learner.rewards[-6:]) / 6
    noise = math.sqrt((first * (1 - first) + last * (1 - last)) / (6 * 64))
    assert last - first > 3 * noise
    assert seen[-1]["step"] == seen[-1]["steps"] == 24
    assert seen[-1]["reward"] == learner.rewards[-1]


def begin(job) -> Reinforced:
    return Reinforced(job, AutoTokenizer.from_pretrained(job.base), Path(job.base))


@pytest.mark.parametrize(
    "recipe",
    [{}, {"kl": 0.05, "checkpoint": "average"}, {"adapter": "full", "lr": 1e-3}, {"adapter": "qlora"}],
    ids=["lora", "kl", "full", "qlora"],
)
def test_equal_jobs_give_equal_results_also_when_killed(job, recipe, monkeypatch) -> None:
    monkeypatch.setattr(grpo, "EVERY", 2)
    monkeypatch.setattr(trl_job, "REPORT_SECONDS", 0.0)
    undisturbed = quiet(job("a", **recipe))
    kill_at(job("b", **recipe), 5)
    resumed = quiet(job("b", **recipe))
    assert (undisturbed.resumed_from, resumed.resumed_from) == (0, 4)
    same = ("sha256", "loss", "reward", "tokens", "coverage", "form")
    assert [getattr(resumed, name) for name in same] == [getattr(undisturbed, name) for name in same]
    assert not Path(job("b").work).exists()


def test_a_checkpoint_without_its_mark_or_of_another_job_is_not_taken_up(job, monkeypatch) -> None:
    monkeypatch.setattr(grpo, "EVERY", 2)
    monkeypatch.setattr(trl_job, "REPORT_SECONDS", 0.0)
    kill_at(job(), 5)
    assert begin(job()).restore() == 4
    assert begin(job(kl=0.1)).restore() == 0
    (Path(job().work) / "grpo" / "checkpoint-4" / MARK).unlink()
    assert begin(job()).restore() == 2


def test_best_keeps_the_weights_that_answer_the_held_back_questions(job, monkeypatch) -> None:
    learner = begin(job(checkpoint="best", steps=4))
    judged = iter([0.5, 0.25, 0.75, 0.5])
    kept = []

    def wrong() -> float:
        kept.append({name: weight.detach().clone() for name, weight in learner.weights.items()})
        return next(judged)

    monkeypatch.setattr(learner.selection, "held_out_loss", wrong)
    learner.run(0, lambda _: None)
    assert all(torch.equal(weight, kept[1][name]) for name, weight in learner.weights.items())


def test_held_back_questions_are_judged_by_their_greedy_answers(job) -> None:
    learner = begin(job())
    stream = draws(learner.job.recipe, snapshot(learner.job), 1)
    learner.held_out_questions = questions(learner.job, learner.tokenizer, PuzzleRewards()).take(stream, 16)
    share = learner.held_out_loss()
    assert 0 < share < 1  # it learned some of these by heart
    learner.held_out_questions = [
        replace(question, item=replace(question.item, answer="?")) for question in learner.held_out_questions
    ]
    assert learner.held_out_loss() == 1


def test_answers_that_are_all_rewarded_alike_teach_nothing_and_that_is_said(job, tmp_path) -> None:
    random = make_inputs(tmp_path / "random")
    with pytest.raises(RewardsEqual, match=r"rewarded alike \(mean 0\).*begin with sft"):
        quiet(make_job(tmp_path / "job", random, **{**GRPO, "steps": 2}))


def test_rewards_are_the_scorer_s_verdicts(job) -> None:
    learner = begin(job())
    outputs = ["\\boxed{xiv}", "\\boxed{XV}", "1"]
    end = learner.tokenizer.eos_token_id
    ids = [[*learner.tokenizer(text, add_special_tokens=False)["input_ids"], end] for text in outputs]
    rows = [Row("roman", 1, 0, prompt, answer, "", "") for prompt, answer in (("q", "XIV"), ("q", "XIV"), ("0?", "01"))]
    learner.questions = [question_of(row, ()) for row in rows]
    (reward,) = learner.trainer.reward_funcs
    assert reward(prompts=["0", "1", "2"], completion_ids=ids, completions=None) == [1.0, 0.0, 0.0]


def test_questions_are_read_as_in_evaluation_and_leave_room_for_an_answer(job) -> None:
    given, tokenizer = job(), AutoTokenizer.from_pretrained(job().base)
    stream = draws(given.recipe, snapshot(given), 1)
    sieve = questions(given, tokenizer, PuzzleRewards())
    asked = sieve.take(stream, 20)
    assert sieve.too_long == 0
    assert all(list(question.tokens) == tokenizer(f"{question.item.prompt}\n")["input_ids"] for question in asked)
    room = sorted(len(question.tokens) for question in asked)[10]
    tight = questions(given.model_copy(update={"max_length": room + given.max_new_tokens}), tokenizer, PuzzleRewards())
    short = tight.take(draws(given.recipe, snapshot(given), 1), 20)
    assert tight.too_long > 0
    assert tight.left_out.by_source == {"puzzles": len(tight.left_out.too_long)}
    assert all(len(question.tokens) <= room for question in short)
    with pytest.raises(RowsMissing, match="grpo needs rows with an answer whose prompt fits 1 tokens"):
        questions(given.model_copy(update={"max_length": 17}), tokenizer, PuzzleRewards()).take(stream, 20)


TEMPLATE = (
    "{% for m in messages %}<bos>{{ m.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}{{ 'is ' if enable_thinking else '' }}{% endif %}"
)


def test_a_chat_model_is_asked_through_its_template_in_both_methods(job, begun, tmp_path) -> None:
    chat = tmp_path / "chat"
    shutil.copytree(begun["base"], chat)
    tokenizer = AutoTokenizer.from_pretrained(chat)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(chat)
    form = PROFILE_PROMPTS["thinking"]
    given = job(steps=2).model_copy(update={"base": str(chat), "prompt": form, "max_length": 256})
    learner = begin(given)
    (read, *_), _, _ = learner.trainer._tokenize_prompts([learner.trainer.train_dataset[0]["prompt"]])
    stream = draws(given.recipe, split(snapshot(given), given.seed)[0], given.seed)
    asked = questions(given, tokenizer, PuzzleRewards()).take(stream, 1)
    assert spelt(tokenizer, read).startswith("<bos>")
    assert spelt(tokenizer, read).endswith("<eos>is ")
    assert read == list(asked[0].tokens)
    (taught,) = encode(tokenizer, [next(draws(given.recipe, snapshot(given), 1))], form)
    assert spelt(tokenizer, taught.tokens[: taught.prompt]).count("<bos>") == 1
    assert spelt(tokenizer, taught.tokens[: taught.prompt]).endswith("<eos>is ")


@given(st.integers(1, 200), st.integers(2, 64), st.integers(1, 16))
def test_each_process_has_as_many_answers_and_about_a_batch_is_sampled(batch: int, group: int, world: int) -> None:
    answers = per_step(batch, group, world) * group
    assert answers % world == 0
    assert answers <= max(batch, group) + (world - 1) * group


@given(st.integers(1, 500), st.integers(1, 500))
def test_a_pass_holds_an_equal_part_of_the_answers(answers: int, most: int) -> None:
    rows = rows_per_pass(answers, most)
    assert answers % rows == 0
    assert rows <= most


def test_the_loss_is_that_of_the_paper_on_the_same_answers(job) -> None:
    """TRL's loss is the group-normalised advantage times the ratio, over tokens, plus the divergence from the base."""
    learner = begin(job(kl=0.5))
    trainer = learner.trainer
    learner.model.train()
    trainer.current_gradient_accumulation_steps = 1
    batch = [row for row in Dataset.from_list(trainer.train_dataset.to_list()[:2]).to_list() for _ in range(4)]
    trainer.reward_funcs = [lambda completions, **_: [float(i % 3) for i in range(len(completions))]]
    sampled = trainer._prepare_inputs(batch)
    loss = trainer.compute_loss(learner.model, sampled)
    reward = torch.tensor([float(i % 3) for i in range(8)]).view(2, 4)
    advantage = ((reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-4)).flatten()
    assert sorted(sampled["advantages"].tolist()) == pytest.approx(sorted(advantage.tolist()), rel=1e-5)
    mask = sampled["completion_mask"].float()
    # A first step has ratio 1 and no divergence: the loss is minus the mean advantage of the tokens.
    expected = -(sampled["advantages"][:, None] * mask).sum() / mask.sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
