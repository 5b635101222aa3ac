"""Reinforcement from verifiable rewards: the model's answers are sampled, and the scorers of their suite reward them.

GRPO (arXiv 2402.03300) by TRL: the answers to a prompt are compared with one another, so no second model judges. The
loss is the mean over tokens (DAPO, arXiv 2503.14476), since a mean over answers makes wrong ones long. Several rewards
of a suite are normalised within their group one by one before they are added by weight, or the widest would drown the
others (GDPO, arXiv 2601.05242).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from schemas.rows import Row
from services.runtime.prompting import Question as Asked
from services.trainer.batches import HELD_OUT_ROWS, curriculum
from services.trainer.distributed.data_parallel import SINGLE_RANK, Ranks
from services.trainer.encoding import question_tokens
from services.trainer.job import RewardsEqual, TrainingJob
from services.trainer.layout import MICRO_TOKENS
from services.trainer.learner import Report, in_steps
from services.trainer.methods.rewards import Question, Reward, Rewards, question_of, rewards_of
from services.trainer.methods.trl_job import InTrl, per_step, rows_per_pass
from services.trainer.rows import Draw, Sieve, draws, snapshot, split, steps

EVERY = 10
"""Steps between two checkpoints. A step samples its answers token by token, as long as many supervised steps take."""


def questions(job: TrainingJob, tokenizer: Any, rewards: Rewards) -> Sieve[Question]:
    """Makes questions of drawn rows, for answers that can be judged and leave room to be generated."""
    limit = job.max_length - job.max_new_tokens

    def make(drawn: Sequence[Draw]) -> list[tuple[Question, ...] | str]:
        rows = [row for row, _ in drawn]
        prompts = question_tokens(tokenizer, [asked(row) for row in rows], job.prompt)
        return [
            "no_prompt" if not row.prompt else (question_of(row, tokens),) if usable else "no_answer"
            for row, tokens, usable in zip(rows, prompts, rewards.usable(rows), strict=True)
        ]

    return Sieve(
        make,
        limit,
        f"recipe.method: grpo needs rows with an answer whose prompt fits {limit} tokens (model.max_length "
        f"{job.max_length} less max_new_tokens {job.max_new_tokens}); the snapshot has none: raise max_length, "
        "or lower max_new_tokens",
    )


def asked(row: Row) -> Asked:
    """What the model is asked: the row's prompt, or its conversation before the assistant's last turn."""
    if not row.messages:
        return row.prompt
    turns: list[dict[str, str]] = json.loads(row.messages)
    last = max((at for at, turn in enumerate(turns) if turn["role"] == "assistant"), default=len(turns))
    return turns[:last]


class Reinforced(InTrl):
    """A job whose rows are questions."""

    def __init__(self, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks = SINGLE_RANK) -> None:
        recipe, cells = job.recipe, snapshot(job)
        self.judged_by = rewards_of(job)
        train, held_out = split(cells, job.seed)
        prompts = per_step(recipe.batch, recipe.group, ranks.world)
        sieve, n = questions(job, tokenizer, self.judged_by), steps(recipe, cells)
        training = sieve.take(draws(recipe, train, job.seed), n * prompts)
        sieve.check_domains(recipe, train)
        self.held_out_questions: list[Question] = []
        if recipe.checkpoint == "best":
            measured = questions(job, tokenizer, self.judged_by)
            self.held_out_questions = measured.take(draws(recipe, held_out, job.seed), HELD_OUT_ROWS)
        super().__init__(in_steps(job, n), tokenizer, base, ranks)
        self.too_long, self.left_out = sieve.too_long, sieve.left_out
        self.questions = curriculum(training, recipe.curriculum)
        self.adopt(self._trainer(prompts * recipe.group))

    @classmethod
    def begin(cls, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks) -> Self:
        """The job with its questions. Raises as `Sieve`, `snapshot`, `draws` and `rewards_of` do."""
        return cls(job, tokenizer, base, ranks)

    def _trainer(self, answers: int) -> GRPOTrainer:
        weights = [weight for _, weight, _ in self.judged_by.functions]
        settings = config(self, answers // self.ranks.world)
        if len(weights) > 1:
            settings.reward_weights = weights
        if self.judged_by.separate:
            settings.multi_objective_aggregation = "normalize_then_sum"
        return _Trainer(
            self,
            self.model,
            [self.reward(name, function) for name, _, function in self.judged_by.functions],
            settings,
            Dataset.from_dict({"prompt": [str(at) for at in range(len(self.questions))]}),
            processing_class=self.tokenizer,
            optimizers=(self.optimizer, self.schedule()),
        )

    def reward(self, name: str, function: Reward) -> Callable[..., list[float | None]]:
        """A reward function of TRL, which names each prompt by its place."""

        def reward(prompts: Sequence[str], completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float | None]:
            return function([self.questions[int(prompt)] for prompt in prompts], self.texts(completion_ids))

        reward.__name__ = name
        return reward

    def texts(self, completions: Any) -> list[str]:
        """Answers as text, up to the first text that ends an answer."""
        texts = self.tokenizer.batch_decode(completions, skip_special_tokens=True)
        return [text[: _stop(text, self.job.prompt.stop)] for text in texts]

    def ended(self, completion: list[int]) -> list[int]:
        """A completion's tokens up to that with which a text that ends an answer is complete."""
        stop = self.job.prompt.stop
        if not any(text in self.tokenizer.decode(completion, skip_special_tokens=True) for text in stop):
            return completion
        low, high = 0, len(completion)
        while high - low > 1:
            middle = (low + high) // 2
            text = self.tokenizer.decode(completion[:middle], skip_special_tokens=True)
            low, high = (low, middle) if any(end in text for end in stop) else (middle, high)
        return completion[:high]

    def run(self, first: int, report: Report) -> None:
        """Take the remaining steps and leave the selected weights in the model. Raises `RewardsEqual`."""
        try:
            super().run(first, report)
        finally:
            self.judged_by.close()
        self.rewards = [min(1.0, line["reward"]) for line in self.history if line["reward"] is not None]
        self.tokens = int(self.trainer.state.num_input_tokens_seen)
        if not self.rewards:
            raise RewardsEqual(
                "recipe.method: grpo: no scorer judged any answer, so nothing could be learned; give the rows answers, "
                "or a suite whose scorers need none"
            )
        if all(line["frac_reward_zero_std"] == 1 for line in self.history):
            raise RewardsEqual(
                f"recipe.method: grpo: the answers to each prompt were rewarded alike (mean {self.rewards[-1]:g}), so "
                "nothing could be learned; choose questions that the base sometimes answers rightly (difficulty, mix), "
                "raise group or temperature, or begin with sft"
            )

    def progress(self, logs: dict[str, Any]) -> dict[str, Any]:
        """Loss and mean reward of a step."""
        reward = {} if logs["reward"] is None else {"reward": logs["reward"]}
        return {**super().progress(logs), **reward}

    def held_out_loss(self) -> float:
        """1 less the mean score of greedy answers to the held-out questions; an answer that nobody judges scores 0."""
        self.model.eval()
        prompts = {"input_ids": [list(question.tokens) for question in self.held_out_questions]}
        with torch.inference_mode():
            inputs = self.tokenizer.pad(prompts, padding_side="left", return_tensors="pt").to(self.device)
            output = self.model.generate(
                **inputs,
                max_new_tokens=self.job.max_new_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        self.model.train()
        answers = self.texts(output[:, inputs["input_ids"].shape[1] :])
        scores = self.judged_by.score(self.held_out_questions, answers)
        return sum(1 - (score or 0.0) for score in scores) / len(answers)


class _Trainer(GRPOTrainer):
    """TRL's trainer on prompts that are tokens already."""

    def __init__(self, learner: Reinforced, *arguments: Any, **more: Any) -> None:
        self.learner = learner
        super().__init__(*arguments, **more)

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self.learner.questions[int(prompt)].tokens) for prompt in prompts], None, {}

    def _generate_single_turn(self, *arguments: Any, **more: Any) -> tuple[list[list[int]], Any]:
        completions, logprobs = super()._generate_single_turn(*arguments, **more)  # type: ignore[no-untyped-call]
        return [self.learner.ended(completion) for completion in completions], logprobs


def _stop(text: str, stop: Sequence[str]) -> int:
    """Where the first of the texts that end an answer begins, or the text's length."""
    return min((at for end in stop if (at := text.find(end)) >= 0), default=len(text))


def config(learner: Reinforced, answers: int) -> GRPOConfig:
    """TRL's settings for a job, with `answers` per step and process."""
    job, recipe = learner.job, learner.job.recipe
    rows = rows_per_pass(answers, max(1, MICRO_TOKENS // job.max_length))
    return GRPOConfig(
        **learner.settings(rows, answers // rows, EVERY),
        num_generations=recipe.group,
        max_completion_length=job.max_new_tokens,
        temperature=recipe.temperature,
        beta=recipe.kl,
        loss_type="dapo",
        shuffle_dataset=False,
    )
