"""What of a model is trained, and how it is kept: an adapter beside the base, or every weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from schemas.evidence import Coverage
from schemas.recipe import Recipe
from services.trainer.distributed.data_parallel import Ranks
from services.trainer.model import full_weights as full
from services.trainer.model import loading, lora


@dataclass(frozen=True)
class Form:
    """One value of the recipe's `adapter`."""

    load: Callable[[Path, str, torch.dtype], Any]
    """The base of a folder on a device, for a number format."""
    attach: Callable[[Any, Recipe], Any]
    """The base with what is trained, and nothing else trainable."""
    coverage: Callable[[Any, torch.optim.Optimizer, Ranks], Coverage]
    """Which modules have learnt; raises `AdapterUntrained`. Called by all ranks."""
    save: Callable[[Any, Mapping[str, torch.Tensor], Path, Path], None]
    """Write the trained weights, given whole by their names in the model, to a new folder, given the base's."""
    saved: Literal["adapter", "full"] = "adapter"
    """What the folder then holds."""
    master: bool = False
    """Whether the trained weights are kept in single precision though the passes are not."""


FORMS = {
    "lora": Form(loading.plain, lora.attach, lora.coverage, lora.save),
    "qlora": Form(loading.quantised, lora.attach, lora.coverage, lora.save),
    "full": Form(loading.master, full.attach, full.coverage, full.save, saved="full", master=True),
}
