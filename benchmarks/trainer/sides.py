"""Who trains: our engine, a bare loop of PyTorch, and two trainers that people use.

All sides take the same rows, adapter, optimizer (fused AdamW), rate and clipping, on one thread, and neither log nor
evaluate. Only ours writes checkpoints, every 50 steps, since it would not resume otherwise. The trainers of libraries
run twice: on our batches in our order, and as they arrange the rows when nobody tells them how, at random.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

from benchmarks.trainer.work import Cost, Watch, Work, lora_settings
from services.trainer.batches import IGNORED, pad
from services.trainer.methods.sft import Supervised
from services.trainer.optimizer import BETAS, CLIP, rate


def ours(work: Work) -> Cost:
    """The engine's steps, checkpoints and reports."""
    shutil.rmtree(work.job.work, ignore_errors=True)
    run = Supervised(work.job, work.data, work.base)
    watch = Watch()
    run.run(0, lambda _: None)
    return watch.cost(work, sum(run.losses) / len(run.losses))


def bare(work: Work) -> Cost:
    """What anybody would write: forward, backward, step, nothing else."""
    torch.set_num_threads(1)
    recipe, model = work.job.recipe, adapted(work)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.lr, betas=BETAS, weight_decay=recipe.weight_decay, fused=True)
    watch, total = Watch(), 0.0
    for step, batch in enumerate(work.data.batches):
        ids, targets = (torch.from_numpy(part) for part in pad(batch, 0))
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=IGNORED)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.param_groups[0]["lr"] = rate(recipe, step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += loss.item()
    return watch.cost(work, total / recipe.steps)


def transformers_trainer(work: Work, order: str) -> Cost:
    """`transformers.Trainer`, its rows in an order that it knows."""

    def make(folder: str, watch: Started) -> Any:
        arguments = TrainingArguments(folder, **settings(work, order), remove_unused_columns=False)
        return Trainer(adapted(work), arguments, collate, rows(work), callbacks=[watch])

    return run(work, make)


def trl_trainer(work: Work, order: str) -> Cost:
    """TRL's `SFTTrainer`, with its own collator and loss, its rows in an order that it knows."""
    from trl import SFTConfig, SFTTrainer  # type: ignore[attr-defined]  # noqa: PLC0415 - slow to import

    def make(folder: str, watch: Started) -> Any:
        arguments = SFTConfig(
            folder,
            **settings(work, order),
            max_length=work.job.max_length,
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        return SFTTrainer(
            AutoModelForCausalLM.from_pretrained(work.base, dtype=torch.float32),
            arguments,
            train_dataset=rows(work),
            processing_class=AutoTokenizer.from_pretrained(work.base),
            peft_config=LoraConfig(**lora_settings(work.job.recipe)),
            callbacks=[watch],
        )

    return run(work, make)


class Started(TrainerCallback):
    """Begins to measure where the first step begins, and keeps the last loss."""

    def __init__(self) -> None:
        self.watch = Watch()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The start-up is over."""
        self.watch.begin()


def run(work: Work, make: Callable[[str, Started], Any]) -> Cost:
    """The steps of a trainer of the library."""
    torch.set_num_threads(1)
    torch.manual_seed(work.job.seed)
    started = Started()
    with tempfile.TemporaryDirectory() as folder:
        trainer = make(folder, started)
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return started.watch.cost(work, losses[-1])


def settings(work: Work, order: str) -> dict[str, Any]:
    """Of either trainer: as our engine trains, without saving, evaluating or reporting."""
    recipe = work.job.recipe
    return {
        "per_device_train_batch_size": recipe.batch,
        "max_steps": recipe.steps,
        "learning_rate": recipe.lr,
        "lr_scheduler_type": recipe.schedule,
        "warmup_steps": round(recipe.warmup * recipe.steps),
        "weight_decay": recipe.weight_decay,
        "adam_beta1": BETAS[0],
        "adam_beta2": BETAS[1],
        "max_grad_norm": CLIP,
        "optim": "adamw_torch_fused",
        "train_sampling_strategy": order,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": recipe.steps,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def adapted(work: Work) -> Any:
    """The model with a fresh adapter."""
    torch.manual_seed(work.job.seed)
    model = AutoModelForCausalLM.from_pretrained(work.base, dtype=torch.float32)
    return get_peft_model(model, LoraConfig(**lora_settings(work.job.recipe))).train()


def rows(work: Work) -> Dataset:
    """The examples in the order of the batches, tokenised and labelled."""
    examples = [example for batch in work.data.batches for example in batch]
    return Dataset.from_list(
        [
            {
                "input_ids": list(example.tokens),
                "labels": [IGNORED] * example.prompt + list(example.tokens[example.prompt :]),
            }
            for example in examples
        ]
    )


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A padded batch of `transformers.Trainer`."""
    longest = max(len(row["input_ids"]) for row in rows)

    def side(name: str, filler: int) -> torch.Tensor:
        padded = np.full((len(rows), longest), filler, np.int64)
        for at, row in enumerate(rows):
            padded[at, : len(row[name])] = row[name]
        return torch.from_numpy(padded)

    return {"input_ids": side("input_ids", 0), "labels": side("labels", IGNORED)}
