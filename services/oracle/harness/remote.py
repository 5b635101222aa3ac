"""lm-eval's model around a server's completions: prompts are sent as token ids, many at a time, and never cut.

lm-eval's own `local-completions` silently retries every request three times, cuts prompts that are too long, and logs
answers; answers to sealed items must stay in the receipt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

from schemas.prompts import Prompt
from services.oracle.harness.asked import Asked, appends_end
from services.oracle.harness.chat import chat_text
from services.oracle.job import PromptTooLong, TaskRefused

NO_PENALTIES = {"presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0}
"""Sent with every request, since a server may take others from the base's `generation_config`."""

PER_REQUEST = 8
"""Prompts of one request, each of which opens a connection."""

Call = tuple[list[int], Mapping[str, Any]]
"""Token ids of a prompt, and the request's settings."""


class RemoteLM(TemplateLM):  # type: ignore[misc]  # lm-eval is untyped
    """A model behind `complete(prompts' ids, **settings)`, which `services.oracle.engines.client` does."""

    def __init__(
        self,
        complete: Callable[..., Any],
        tokenizer: Any,
        max_length: int,
        max_new_tokens: int,
        context: int,
        at_once: int,
        count: Callable[[int, int], None],
        special: bool,
        ends: Sequence[int] = (),
        form: Prompt = Prompt(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__()
        self.complete, self.tokenizer, self.at_once, self.count = complete, tokenizer, at_once, count
        self.max_length, self.max_gen_toks, self.special = max_length, max_new_tokens, special
        self.context = context
        self.further_ends = [end for end in ends if end != tokenizer.eos_token_id]
        self.form, self.appends_end = form, special and appends_end(tokenizer)

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer in lm-eval's cache, which is not used."""
        return str(self.tokenizer.name_or_path)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as the campaign's chat template writes it. Raises `ChatTemplateMissing`."""
        return chat_text(self.tokenizer, chat_history, self.form, add_generation_prompt=add_generation_prompt)

    @property
    def eot_token_id(self) -> int:
        """The end token; without a begin token it also precedes an answer without a prompt, as in transformers."""
        end: int = self.tokenizer.eos_token_id
        return end

    @property
    def prefix_token_id(self) -> int:
        """The token before an answer without a prompt."""
        begin: int | None = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else begin

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Token ids as the base's tokenizer gives them; those that a question brings along."""
        if isinstance(string, Asked):
            return list(string.ids)
        special = self.special if add_special_tokens is None else add_special_tokens
        ids: list[int] = self.tokenizer(string, add_special_tokens=special)["input_ids"]
        return ids[:-1] if self.appends_end and ids[-1:] == [self.eot_token_id] else ids

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """One output per request. Raises `PromptTooLong` or as the client does."""
        return [answer.text for answer in self._all([self._call(*request.args) for request in requests])]

    def _call(self, prompt: str, options: dict[str, Any]) -> Call:
        settings = normalize_gen_kwargs(options, self.max_gen_toks)
        end = self.tokenizer.decode(self.eot_token_id)
        stop = [one for one in handle_stop_sequences(settings.pop("until", None), eos=end) if one != end]
        room = settings.pop("max_gen_toks")
        sampled = settings.get("do_sample") and settings.get("temperature")
        ids = self.tok_encode(prompt)
        self._check(len(ids) + room, self.max_length)
        sampling = {"temperature": settings["temperature"] if sampled else 0.0, "top_p": settings.get("top_p") or 1.0}
        ending = {"stop": stop, "stop_token_ids": self.further_ends}
        return ids, {"max_tokens": room, **sampling, **NO_PENALTIES, **{name: v for name, v in ending.items() if v}}

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = True, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        pairs = [(prompt, prompt + answer) for _, prompt, answer in requests]
        for _, ids in pairs:
            # The model need not read an answer's last token, but a server does, and writes one more.
            self._check(len(ids), min(self.max_length + 1, self.context - 1))
        settings = {"max_tokens": 1, "temperature": 0.0, "echo": True, "logprobs": 1}
        scored = self._all([(ids, settings) for _, ids in pairs])
        return [_likelihood(answer, len(prompt), len(ids)) for answer, (prompt, ids) in zip(scored, pairs, strict=True)]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
        """Refused: no metric that a list may name needs it."""
        raise TaskRefused("tasks: a perplexity is no mean over items; choose a metric that is")

    def _all(self, calls: Sequence[Call]) -> Iterator[Any]:
        """Every answer in order. The first failure is raised, and requests not yet started are dropped."""
        equal = (list(group) for _, group in groupby(calls, lambda call: call[1]))
        requests = [group[at : at + PER_REQUEST] for group in equal for at in range(0, len(group), PER_REQUEST)]
        with ThreadPoolExecutor(max(1, self.at_once // PER_REQUEST)) as pool:
            for request, (answers, tokens) in zip(requests, pool.map(self._send, requests), strict=True):
                yield from answers
                self.count(len(request), tokens + sum(len(ids) for ids, _ in request))

    def _send(self, request: Sequence[Call]) -> tuple[list[Any], int]:
        answers: tuple[list[Any], int] = self.complete([ids for ids, _ in request], **request[0][1])
        return answers

    def _check(self, tokens: int, most: int) -> None:
        if tokens > most:
            raise PromptTooLong(
                f"model.max_length: {self.max_length} is too little for the {tokens} tokens of a prompt with its "
                f"answer (the engine's context has {self.context}); raise max_length, lower max_gen_toks in the task, "
                "or leave the task out"
            )


def _likelihood(answer: Any, prompt: int, whole: int) -> tuple[float, bool]:
    """Log-likelihood of the tokens after the prompt, and whether each of them is the likeliest."""
    logprobs, best = answer.logprobs[prompt:whole], answer.best[prompt:whole]
    return sum(logprobs), all(one >= highest for one, highest in zip(logprobs, best, strict=True))
