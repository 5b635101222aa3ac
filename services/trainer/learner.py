"""The model of a job, with what is trained of it and which weights are kept: what every method begins with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from services.trainer.batches import Batch
from services.trainer.distributed.data_parallel import ALONE, Ranks
from services.trainer.job import TrainingJob
from services.trainer.layout import LAYOUTS, Inputs
from services.trainer.model import attention
from services.trainer.model import completion_head as head
from services.trainer.model.adapter_forms import FORMS
from services.trainer.optimizer import adamw
from services.trainer.selection import SELECTIONS

Report = Callable[[dict[str, Any]], None]


def place() -> tuple[str, torch.dtype]:
    """Device and number format: bfloat16 on an accelerator, single precision on one processor thread.

    More threads make small models slower, and let the order of sums vary.
    """
    if torch.cuda.is_available():
        return "cuda", torch.bfloat16
    torch.set_num_threads(1)
    return "cpu", torch.float32


class Learner:
    """A job in progress: the model, its optimizer, and what has been learnt so far."""

    def __init__(self, job: TrainingJob, base: Path, held: Batch, ranks: Ranks = ALONE) -> None:
        self.job, self.base, self.held, self.ranks = job, base, held, ranks
        recipe = job.recipe
        self.device, self.dtype = place()
        self.form = FORMS[recipe.adapter]
        torch.manual_seed(job.seed)
        self.model = ranks.build(self.make, self.device)
        if recipe.packing == "packed":
            attention.check_packing(self.model, self.device)
        self.weights = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        self.optimizer = adamw(self.weights.values(), recipe)
        self.selection = SELECTIONS[recipe.checkpoint](recipe, self.weights, self.held_loss)
        self.losses: list[float] = []
        """Of each step."""
        self.rewards: list[float] = []
        """Of each step, where answers are rewarded."""
        self.tokens = 0
        """Tokens trained on, padding excluded."""
        self.too_long = 0
        """Rows dropped for their length."""

    def make(self, device: str) -> Any:
        """The base on a device, with what is trained of it."""
        loaded = self.form.load(self.base, device, self.dtype)
        attention.choose(loaded)
        if self.job.recipe.activations == "recomputed":
            loaded.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return self.form.attach(loaded, self.job.recipe)

    def restore(self) -> int:
        """Take up the last checkpoint; the step to go on from."""
        raise NotImplementedError

    def go(self, first: int, report: Report) -> None:
        """Take the remaining steps and leave the chosen weights in the model."""
        raise NotImplementedError

    def inputs(self, batch: Batch) -> list[Inputs]:
        """The forward passes of a batch, in the recipe's layout."""
        return list(LAYOUTS[self.job.recipe.packing](batch, self.job.max_length))

    def loss(self, inputs: Inputs) -> torch.Tensor:
        """Sum of the completion tokens' losses."""
        at, following = (tensor.to(self.device) for tensor in head.places(inputs.targets))
        where = {} if inputs.positions is None else {"position_ids": inputs.positions.to(self.device)}
        with self.precision(), head.reading(self.model, at):
            logits = self.model(input_ids=inputs.ids.to(self.device), use_cache=False, **where).logits
        return torch.nn.functional.cross_entropy(logits.float(), following, reduction="sum")

    def precision(self) -> AbstractContextManager[Any]:
        """Number format of a forward pass, where the trained weights are kept in another."""
        mixed = self.form.master and self.dtype != torch.float32
        return torch.autocast(self.device, self.dtype) if mixed else nullcontext()

    def held_loss(self) -> float:
        """Mean completion loss on the held-back rows."""
        self.model.eval()
        with torch.no_grad():
            total = sum(self.loss(inputs).item() for inputs in self.inputs(self.held))
        self.model.train()
        return total / sum(example.learnt for example in self.held)
