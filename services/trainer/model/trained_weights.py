"""The interface of an adapter form in the job's process: which weights are trained, and how they are saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from schemas.evidence import Coverage
from schemas.recipe import Recipe
from services.trainer.distributed.data_parallel import Ranks


class TrainedWeights(Protocol):
    """What the job's process does for one value of the recipe's `adapter`."""

    def load(self, base: Path, device: str, dtype: torch.dtype) -> Any:
        """The base of a folder on a device, for passes in a number format."""

    def attach(self, model: Any, recipe: Recipe) -> Any:
        """The base with the trained weights, and nothing else trainable."""

    def check(self, base: Path, recipe: Recipe) -> int:
        """Number of weights that will be trained; run in preflight, so it reads no weights.

        Raises a class of `services.trainer.job` where the recipe does not fit the base.
        """

    def coverage(self, model: Any, optimizer: torch.optim.Optimizer, ranks: Ranks) -> Coverage:
        """The modules that have learned; called by all ranks. Raises `AdapterUntrained` where one has not."""

    def save(self, model: Any, weights: Mapping[str, torch.Tensor], folder: Path, base: Path) -> None:
        """Write the trained weights, given in full by their names in the model, to a new folder."""
