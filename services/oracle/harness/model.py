"""lm-eval's Hugging Face model around one that is loaded already, counted while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from services.oracle.harness.decode import can_shrink, decode
from services.oracle.job import PromptTooLong

Count = Callable[[int, int], None]
"""Called after each batch with (answers, tokens read and written)."""


class CountedLM(HFLM):  # type: ignore[misc]  # lm-eval is untyped
    """An already loaded model, without lm-eval's progress bar: `count` tells the progress."""

    def __init__(
        self, model: Any, tokenizer: Any, batch: int, max_length: int, count: Count, special: bool | None = None
    ) -> None:
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=batch,
            max_length=max_length,
            add_bos_token=special,  # whether the tokenizer adds special tokens; None for as it does by itself
            softmax_dtype="float32",  # in bfloat16 the log-likelihoods of different choices are often equal
        )
        self._count = count

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """One output per request."""
        outputs: list[str] = super().generate_until(requests, disable_tqdm=disable_tqdm)
        return outputs

    def _written(self, answers: torch.Tensor, mask: torch.Tensor) -> None:
        self._count(len(answers), int(mask.sum() + (answers != self.tokenizer.pad_token_id).sum()))


class GreedyLM(CountedLM):
    """For our own task: decoded greedily, ended by the model's own end token, each row for as long as it takes.

    lm-eval looks for stop strings by decoding the last tokens of every row after every step; for a small model that
    costs more than the steps. Our task has no stop string but the end token, which `generate` knows by itself.
    """

    @torch.inference_mode()
    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **kwargs: Any) -> torch.Tensor:
        """Greedy continuations of left-padded prompts, [rows, prompt + answer]."""
        if stop != [end := self.tokenizer.decode(self.eot_token_id)]:
            raise ValueError(f"until: {stop} has more than the end token {end!r}; leave `until` empty in puzzle.yaml")
        mask = kwargs["attention_mask"]
        written = self._decoded(context, mask, max_length)
        self._written(written[:, context.shape[1] :], mask)
        return written

    def _decoded(self, context: torch.Tensor, mask: torch.Tensor, max_length: int) -> torch.Tensor:
        end, filler = self.eot_token_id, self.tokenizer.pad_token_id
        if can_shrink(self.model):
            return decode(self.model, context, mask, max_length, end, filler)
        written: torch.Tensor = self.model.generate(
            input_ids=context,
            attention_mask=mask,
            max_length=max_length,
            do_sample=False,
            eos_token_id=end,
            pad_token_id=filler,
        )
        return written


class TaskLM(CountedLM):
    """For anybody's tasks: as lm-eval decodes and compares, but a prompt that it would cut is an error."""

    def __init__(
        self, model: Any, tokenizer: Any, batch: int, max_length: int, max_new_tokens: int, count: Count
    ) -> None:
        super().__init__(model, tokenizer, batch, max_length, count)
        self._max_new_tokens = max_new_tokens

    @property
    def max_gen_toks(self) -> int:
        """Tokens of an answer, where the task does not say."""
        return self._max_new_tokens

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """One output per request. Raises `PromptTooLong` where a task's answers alone fill the model's length."""
        for request in requests:
            self._check(request.args[1].get("max_gen_toks", self.max_gen_toks), self.max_length - 1, "answer")
        return super().generate_until(requests, disable_tqdm)

    def tok_batch_encode(
        self, strings: list[str], *args: Any, left_truncate_len: int | None = None, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The prompts of one batch, whole. Raises `PromptTooLong`."""
        ids, mask = super().tok_batch_encode(strings, *args, left_truncate_len=None, **kwargs)
        self._check(ids.shape[1], left_truncate_len or self.max_length, "prompt")
        return ids, mask

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = True, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        lengths = [len(prompt) + len(answer) for _, prompt, answer in requests]
        self._check(
            max(lengths, default=0), self.max_length + 1, "prompt with its answer"
        )  # the last token is not read
        likelihoods: list[tuple[float, bool]] = super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
        self._count(len(requests), sum(lengths))
        return likelihoods

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **kwargs: Any) -> torch.Tensor:
        written: torch.Tensor = super()._model_generate(context, max_length, stop, **kwargs)
        self._written(written[:, context.shape[1] :], kwargs["attention_mask"])
        return written

    def _check(self, tokens: int, room: int, what: str) -> None:
        if tokens > room:
            raise PromptTooLong(
                f"model.max_length: {self.max_length} leaves {room} tokens to the {what} of a task, the longest has "
                f"{tokens}; raise max_length, lower max_gen_toks in the task, or leave the task out"
            )
