"""Pre-training of the tiny base: one pass over generated items, Muon on hidden matrices, AdamW on the rest.

Loss falls on the completion alone. Batches hold rows of about one length, so little is padding. The same items, seed
and thread count give the same weights bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

from services.trainer.tiny_base.muon import Muon

Row = tuple[list[int], int]
"""Token ids, and how many of them are the prompt."""
Report = Callable[[int, float], None]
"""Told the step, from 1, and its loss."""

_MUON_LR, _ADAM_LR = 0.006, 1e-3
_WARMUP, _FLOOR = 0.03, 0.05
"""Share of the steps with a rising rate, and the last rate as a share of the peak."""
_POOL = 16
"""Batches that are cut from one sorted pool: enough for even lengths, few enough for a mixed order."""
_REST = 16
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
    for step, chosen in enumerate(batches, 1):
        loss = completion_loss(model, *collate(chosen, pad))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        report(step, losses[-1])
    return sum(losses[-_REST:]) / len(losses[-_REST:])


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
    wanted = labels[:, 1:]
    kept = wanted != -100
    return cross_entropy(logits[kept], wanted[kept])
