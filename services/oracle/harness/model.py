"""lm-eval's Hugging Face model around one that is loaded already, counted while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from schemas.prompts import Prompt
from services.oracle.harness.asked import Asked, appends_end, padded, without_rest
from services.oracle.harness.chat import chat_text
from services.oracle.harness.decode import StopTexts, can_shrink, decode
from services.oracle.job import PromptTooLong

Count = Callable[[int, int], None]
"""Called after each batch with (answers, tokens read and written)."""


class CountedLM(HFLM):  # type: ignore[misc]  # lm-eval is untyped
    """An already loaded model, without lm-eval's progress bar: `count` tells the progress."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        batch: int,
        max_length: int,
        count: Count,
        special: bool | None = None,
        ends: Sequence[int] = (),
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
        self._ends = tuple(ends) or (tokenizer.eos_token_id,)
        self._appends_end = special is not False and appends_end(tokenizer)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """One output per request."""
        outputs: list[str] = super().generate_until(requests, disable_tqdm=disable_tqdm)
        return outputs

    def tok_encode(self, string: str, *args: Any, **kwargs: Any) -> list[int]:
        """The tokens of a text; those that a question brings along. An end token that is appended is left out."""
        if isinstance(string, Asked):
            return list(string.ids)
        ids: list[int] = super().tok_encode(string, *args, **kwargs)
        return ids[:-1] if self._appends_end and ids[-1:] == [self.eot_token_id] else ids

    def tok_batch_encode(self, strings: list[str], *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and mask of one batch, padded on the left."""
        if self._appends_end or isinstance(strings[0], Asked):
            return padded([self.tok_encode(text) for text in strings], self.tokenizer.pad_token_id)
        encoded: tuple[torch.Tensor, torch.Tensor] = super().tok_batch_encode(strings, *args, **kwargs)
        return encoded

    def _written(self, answers: torch.Tensor, mask: torch.Tensor) -> None:
        self._count(len(answers), int(mask.sum() + (answers != self.tokenizer.pad_token_id).sum()))

    def _ended(self, written: torch.Tensor, prompt: int) -> torch.Tensor:
        """Prompts and answers without the answers' end tokens and what follows them."""
        answers = without_rest(written[:, prompt:], written.new_tensor(self._ends), self.tokenizer.pad_token_id)
        return torch.cat([written[:, :prompt], answers], dim=1)


class GreedyLM(CountedLM):
    """For our own task: decoded greedily, ended by any of the model's end tokens, each row for as long as it takes.

    lm-eval looks for stop strings by decoding the last tokens of every row after every step; for a small model that
    costs more than the steps. Unless the campaign names stop texts, end tokens alone end an answer.
    """

    def __init__(self, *args: Any, stop: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stop = StopTexts(stop, self.tokenizer)

    @torch.inference_mode()
    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **kwargs: Any) -> torch.Tensor:
        """Greedy continuations of left-padded prompts, [rows, prompt + answer]."""
        end = self.tokenizer.decode(self.eot_token_id)
        if set(stop) != {*self._stop.texts, end}:
            raise ValueError(f"until: {stop} has more than the end token {end!r} and `model.prompt.stop`; leave it out")
        mask = kwargs["attention_mask"]
        written = self._decoded(context, mask, max_length)
        self._written(written[:, context.shape[1] :], mask)
        return self._ended(written, context.shape[1])

    def _decoded(self, context: torch.Tensor, mask: torch.Tensor, max_length: int) -> torch.Tensor:
        filler = self.tokenizer.pad_token_id
        if can_shrink(self.model):
            return decode(self.model, context, mask, max_length, self._ends, filler, self._stop)
        stop = {"stop_strings": list(self._stop.texts), "tokenizer": self.tokenizer} if self._stop.texts else {}
        written: torch.Tensor = self.model.generate(
            input_ids=context,
            attention_mask=mask,
            max_length=max_length,
            do_sample=False,
            eos_token_id=list(self._ends),
            pad_token_id=filler,
            **stop,
        )
        return written


class TaskLM(CountedLM):
    """For anybody's tasks: as lm-eval decodes and compares, but a prompt that it would cut is an error."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        batch: int,
        max_length: int,
        max_new_tokens: int,
        count: Count,
        ends: Sequence[int] = (),
        form: Prompt = Prompt(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(model, tokenizer, batch, max_length, count, False if form.chat else None, ends)
        self._max_new_tokens, self._form = max_new_tokens, form

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as the campaign's chat template writes it. Raises `ChatTemplateMissing`."""
        return chat_text(self.tokenizer, chat_history, self._form, add_generation_prompt=add_generation_prompt)

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
        return self._ended(written, context.shape[1])

    def _check(self, tokens: int, room: int, what: str) -> None:
        if tokens > room:
            raise PromptTooLong(
                f"model.max_length: {self.max_length} leaves {room} tokens to the {what} of a task, the longest has "
                f"{tokens}; raise max_length, lower max_gen_toks in the task, or leave the task out"
            )
