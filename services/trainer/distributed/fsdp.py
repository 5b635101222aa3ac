"""A model that no device holds whole: each rank keeps a part of every layer, and gathers the rest for a pass (FSDP2).

The first rank alone reads the weights and broadcasts them layer by layer, so that the other ranks never hold more than
one layer in full. `torch.distributed.fsdp.fully_shard` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.fsdp import FSDPModule, fully_shard

from services.trainer.batches import Batch
from services.trainer.distributed.data_parallel import Ranks, T


class Sharded(Ranks):
    """One of several processes that hold a model together."""

    def build(self, make: Callable[[str], Any], device: str) -> Any:
        """The model with this rank's part of each weight; the first alone reads it."""
        model = make("cpu" if self.first else "meta")
        self.wait_for_models()
        inside: set[Any] = set()
        for block in blocks(model):
            self._place(block.modules(), device)
            fully_shard(block)
            inside |= set(block.modules())
        rest = [module for module in model.modules() if module not in inside]
        self._place(rest, device, base_of(model).tie_weights)
        fully_shard(model)
        for module in model.modules():
            if isinstance(module, FSDPModule):  # gradients are summed: the loss is divided by the whole batch
                module.set_force_sum_reduction_for_comms(True)
                module.set_gradient_divide_factor(1.0)
        self.seed_own_generator()
        return model

    def _place(self, modules: Iterable[Any], device: str, tie: Callable[[], None] = lambda: None) -> None:
        """Bring the modules' own tensors to the device, with the values that the first rank has read."""
        modules = list(modules)
        for module in modules:
            _to(module, device)
        tie()
        tensors = [t for m in modules for t in (*m.parameters(recurse=False), *m.buffers(recurse=False))]
        for tensor in {id(tensor): tensor for tensor in tensors}.values():
            dist.broadcast(tensor.data, 0)

    def passes(self, batch: Batch, cut: Callable[[Batch], Iterable[T]]) -> list[tuple[T, bool]]:
        """As many passes as the busiest rank has, since all gather weights in each; the extra passes do not count."""
        shares = [batch[rank :: self.world] for rank in range(self.world)]
        cuts = [list(cut(share)) if share else [] for share in shares]
        own, most = cuts[self.rank], max(map(len, cuts))
        idle = (own or cuts[0])[:1] * (most - len(own))
        return [(piece, True) for piece in own] + [(piece, False) for piece in idle]

    def add(self, weights: Iterable[torch.nn.Parameter], loss: float) -> float:
        """The sum of the losses; the backward pass has summed the gradients."""
        self.beat()
        total = torch.tensor([loss], device=next(iter(weights)).device, dtype=torch.float32)
        dist.all_reduce(total)
        return float(total[0])

    def whole(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weights in full, one after the other; only the first keeps them."""
        full = {}
        for name, weight in weights.items():
            tensor = weight.detach().full_tensor().cpu()  # type: ignore[attr-defined]
            if self.first:
                full[name] = tensor
        return full

    def moved(self, tensors: Sequence[torch.Tensor]) -> list[bool]:
        """Whether each tensor has a non-zero element in any rank's part."""
        parts = [tensor.to_local().any() for tensor in tensors]  # type: ignore[attr-defined]
        moved = torch.stack(parts).float()
        dist.all_reduce(moved, dist.ReduceOp.MAX)
        return [bool(part) for part in moved]


def blocks(model: Any) -> list[Any]:
    """The repeated layers, each sharded by itself: those that the architecture says must not be split."""
    names = set(base_of(model)._no_split_modules or ())  # noqa: SLF001 - accelerate uses it, too
    return [module for module in model.modules() if type(module).__name__ in names]


def base_of(model: Any) -> Any:
    """The transformers model inside a model with an adapter, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _to(module: Any, device: str) -> None:
    """Move a module's own tensors, or allocate them where they are on the device `meta`."""
    if any(t.is_meta for t in (*module.parameters(recurse=False), *module.buffers(recurse=False))):
        module.to_empty(device=device, recurse=False)
        return
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.to(device)
    for name, buffer in module.named_buffers(recurse=False):
        setattr(module, name, buffer.to(device))
