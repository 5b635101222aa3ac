"""Pre-training of the tiny base: one pass over generated items, Muon on hidden matrices, AdamW on the rest.

Only completion tokens have a loss. Batches hold rows of about one length, so little is padding. The same items, seed
and thread count give the same weights bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from random import Random

import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

Row = tuple[list[int], int]
"""Token ids, and how many of them are the prompt."""
Report = Callable[[int, float], None]
"""Called with each step, from 1, and its loss."""

_MUON_LR, _ADAM_LR = 0.006, 1e-3
_WARMUP, _FLOOR = 0.03, 0.05
"""Share of the steps with a rising rate, and the last rate as a share of the peak."""
_POOL = 16
"""Batches that are cut from one sorted pool: enough for even lengths, few enough for a mixed order."""
_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients that maximise the slope at zero; singular values end between about 0.7 and 1.2."""
_LAST = 16
"""The reported loss is the mean of this many steps."""


def pretrain(model: LlamaForCausalLM, rows: Sequence[Row], batch: int, pad: int, seed: int, report: Report) -> float:
    """Train on all rows once, in place. Returns the mean loss of the last steps, in nats per token."""
    batches = make_batches(rows, batch, Random(seed))
    optimizers = make_optimizers(model)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, len(batches))) for optimizer in optimizers
    ]
    losses: list[float] = []
    model.train()
    for step, rows_of_step in enumerate(batches, 1):
        loss = completion_loss(model, *collate(rows_of_step, pad))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        report(step, losses[-1])
    return sum(losses[-_LAST:]) / len(losses[-_LAST:])


def make_batches(rows: Sequence[Row], batch: int, rng: Random) -> list[Sequence[Row]]:
    """Batches of about equal lengths in random order; the last rows that fill no batch are left out."""
    batches: list[Sequence[Row]] = []
    for start in range(0, len(rows), batch * _POOL):
        pool = sorted(rows[start : start + batch * _POOL], key=lambda row: len(row[0]))
        cut = [pool[at : at + batch] for at in range(0, len(pool) - batch + 1, batch)]
        rng.shuffle(cut)
        batches += cut
    return batches


def make_optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    hidden = [p for p in model.model.layers.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if all(p is not other for other in hidden)]
    return [
        Muon(hidden, lr=_MUON_LR),
        torch.optim.AdamW(rest, lr=_ADAM_LR, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate(step: int, steps: int) -> float:
    """Learning rate as a share of its peak: a short rise, then a cosine down to the floor."""
    warmup = max(1, round(_WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return _FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * done)) / 2


def collate(rows: Sequence[Row], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (rows, longest) padded on the right, and labels of the same shape: -100 on prompt and padding."""
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows])
    at = torch.arange(longest)
    prompt = torch.tensor([[prompt] for _, prompt in rows])
    length = torch.tensor([[len(ids)] for ids, _ in rows])
    return ids, ids.masked_fill((at < prompt) | (at >= length), -100)


def completion_loss(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the completion tokens. Causal attention needs no mask for padding on the right."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    following = labels[:, 1:]
    learned = following != -100
    return cross_entropy(logits[learned], following[learned])


class Muon(torch.optim.Optimizer):
    """Muon in single precision with Nesterov momentum, for 2-D parameters: matrix updates are made nearly orthogonal.

    Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the quintic
    Newton-Schulz iteration given there. `torch.optim.Muon` iterates in bfloat16, which CPUs without bf16 units emulate
    slowly.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # torch's signature
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group["lr"], group["momentum"])

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, lr: float, momentum: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - momentum)
        rows, columns = parameter.shape
        update = orthogonalise(gradient.lerp(state["momentum"], momentum))
        parameter.add_(update, alpha=-lr * max(1.0, rows / columns) ** 0.5)


def orthogonalise(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """The matrix with its singular values pulled towards 1, same shape."""
    a, b, c = _QUINTIC
    wide: torch.Tensor = matrix if matrix.size(0) <= matrix.size(1) else matrix.T
    x: torch.Tensor = wide / (wide.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if matrix.size(0) <= matrix.size(1) else x.T
