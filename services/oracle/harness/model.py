"""lm-eval's Hugging Face model, ended by the model's own end token and counted while it runs.

lm-eval looks for stop strings by decoding the last tokens of every row after every step; for a small model that costs
more than the steps. Our task has no stop string but the end token, which `generate` knows by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

Count = Callable[[int, int], None]
"""Called after each batch with (answers, tokens read and written)."""


class GreedyLM(HFLM):  # type: ignore[misc]  # lm-eval is untyped
    """An already loaded model, decoded greedily."""

    def __init__(self, model: Any, tokenizer: Any, batch: int, max_length: int, count: Count) -> None:
        super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=batch, max_length=max_length)
        self._count = count

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """One output per request, without lm-eval's progress bar: `count` tells the progress."""
        outputs: list[str] = super().generate_until(requests, disable_tqdm=disable_tqdm)
        return outputs

    @torch.inference_mode()
    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **kwargs: Any) -> torch.Tensor:
        """Greedy continuations of left-padded prompts, [rows, prompt + answer]."""
        if stop != [end := self.tokenizer.decode(self.eot_token_id)]:
            raise ValueError(f"until: {stop} has more than the end token {end!r}; leave `until` empty in puzzle.yaml")
        mask = kwargs["attention_mask"]
        written: torch.Tensor = self.model.generate(
            input_ids=context,
            attention_mask=mask,
            max_length=max_length,
            do_sample=False,
            eos_token_id=self.eot_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        answers = written[:, context.shape[1] :]
        self._count(len(context), int(mask.sum() + (answers != self.tokenizer.pad_token_id).sum()))
        return written
