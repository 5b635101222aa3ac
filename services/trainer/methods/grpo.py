"""Reinforcement from verifiable rewards: the model's answers are sampled, and the puzzles' scorer rewards right ones.

GRPO (arXiv 2402.03300) by TRL: the answers to a prompt are compared with one another, so no second model judges. The
loss is the mean over tokens (DAPO, arXiv 2503.14476), since a mean over answers makes wrong ones long.

TRL's checkpoints hold weights, optimizer, random generators and the position in the data. This module adds the job's
identity, a mark of completeness, and the selected weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from schemas.profiles import PROFILES
from services.runtime.prompting import conversation, plain_question
from services.trainer import checkpoint
from services.trainer.batches import HELD_OUT_ROWS, curriculum, encode
from services.trainer.distributed.data_parallel import SINGLE_RANK, Ranks
from services.trainer.job import RewardsEqual, RowsMissing, TrainingJob
from services.trainer.layout import MICRO_TOKENS
from services.trainer.learner import REPORT_SECONDS, Learner, Report
from services.trainer.optimizer import CLIP, rate
from services.trainer.rows import Draw, draws, snapshot, split, take
from tasks.puzzles.scorer import correct

EVERY = 10
"""Steps between two checkpoints. A step samples its answers token by token, as long as many supervised steps take."""

MARK = "aevolve.pt"
"""File that marks a complete checkpoint."""


@dataclass(frozen=True)
class Question:
    """One row without its completion."""

    text: str
    """The row's prompt."""
    prompt: str | list[dict[str, str]]
    """What the model reads, as in the other method and in evaluation: a text, or messages for a chat template."""
    tokens: tuple[int, ...]
    """The prompt in tokens."""
    answer: str
    """The answer that the scorer accepts."""
    difficulty: int
    """1, 2 or 3."""


def questions(job: TrainingJob, tokenizer: Any, stream: Iterator[Draw], n: int) -> tuple[list[Question], int]:
    """The stream's next n rows that have an answer and leave room to generate one, and how many were too long.

    Raises `RowsMissing` where none of n rows qualifies.
    """
    limit = job.max_length - job.max_new_tokens
    as_prompt = conversation if PROFILES[job.profile].chat else plain_question
    fitting: list[Question] = []
    too_long = 0
    while len(fitting) < n:
        answered = [draw for draw in take(stream, n - len(fitting)) if draw[0].answer]
        encoded = zip(answered, encode(tokenizer, answered, job.profile), strict=True)
        candidates = [
            Question(row.prompt, as_prompt(row.prompt), example.tokens[: example.prompt], row.answer, row.difficulty)
            for (row, _), example in encoded
        ]
        more = [question for question in candidates if len(question.tokens) <= limit]
        too_long += len(candidates) - len(more)
        if not more and not fitting:
            raise RowsMissing(
                f"recipe.method: grpo needs rows with an answer whose prompt fits {limit} tokens (model.max_length "
                f"{job.max_length} less max_new_tokens {job.max_new_tokens}); the snapshot has none: raise max_length, "
                "or lower max_new_tokens"
            )
        fitting += more
    return fitting, too_long


class Reinforced(Learner):
    """A job whose rows are questions, in TRL's trainer."""

    def __init__(self, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks = SINGLE_RANK) -> None:
        recipe = job.recipe
        train, held_out = split(snapshot(job), job.seed)
        prompts = prompts_per_step(recipe.batch, recipe.group, ranks.world)
        training, too_long = questions(job, tokenizer, draws(recipe, train, job.seed), recipe.steps * prompts)
        self.held_out_questions, _ = questions(job, tokenizer, draws(recipe, held_out, job.seed), HELD_OUT_ROWS)
        super().__init__(job, base, [], ranks)
        self.tokenizer, self.too_long = tokenizer, too_long
        self.folder = Path(job.work) / "grpo"
        self.trainer = self._trainer(curriculum(training, recipe.curriculum), prompts * recipe.group)
        self.checkpoint: Path | None = None

    @classmethod
    def begin(cls, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks) -> Self:
        """The job with its questions. Raises as `questions`, `snapshot` and `draws` do."""
        return cls(job, tokenizer, base, ranks)

    def _trainer(self, training: Sequence[Question], answers: int) -> GRPOTrainer:
        recipe = self.job.recipe
        columns = [{"prompt": q.prompt, "question": q.text, "answer": q.answer} for q in training]
        schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: rate(recipe, step) / recipe.lr)
        trainer = GRPOTrainer(
            self.model,
            rewards(self.tokenizer),
            config(self, answers // self.ranks.world),
            Dataset.from_list(columns),
            processing_class=self.tokenizer,
            optimizers=(self.optimizer, schedule),
        )
        trainer.remove_callback(PrinterCallback)
        for weight in self.weights.values():
            weight.data = weight.data.float()  # TRL makes an adapter beside 4 bits bfloat16, and PEFT loads it as float
        return trainer

    def restore(self) -> int:
        """Find the last complete checkpoint of this job; the number of steps already done."""
        steps = {int(folder.name.rpartition("-")[2]): folder for folder in self.folder.glob("checkpoint-*")}
        for step, folder in sorted(steps.items(), reverse=True):
            if not (folder / MARK).is_file():
                continue
            mark = torch.load(folder / MARK, map_location="cpu", weights_only=True)
            if mark["job"] == checkpoint.identity(self.job, self.ranks):
                self.selection.load_state_dict(mark["selection"])
                self.checkpoint = folder
                return step
        return 0

    def run(self, first: int, report: Report) -> None:
        """Take the remaining steps and leave the selected weights in the model. Raises `RewardsEqual`."""
        self.trainer.add_callback(_Callback(self, report))
        self.trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
        self.selection.apply()
        history = [line for line in self.trainer.state.log_history if "reward" in line]
        self.losses, self.rewards = [line["loss"] for line in history], [line["reward"] for line in history]
        self.tokens = int(self.trainer.state.num_input_tokens_seen)
        if all(line["frac_reward_zero_std"] == 1 for line in history):
            raise RewardsEqual(
                f"recipe.method: grpo: the answers to each prompt were rewarded alike (mean {self.rewards[-1]:g}), so "
                "nothing could be learned; choose questions that the base sometimes answers rightly (difficulty, mix), "
                "raise group or temperature, or begin with sft"
            )

    def held_out_loss(self) -> float:
        """Share of the held-out questions that the model answers wrongly, decoded greedily."""
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
        answers = self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        pairs = zip(self.held_out_questions, answers, strict=True)
        return sum(not correct(question.text, answer, question.answer) for question, answer in pairs) / len(answers)


class _Callback(TrainerCallback):
    """Follows TRL's steps: reports progress, selects weights, marks complete checkpoints."""

    def __init__(self, learner: Reinforced, report: Report) -> None:
        self.learner, self.report, self.last_report = learner, report, float("-inf")

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Let the recipe's rule look at the weights."""
        self.learner.ranks.beat()
        self.learner.selection.observe(state.global_step)

    def on_log(self, args: TrainingArguments, state: Any, control: Any, **more: Any) -> None:
        """Report a step."""
        logs, step, now = more["logs"], state.global_step, time.monotonic()
        if "reward" in logs and (now - self.last_report >= REPORT_SECONDS or step == state.max_steps):
            self.report({"step": step, "steps": state.max_steps, "loss": logs["loss"], "reward": logs["reward"]})
            self.last_report = now

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint as complete, by a rename; after the last step there is nothing left to resume."""
        learner = self.learner
        if not learner.ranks.first or state.global_step == state.max_steps:
            return
        mark = learner.folder / f"checkpoint-{state.global_step}" / MARK
        part = mark.with_suffix(".part")
        identity = checkpoint.identity(learner.job, learner.ranks)
        torch.save({"job": identity, "selection": learner.selection.state_dict()}, part)
        part.rename(mark)


def rewards(tokenizer: Any) -> Callable[..., list[float | None]]:
    """TRL's reward function: 1 for each answer that the puzzles' scorer accepts, else 0."""

    def reward(
        question: Sequence[str], answer: Sequence[str], completion_ids: Sequence[Sequence[int]], **_: Any
    ) -> list[float | None]:
        completions = tokenizer.batch_decode(completion_ids, skip_special_tokens=True)
        return [float(correct(*triple)) for triple in zip(question, completions, answer, strict=True)]

    return reward


def config(learner: Reinforced, answers: int) -> GRPOConfig:
    """TRL's settings for a job, with `answers` per step and process."""
    job, recipe = learner.job, learner.job.recipe
    rows = rows_per_pass(answers, max(1, MICRO_TOKENS // job.max_length))
    return GRPOConfig(
        output_dir=str(learner.folder),
        seed=job.seed % 2**32,
        max_steps=recipe.steps,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=answers // rows,
        num_generations=recipe.group,
        max_completion_length=job.max_new_tokens,
        temperature=recipe.temperature,
        chat_template_kwargs={"enable_thinking": True},  # as `services.runtime.prompting` does
        beta=recipe.kl,
        loss_type="dapo",
        max_grad_norm=CLIP,
        disable_dropout=True,  # an answer is sampled from the model that learns from it
        gradient_checkpointing=recipe.activations == "recomputed",
        gradient_checkpointing_kwargs={"use_reentrant": False},
        bf16=learner.form.every_weight and learner.device == "cuda",
        use_cpu=learner.device == "cpu",
        shuffle_dataset=False,
        save_steps=EVERY,
        save_total_limit=2,  # the older is removed before the newer is marked as complete
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
    )


def prompts_per_step(batch: int, group: int, world: int) -> int:
    """Prompts of a step: `batch` answers in all, more where groups or processes need equal shares."""
    prompts = max(1, batch // group)
    return prompts + next(more for more in range(world) if (prompts + more) * group % world == 0)


def rows_per_pass(answers: int, limit: int) -> int:
    """The largest divisor of a step's answers that is at most `limit`."""
    return next(rows for rows in range(min(answers, limit), 0, -1) if answers % rows == 0)
