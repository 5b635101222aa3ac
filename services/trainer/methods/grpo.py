"""Reinforcement from verifiable rewards: answers are sampled, and the challenge's own scorer rewards the right ones.

GRPO (arXiv 2402.03300) by TRL: the answers to a prompt are compared with one another, so no second model judges. The
loss is the mean over tokens (DAPO, arXiv 2503.14476), since a mean over answers makes wrong ones long.

TRL's checkpoints carry weights, optimizer, random generators and the place in the data. What they lack is ours: whose
they are, whether they are whole, and the weights that the recipe keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from judgement.scorer import correct
from services.trainer import checkpoint
from services.trainer.batches import HELD_ROWS, curriculum
from services.trainer.distributed.data_parallel import ALONE, Ranks
from services.trainer.job import RewardsEqual, TrainingJob
from services.trainer.layout import MICRO_TOKENS
from services.trainer.learner import Learner, Report
from services.trainer.methods.sft import REPORT_SECONDS
from services.trainer.optimizer import CLIP, rate
from services.trainer.questions import Question, questions
from services.trainer.rows import draws, snapshot, split

EVERY = 10
"""Steps between two checkpoints. A step samples its answers token by token, as long as many supervised steps take."""

MARK = "aevolve.pt"
"""File of a checkpoint that is whole."""


class Reinforced(Learner):
    """A job whose rows are questions, in TRL's trainer."""

    def __init__(self, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks = ALONE) -> None:
        recipe = job.recipe
        train, held = split(snapshot(job), job.seed)
        prompts = prompts_per_step(recipe.batch, recipe.group, ranks.world)
        asked, too_long = questions(job, tokenizer, draws(recipe, train, job.seed), recipe.steps * prompts)
        self.judged, _ = questions(job, tokenizer, draws(recipe, held, job.seed), HELD_ROWS)
        super().__init__(job, base, [], ranks)
        self.tokenizer, self.too_long = tokenizer, too_long
        self.folder = Path(job.work) / "grpo"
        self.trainer = self._trainer(curriculum(asked, recipe.curriculum), prompts * recipe.group)
        self.found: Path | None = None

    def _trainer(self, asked: Sequence[Question], answers: int) -> GRPOTrainer:
        recipe = self.job.recipe
        columns = [{"prompt": q.asked, "question": q.prompt, "answer": q.answer} for q in asked]
        schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: rate(recipe, step) / recipe.lr)
        trainer = GRPOTrainer(
            self.model,
            verdicts(self.tokenizer),
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
        """Find the last whole checkpoint of this job; the step to go on from."""
        places = ((_step(place), place) for place in self.folder.glob("checkpoint-*"))
        for step, place in sorted(places, reverse=True):
            if (state := _marked(place)) and state["job"] == checkpoint.identity(self.job, self.ranks):
                self.selection.load_state_dict(state["selection"])
                self.found = place
                return step
        return 0

    def go(self, first: int, report: Report) -> None:
        """Take the remaining steps and leave the chosen weights in the model."""
        self.trainer.add_callback(_Following(self, report))
        self.trainer.train(resume_from_checkpoint=str(self.found) if self.found else None)
        self.selection.apply()
        logged = [line for line in self.trainer.state.log_history if "reward" in line]
        self.losses, self.rewards = [line["loss"] for line in logged], [line["reward"] for line in logged]
        self.tokens = int(self.trainer.state.num_input_tokens_seen)
        if all(line["frac_reward_zero_std"] == 1 for line in logged):
            raise RewardsEqual(
                f"recipe.method: grpo: the answers to each prompt were rewarded alike (mean {self.rewards[-1]:g}), so "
                "nothing could be learnt; ask what the base answers rightly now and then (difficulty, mix), raise "
                "group or temperature, or begin with sft"
            )

    def held_loss(self) -> float:
        """Share of the held-back questions that the model answers wrongly, decoded greedily."""
        self.model.eval()
        answers = self._answers(self.judged)
        self.model.train()
        pairs = zip(self.judged, answers, strict=True)
        return sum(not correct(asked.prompt, answer, asked.answer) for asked, answer in pairs) / len(answers)

    @torch.inference_mode()
    def _answers(self, asked: Sequence[Question]) -> list[str]:
        """What the model says, decoded greedily."""
        read = self.tokenizer.pad(
            {"input_ids": [list(question.tokens) for question in asked]}, padding_side="left", return_tensors="pt"
        ).to(self.device)
        written = self.model.generate(
            **read, max_new_tokens=self.job.max_new_tokens, do_sample=False, pad_token_id=self.tokenizer.pad_token_id
        )
        said = written[:, read["input_ids"].shape[1] :]
        answers: list[str] = self.tokenizer.batch_decode(said, skip_special_tokens=True)
        return answers


class _Following(TrainerCallback):
    """What a job owes besides the steps: progress, the weights to keep, and a mark on each whole checkpoint."""

    def __init__(self, run: Reinforced, report: Report) -> None:
        self.run, self.report, self.reported = run, report, float("-inf")

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Let the recipe's rule look at the weights."""
        self.run.ranks.beat()
        self.run.selection.observe(state.global_step)

    def on_log(self, args: TrainingArguments, state: Any, control: Any, **told: Any) -> None:
        """Report a step."""
        logs, step, now = told["logs"], state.global_step, time.monotonic()
        if "reward" in logs and (now - self.reported >= REPORT_SECONDS or step == state.max_steps):
            self.report({"step": step, "steps": state.max_steps, "loss": logs["loss"], "reward": logs["reward"]})
            self.reported = now

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint as whole; the rename is the mark. From that of the last step nothing is left to do."""
        if not self.run.ranks.first or state.global_step == state.max_steps:
            return
        mark = self.run.folder / f"checkpoint-{state.global_step}" / MARK
        part = mark.with_suffix(".part")
        torch.save(
            {"job": checkpoint.identity(self.run.job, self.run.ranks), "selection": self.run.selection.state_dict()},
            part,
        )
        part.rename(mark)


def verdicts(tokenizer: Any) -> Callable[..., list[float | None]]:
    """What TRL asks for rewards: 1 for each answer that the challenge's scorer accepts, else 0."""

    def rewards(
        question: Sequence[str], answer: Sequence[str], completion_ids: Sequence[Sequence[int]], **_: Any
    ) -> list[float | None]:
        said = tokenizer.batch_decode(completion_ids, skip_special_tokens=True)
        return [float(correct(*judged)) for judged in zip(question, said, answer, strict=True)]

    return rewards


def config(run: Reinforced, answers: int) -> GRPOConfig:
    """TRL's settings for a job, with `answers` per step and process."""
    job, recipe = run.job, run.job.recipe
    rows = fitting(answers, max(1, MICRO_TOKENS // job.max_length))
    return GRPOConfig(
        output_dir=str(run.folder),
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
        bf16=run.form.master and run.device == "cuda",
        use_cpu=run.device == "cpu",
        shuffle_dataset=False,
        save_steps=EVERY,
        save_total_limit=2,  # the older is removed before the newer is marked as whole
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
    )


def prompts_per_step(batch: int, group: int, world: int) -> int:
    """Prompts whose answers make up a batch: `batch` answers in all, more where groups or processes ask for more."""
    prompts = max(1, batch // group)
    return prompts + next(more for more in range(world) if (prompts + more) * group % world == 0)


def fitting(answers: int, most: int) -> int:
    """The largest part of a step's answers, all parts equal, that is at most `most`."""
    return next(rows for rows in range(min(answers, most), 0, -1) if answers % rows == 0)


def _step(place: Path) -> int:
    return int(place.name.rpartition("-")[2])


def _marked(place: Path) -> dict[str, Any] | None:
    """What the mark of a checkpoint says; None where there is none."""
    mark = place / MARK
    return torch.load(mark, map_location="cpu", weights_only=True) if mark.is_file() else None
