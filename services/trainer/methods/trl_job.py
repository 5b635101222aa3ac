"""A job whose steps TRL takes: what its trainers need of ours, and what they lack.

TRL's checkpoints hold weights, optimizer, random generators and the position in the data. This module adds the job's
identity, a mark of completeness, and the selected weights. Prompts and answers reach TRL as tokens, so that no method
asks a model in another form than evaluation does.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import GenerationConfig, PrinterCallback, TrainerCallback, TrainingArguments

from services.runtime.prompting import end_tokens
from services.trainer import checkpoint
from services.trainer.distributed.data_parallel import SINGLE_RANK, Ranks
from services.trainer.distributed.fsdp import base_of
from services.trainer.job import RecipeUnsupported, TrainingJob
from services.trainer.learner import REPORT_SECONDS, Learner, Report, check_finite
from services.trainer.optimizer import CLIP, rate

MARK = "aevolve.pt"
"""File that marks a complete checkpoint."""


class InTrl(Learner):
    """A job in one of TRL's trainers, which a subclass makes."""

    trainer: Any
    """The trainer; set by the subclass."""

    def __init__(self, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks = SINGLE_RANK) -> None:
        """Raises `RecipeUnsupported` for an adapter of the output layer, which TRL's losses would pass by."""
        super().__init__(job, base, [], ranks)
        if isinstance(base_of(self.model).get_output_embeddings(), BaseTunerLayer):
            raise RecipeUnsupported(
                f"recipe.target_modules: method: {job.recipe.method} does not train an adapter of the output layer; "
                "leave it out, or use all-linear"
            )
        self.tokenizer = tokenizer
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.folder = Path(job.work) / job.recipe.method
        self.checkpoint: Path | None = None
        self.history: list[dict[str, Any]] = []
        """TRL's log, a line per step."""
        self._saved_generation = base_of(self.model).generation_config
        base_of(self.model).generation_config = self.generation()

    def generation(self) -> GenerationConfig:
        """How answers end, and nothing else: the base's own penalties and samplers are not those of evaluation."""
        ends = list(end_tokens(self.base, self.tokenizer, self.job.prompt))
        return GenerationConfig(  # type: ignore[no-untyped-call]
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=ends[0] if len(ends) == 1 else ends or None,
            pad_token_id=self.tokenizer.pad_token_id,
        )

    def schedule(self) -> torch.optim.lr_scheduler.LambdaLR:
        """The recipe's learning rate."""
        recipe = self.job.recipe
        return torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: rate(recipe, step) / recipe.lr)

    def adopt(self, trainer: Any) -> None:
        """Take a new trainer into use."""
        trainer.remove_callback(PrinterCallback)
        for weight in self.weights.values():
            weight.data = weight.data.float()  # TRL makes an adapter beside 4 bits bfloat16, and PEFT loads it as float
        self.trainer = trainer

    def settings(self, rows: int, passes: int, every: int) -> dict[str, Any]:
        """TRL's settings that its trainers share: `rows` per forward pass, `passes` and the steps per checkpoint."""
        recipe = self.job.recipe
        return {
            "output_dir": str(self.folder),
            "seed": self.job.seed % 2**32,
            "max_steps": recipe.steps,
            "per_device_train_batch_size": rows,
            "gradient_accumulation_steps": passes,
            "max_grad_norm": CLIP,
            "disable_dropout": True,  # the model is compared with itself
            "gradient_checkpointing": recipe.activations == "recomputed",
            "gradient_checkpointing_kwargs": {"use_reentrant": False},
            "bf16": self.form.every_weight and self.device == "cuda",
            "use_cpu": self.device == "cpu",
            "save_steps": every,
            "save_total_limit": 2,  # the older is removed before the newer is marked as complete
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "report_to": [],
            "disable_tqdm": True,
        }

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
        """Take the remaining steps and leave the selected weights in the model. Raises `LossNotFinite`."""
        self.trainer.add_callback(_Follower(self, report))
        self.trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
        self.selection.apply()
        base_of(self.model).generation_config = self._saved_generation
        self.history = [line for line in self.trainer.state.log_history if "loss" in line]
        self.losses = [line["loss"] for line in self.history]

    def progress(self, logs: dict[str, Any]) -> dict[str, Any]:
        """What is reported of a step besides its number."""
        return {"loss": logs["loss"]}


class _Follower(TrainerCallback):
    """Follows TRL's steps: reports progress, selects weights, marks complete checkpoints."""

    def __init__(self, learner: InTrl, report: Report) -> None:
        self.learner, self.report, self.last_report = learner, report, float("-inf")

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Let the recipe's rule look at the weights."""
        self.learner.ranks.beat()
        self.learner.selection.observe(state.global_step)

    def on_log(self, args: TrainingArguments, state: Any, control: Any, **more: Any) -> None:
        """Check and report a step."""
        logs, step, now = more["logs"], state.global_step, time.monotonic()
        if "loss" not in logs:
            return
        check_finite(self.learner.job.recipe, step, logs["loss"], logs.get("grad_norm"))
        if now - self.last_report >= REPORT_SECONDS or step == state.max_steps:
            self.report({"step": step, "steps": state.max_steps, **self.learner.progress(logs)})
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


def rows_per_pass(rows: int, limit: int) -> int:
    """The largest divisor of a step's rows that is at most `limit`."""
    return next(divisor for divisor in range(min(rows, limit), 0, -1) if rows % divisor == 0)


def per_step(batch: int, group: int, world: int) -> int:
    """Groups of `group` sequences in a step: `batch` sequences in all, more where processes need equal shares."""
    groups = max(1, batch // group)
    return groups + next(more for more in range(world) if (groups + more) * group % world == 0)
