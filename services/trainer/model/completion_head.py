"""The output layer at those places alone whose next token is learnt: of a prompt's tokens nobody needs the logits.

With a vocabulary of 131,072 entries a token's logits take 512 KiB in single precision, several times over in the
backward pass, and of a question with its answer most tokens are the question's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from services.trainer.batches import IGNORED
from services.trainer.distributed.fsdp import base_of


def places(targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where a token is predicted that is learnt, counted over the flattened batch; and that token. Each [learnt].

    `targets` is [sequences, length], with `IGNORED` where nothing is learnt.
    """
    following = torch.nn.functional.pad(targets[:, 1:], (0, 1), value=IGNORED).flatten()
    at = (following != IGNORED).nonzero().squeeze(1)
    return at, following[at]


@contextmanager
def reading(model: Any, at: torch.Tensor) -> Iterator[None]:
    """Let the model's output layer read these places of the flattened batch alone: logits are [places, vocabulary]."""

    def chosen(_: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden, *rest = given
        return hidden.flatten(0, 1).index_select(0, at), *rest

    hook = base_of(model).get_output_embeddings().register_forward_pre_hook(chosen)
    try:
        yield
    finally:
        hook.remove()
