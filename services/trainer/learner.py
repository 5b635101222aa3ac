"""A job in progress, whatever its method: the model with its trained weights, the optimizer, the weights to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

import torch

from schemas.recipe import Recipe
from services.trainer import registry
from services.trainer.batches import IGNORED, Batch
from services.trainer.distributed.data_parallel import SINGLE_RANK, Ranks
from services.trainer.distributed.fsdp import base_of
from services.trainer.job import LossNotFinite, TrainingJob
from services.trainer.layout import LAYOUTS, Inputs, sequences_per_pass
from services.trainer.model import loading
from services.trainer.model.trained_weights import TrainedWeights
from services.trainer.optimizer import adamw
from services.trainer.rows import LeftOut

Report = Callable[[dict[str, Any]], None]

Weights = dict[str, torch.nn.Parameter]

REPORT_SECONDS = 0.25
"""Shortest pause between two reports."""

JUDGEMENTS = 10
"""How often `best` measures the held-out rows, evenly over the job."""


class Learner:
    """Base class of the training methods. The constructor builds the model; `restore`, then `run`, trains it."""

    def __init__(self, job: TrainingJob, base: Path, held_out: Batch, ranks: Ranks = SINGLE_RANK) -> None:
        self.job, self.base, self.held_out, self.ranks = job, base, held_out, ranks
        recipe = job.recipe
        self.device, self.dtype = place()
        self.form = registry.ADAPTER_FORMS.get(recipe.adapter)
        self.trained: TrainedWeights = registry.load(self.form.weights)()
        torch.manual_seed(job.seed)
        self.model = ranks.build(self.make, self.device)
        self.flat = loading.uses_flash_attention(base_of(self.model))
        if recipe.packing == "packed":
            loading.check_packing(self.model, self.device, sequences_per_pass(job.max_length, flat=self.flat))
        self.weights = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        self.optimizer = adamw(self.weights.values(), recipe)
        self.selection = SELECTIONS[recipe.checkpoint](recipe, self.weights, self.held_out_loss)
        self.losses: list[float] = []
        """Loss of each step."""
        self.rewards: list[float] = []
        """Mean reward of each step, where the method rewards answers."""
        self.tokens = 0
        """Tokens trained on, padding excluded."""
        self.too_long = 0
        """Draws dropped for their length."""
        self.left_out = LeftOut()
        """The rows that were not used."""

    @classmethod
    def begin(cls, job: TrainingJob, tokenizer: Any, base: Path, ranks: Ranks) -> Self:
        """The job with its data. Raises a class of `services.trainer.job`."""
        raise NotImplementedError

    def make(self, device: str) -> Any:
        """The base on a device, with its trained weights attached."""
        model = self.trained.load(self.base, device, self.dtype)
        loading.use_flash_attention(model)
        if self.job.recipe.activations == "recomputed":
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return self.trained.attach(model, self.job.recipe)

    def restore(self) -> int:
        """Load the last checkpoint, if any; the number of steps already done."""
        raise NotImplementedError

    def run(self, first: int, report: Report) -> None:
        """Take the remaining steps and leave the selected weights in the model."""
        raise NotImplementedError

    def inputs(self, batch: Batch) -> list[Inputs]:
        """The forward passes of a batch, in the recipe's layout."""
        return list(LAYOUTS[self.job.recipe.packing](batch, self.job.max_length, flat=self.flat))

    def loss(self, inputs: Inputs) -> torch.Tensor:
        """Sum of the completion tokens' losses."""
        positions, tokens = (tensor.to(self.device) for tensor in learned_positions(inputs.targets))
        more = {} if inputs.positions is None else {"position_ids": inputs.positions.to(self.device)}
        with self.precision(), logits_only_at(self.model, positions):
            logits = self.model(input_ids=inputs.ids.to(self.device), use_cache=False, **more).logits
        return torch.nn.functional.cross_entropy(logits.float(), tokens, reduction="sum")

    def precision(self) -> AbstractContextManager[Any]:
        """Mixed precision of a forward pass, where the trained weights have more precision than the pass."""
        mixed = self.form.every_weight and self.dtype != torch.float32
        return torch.autocast(self.device, self.dtype) if mixed else nullcontext()

    def held_out_loss(self) -> float:
        """Mean completion loss on the held-out rows."""
        self.model.eval()
        with torch.no_grad():
            total = sum(self.loss(inputs).item() for inputs in self.inputs(self.held_out))
        self.model.train()
        return total / sum(example.learned for example in self.held_out)


def in_steps(job: TrainingJob, steps: int) -> TrainingJob:
    """The job with as many steps as its epochs come to on its rows."""
    return job.model_copy(update={"recipe": job.recipe.model_copy(update={"steps": steps})})


def check_finite(recipe: Recipe, step: int, loss: float, norm: float | None = None) -> None:
    """Raise `LossNotFinite` unless the loss of a step, counted from 1, and the norm of its gradient are numbers."""
    for what, value in (("loss", loss), ("gradient's norm", norm)):
        if value is not None and not math.isfinite(value):
            raise LossNotFinite(
                f"recipe.lr: the {what} is {value} in step {step} of {recipe.steps} at lr {recipe.lr:g}; lower lr, or "
                "raise warmup"
            )


def place() -> tuple[str, torch.dtype]:
    """Device and number format: bfloat16 on an accelerator, single precision on one processor thread.

    More threads make small models slower, and let the order of sums vary.
    """
    if torch.cuda.is_available():
        return "cuda", torch.bfloat16
    torch.set_num_threads(1)
    return "cpu", torch.float32


def learned_positions(targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The positions of the flattened batch whose next token is learned, and these tokens. Each [learned].

    `targets` is [sequences, length], with `IGNORED` where nothing is learned.
    """
    following = torch.nn.functional.pad(targets[:, 1:], (0, 1), value=IGNORED).flatten()
    positions = (following != IGNORED).nonzero().squeeze(1)
    return positions, following[positions]


@contextmanager
def logits_only_at(model: Any, positions: torch.Tensor) -> Iterator[None]:
    """Compute logits at these positions of the flattened batch only: they are [positions, vocabulary].

    With a vocabulary of 131,072 entries a token's logits take 512 KiB in single precision, several times over in the
    backward pass, and most tokens of a row are the prompt's, whose logits nobody needs.
    """

    def select(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden, *rest = arguments
        return hidden.flatten(0, 1).index_select(0, positions), *rest

    hook = base_of(model).get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


class Selection:
    """Keeps the last weights, so it remembers none. Subclasses remember weights beside those in training."""

    def __init__(self, recipe: Recipe, weights: Weights, held_out_loss: Callable[[], float]) -> None:
        self.steps = recipe.steps
        self.weights = weights
        self.held_out_loss = held_out_loss
        self.selected: dict[str, torch.Tensor] = {}
        self.score = 0.0

    def observe(self, step: int) -> None:
        """Look at the weights after this many steps."""

    def apply(self) -> None:
        """Put the selected weights into the model."""
        with torch.no_grad():
            for name, weight in self.selected.items():
                self.weights[name].copy_(weight)

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed job needs."""
        return {"kept": self.selected, "score": self.score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`."""
        self.selected, self.score = state["kept"], state["score"]


class Best(Selection):
    """Keeps the weights with the lowest loss on the held-out rows; `score` is that loss."""

    def observe(self, step: int) -> None:
        """Measure at every tenth of the job and at its end."""
        if step % max(1, self.steps // JUDGEMENTS) and step != self.steps:
            return
        loss = self.held_out_loss()
        if not self.selected or loss < self.score:
            self.selected = {name: weight.detach().clone() for name, weight in self.weights.items()}
            self.score = loss


class Average(Selection):
    """Keeps the running mean over the last quarter of the steps; `score` counts its members."""

    def observe(self, step: int) -> None:
        """Add the weights to the mean."""
        if step <= self.steps - max(1, self.steps // 4):
            return
        self.score += 1
        for name, weight in self.weights.items():
            mean = self.selected.setdefault(name, weight.detach().clone())
            mean.lerp_(weight.detach(), 1 / self.score)


SELECTIONS: dict[str, type[Selection]] = {"last": Selection, "best": Best, "average": Average}
"""The rule of each value of the recipe's `checkpoint`."""
