"""Rewards of a campaign's suites: each scorer weighed, on its own rows, with the columns of the record."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GenerationConfig

from schemas.prompts import Prompt
from schemas.rows import Row
from schemas.suites import FilesSuite, HarnessSuite, PythonSuite, ScorerRule
from services.trainer.adapter_job import TRAINING
from services.trainer.encoding import question_tokens
from services.trainer.job import RecipeUnsupported, RewardsEqual, TrainingJob
from services.trainer.methods.grpo import Reinforced, asked
from services.trainer.methods.rewards import SuiteRewards, question_of, rewards_of
from tasks.scorers.scorer import ScoreInvalid
from tasks.suite import ItemsChanged, SuiteRefused, UserCodeFailed
from tests.tiny_models import make_text_model, spelt, text_tokenizer
from tests.trained import make_job, quiet, write_rows

GRPO = {"method": "grpo", "steps": 3, "batch": 8, "group": 4, "lr": 1e-3, "schedule": "constant"}

SCORER = '''
def short(prompts, completions, limit, **columns):
    """1 for an answer of at most `limit` characters of the row."""
    return [float(len(text) <= n) for text, n in zip(completions, limit)]

def vowels(prompts, completions, **columns):
    return [sum(letter in "aeiou" for letter in text) / max(1, len(text)) for text in completions]

def wrong(prompts, completions, **columns):
    return [2.0 for _ in completions]

def broken(prompts, completions, **columns):
    raise KeyError("no such thing")

def rows(split, seed, n):
    return [{"prompt": f"{split} {seed} {at}", "answer": str(at)} for at in range(n)]

def score(prompts, completions, **columns):
    return [float(bool(text)) for text in completions]
'''


def row(at: int, **more) -> Row:
    columns = json.dumps({"limit": 3})
    fixed = {
        "domain": "sums",
        "difficulty": 0,
        "wording": 0,
        "prompt": f"{at} + 1?",
        "answer": str(at + 1),
        "trace": "",
    }
    return Row(**{**fixed, "core": f"{at}", "source": "mine", "columns": columns, **more})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "my_score.py").write_text(SCORER)
    snapshot = write_rows(folder / "rows.parquet", [row(at) for at in range(64)])
    base = str(make_text_model(folder / "base"))
    return {"base": base, "snapshot": snapshot, "task_path": str(folder)}


@pytest.fixture
def job(inputs, tmp_path):
    def make(*suites, name: str = "a", prompt: Prompt = Prompt(), **recipe) -> TrainingJob:  # noqa: B008 - frozen
        judges = recipe.pop("judges", {})
        return make_job(
            tmp_path / name, {**inputs, "suites": suites, "judges": judges, "prompt": prompt}, **{**GRPO, **recipe}
        )

    return make


def files(name: str, *scorers: str | ScorerRule) -> FilesSuite:
    return FilesSuite(name=name, eval="nowhere.jsonl", score=scorers)


def begin(job: TrainingJob) -> Reinforced:
    return Reinforced(job, AutoTokenizer.from_pretrained(job.base), Path(job.base))


def test_scorers_are_weighed_and_get_the_columns_of_the_row(job) -> None:
    rewards = rewards_of(job(files("sums", ScorerRule(kind="exact", weight=3.0), ScorerRule(kind="my_score.py:short"))))
    assert [(name, weight) for name, weight, _ in rewards.functions] == [
        ("sums/exact", 0.75),
        ("sums/my_score.py:short", 0.25),
    ]
    assert rewards.separate
    questions = [question_of(row(1), ()), question_of(row(2), ())]
    answers = ["2", "four"]
    assert [function(questions, answers) for _, _, function in rewards.functions] == [[1.0, 0.0], [1.0, 0.0]]
    assert rewards.score(questions, ["2 or so", "no"]) == [0.0, 0.25]
    rewards.close()


def test_each_source_s_rows_are_judged_by_its_suite_alone(job) -> None:
    rewards = rewards_of(job(files("sums", "exact"), files("style", "my_score.py:vowels"), judges={"web": "style"}))
    assert not rewards.separate
    questions = [question_of(row(1), ()), question_of(row(1, source="web"), ())]
    assert [function(questions, ["2", "ab"]) for _, _, function in rewards.functions] == [[1.0, None], [None, 0.5]]
    assert rewards.score(questions, ["2", "ab"]) == [1.0, 0.5]
    rewards.close()


def test_a_job_learns_from_several_rewards_that_are_normalised_one_by_one(job) -> None:
    suite = files("sums", ScorerRule(kind="my_score.py:vowels", weight=3.0), ScorerRule(kind="my_score.py:short"))
    learner = begin(job(suite))
    assert learner.trainer.args.multi_objective_aggregation == "normalize_then_sum"
    assert learner.trainer.args.reward_weights == [0.75, 0.25]
    seen: list[dict[str, Any]] = []
    learner.run(0, seen.append)
    assert len(learner.rewards) == 3
    assert all(0 <= reward <= 1 for reward in learner.rewards)
    assert seen[-1]["reward"] == pytest.approx(learner.rewards[-1])
    assert {"rewards/sums/my_score.py:vowels/mean", "rewards/sums/my_score.py:short/mean"} <= learner.history[0].keys()


def test_equal_jobs_with_user_code_give_equal_results(job) -> None:
    suite = files("sums", "my_score.py:vowels")
    first, second = (quiet(job(suite, name=name, checkpoint="best")) for name in ("a", "b"))
    assert (first.sha256, first.reward, first.loss) == (second.sha256, second.reward, second.loss)
    assert first.reward is not None


def test_rows_without_an_answer_are_used_where_the_scorers_need_none(job) -> None:
    rows = [row(1), row(2, answer="")]
    for scorer, usable in (("exact", [True, False]), ("my_score.py:vowels", [True, True])):
        rewards = rewards_of(job(files("sums", scorer)))
        assert rewards.usable(rows) == usable
        rewards.close()


def test_rows_that_nobody_can_judge_are_counted(job, tmp_path) -> None:
    snapshot = write_rows(tmp_path / "rows.parquet", [row(at, answer=str(at) if at % 2 else "") for at in range(64)])
    learner = begin(job(files("sums", "exact"), steps=8).model_copy(update={"snapshot": snapshot}))
    assert learner.left_out.by_reason["no_answer"] > 0
    assert all(question.item.answer for question in learner.questions)


@pytest.mark.parametrize(
    ("scorer", "error", "message"),
    [
        ("my_score.py:wrong", ScoreInvalid, r"my_score\.py:wrong: score 0 is 2\.0; return a number in \[0, 1\]"),
        ("my_score.py:broken", UserCodeFailed, r"my_score\.py:broken: KeyError: 'no such thing'"),
        ("my_score.py:missing", UserCodeFailed, r"missing"),
        ("elsewhere.py:score", SuiteRefused, r"elsewhere\.py"),
        ("exakt", SuiteRefused, r"exakt"),
    ],
)
def test_a_scorer_that_fails_ends_the_job_by_name_and_free_of_charge(job, scorer, error, message) -> None:
    with pytest.raises(error, match=message):
        quiet(job(files("sums", scorer)))
    assert error.__name__ in TRAINING.permanent & TRAINING.uncharged


def test_code_that_has_changed_since_the_start_rewards_nothing(job) -> None:
    with pytest.raises(ItemsChanged, match=r"my_score\.py:short has hash .* the campaign began with 0{64}"):
        rewards_of(job(files("sums", ScorerRule(kind="my_score.py:short", sha256="0" * 64))))


def test_a_module_s_own_score_is_a_reward(job) -> None:
    rewards = rewards_of(job(PythonSuite(name="own", file="my_score.py")))
    assert isinstance(rewards, SuiteRewards)
    assert rewards.score([question_of(row(1), ())] * 2, ["", "x"]) == [0.0, 1.0]
    rewards.close()


def test_lists_of_tasks_reward_nothing(job) -> None:
    with pytest.raises(RecipeUnsupported, match=r"grpo needs answers that can be scored"):
        rewards_of(job(HarnessSuite(name="lists")))


def test_rewards_that_never_differ_and_answers_that_nobody_judges_are_told_apart(job) -> None:
    with pytest.raises(RewardsEqual, match="rewarded alike"):
        quiet(job(files("sums", "exact")))
    rows = [question_of(row(1, answer=""), ())]
    rewards = rewards_of(job(files("sums", "exact")))
    assert rewards.score(rows, ["2"]) == [None]


def test_a_conversation_is_asked_up_to_its_last_answer_in_the_campaign_s_form(job) -> None:
    turns = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "so?"},
    ]
    talked = row(1, messages=json.dumps([*turns, {"role": "assistant", "content": "two"}]))
    assert asked(talked) == turns
    assert asked(row(1, messages=json.dumps(turns[:1]))) == turns[:1]
    chat = Prompt(template="chat", system="why")
    tokenizer = text_tokenizer("bytes")
    (tokens,) = question_tokens(tokenizer, [asked(talked)], chat)
    assert spelt(tokenizer, tokens).startswith("<|im_start|>system\nwhy<|im_end|>\n<|im_start|>user\n1 + 1?<|im_end|>")
    assert spelt(tokenizer, tokens).endswith("so?<|im_end|>\n<|im_start|>assistant\n")


def test_answers_are_sampled_as_evaluation_generates_them(job, inputs, tmp_path) -> None:
    """All end tokens count, and the base's own penalties do not."""
    base = make_text_model(tmp_path / "base")
    end = text_tokenizer("bytes").convert_tokens_to_ids("<|im_end|>")
    settings = GenerationConfig(
        eos_token_id=[0, end], repetition_penalty=9.0, no_repeat_ngram_size=1, do_sample=True, top_k=3
    )
    settings.save_pretrained(base)
    learner = begin(job(files("sums", "my_score.py:vowels")).model_copy(update={"base": str(base)}))
    assert learner.trainer.eos_token_ids == [0, end]
    sampling = learner.model.generation_config
    assert (sampling.repetition_penalty, sampling.no_repeat_ngram_size, sampling.top_k) == (None, None, None)
    plain = begin(job(files("sums", "my_score.py:vowels")))
    plain.trainer.eos_token_ids = plain.model.generation_config.eos_token_id = [0, end]
    torch.manual_seed(0)
    prompts = [list(question.tokens) for question in learner.questions[:8]]
    (sampled, _), state = learner.trainer._generate_single_turn(prompts, None, {}, 4), torch.manual_seed(0)
    assert state is not None
    assert sampled == plain.trainer._generate_single_turn(prompts, None, {}, 4)[0]
    assert any(max(Counter(tokens).values()) > 1 for tokens in sampled)  # a token may occur again


def test_an_answer_ends_with_a_text_that_the_campaign_names(job) -> None:
    learner = begin(job(files("sums", "my_score.py:vowels"), prompt=Prompt(stop=("5.", "so"))))
    tokenizer = learner.tokenizer
    ids = tokenizer("The answer is 5. because so", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(learner.ended(ids)).endswith("5.")
    assert len(learner.ended(ids)) < len(ids)
    assert learner.texts([ids]) == ["The answer is "]
    other = tokenizer("The answer", add_special_tokens=False)["input_ids"]
    assert learner.ended(other) == other
