"""Client of an OpenAI-compatible server that loads LoRA adapters (`vllm serve`); every kind of failure has a class.

The server is not trusted: its answers are checked for form, and each completion for the model that wrote it. The body
of a failed completion is never logged, since it may quote a sealed item.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from services.oracle.job import AdapterRefused, EngineUse
from services.runtime import http_client

log = logging.getLogger(__name__)

LONGEST_ANSWER = 2**26
"""Bytes: the log-probabilities of a long prompt take megabytes."""
PAUSES = (0.5, 2.0)
"""Seconds before the second and the third try of a request that did not reach the server."""
UNAVAILABLE = (408, 425, 429, 500, 502, 503, 504)
"""Statuses of a temporary failure."""
REFUSALS = (400, 404, 409, 422, 500)
"""Statuses by which a server refuses an adapter: vLLM answers 500 if a layer cannot take it."""


class EngineFailed(Exception):
    """The engine's server failed in one of the ways below."""


class EngineUnreachable(EngineFailed):
    """The server does not answer or reports a temporary failure."""


class EngineSilent(EngineFailed):
    """The server accepted a request and gave no complete answer in time."""


class EngineDenied(EngineFailed):
    """The server rejects our key."""


class EngineGarbled(EngineFailed):
    """The server's answer does not follow the protocol."""


class EngineRefused(EngineFailed):
    """The server rejects a request."""


class EngineMismatched(EngineFailed):
    """The server serves another model than the campaign's, or a shorter context."""


@dataclass(frozen=True)
class Completion:
    """A completion, or the likelihood of a prompt."""

    text: str
    """The answer."""
    logprobs: Sequence[float | None]
    """Of each token of the prompt and the answer, if requested."""
    best: Sequence[float | None]
    """Of the likeliest token in each place."""


class Client:
    """One server; its methods may be called from several threads at a time."""

    def __init__(self, use: EngineUse) -> None:
        self.use = use
        parts = urlsplit(use.url.rstrip("/"))
        self.path, self.origin = parts.path, f"{parts.scheme}://{parts.netloc}"
        self.headers = {"Content-Type": "application/json"}
        if key := _read_key(use, parts.scheme, parts.hostname):
            self.headers["Authorization"] = f"Bearer {key}"

    def models(self) -> dict[str, dict[str, Any]]:
        """Served models by name: the base and the loaded adapters."""
        answer = self._read("GET", "/models")
        try:
            return {str(card["id"]): card for card in answer["data"]}
        except (KeyError, TypeError) as error:
            raise self._garbled("/models", "a list of models") from error

    def version(self) -> str:
        """The server's version, `unknown` if it does not report one."""
        try:
            return str(self._read("GET", "/version", root=True)["version"])
        except (EngineRefused, EngineGarbled, KeyError, TypeError):
            return "unknown"

    def tokens(self, model: str, text: str) -> list[int] | None:
        """The server's own encoding of a text; None if it has no such route."""
        try:
            answer = self._read("POST", "/tokenize", {"model": model, "prompt": text}, root=True)
            return [int(token) for token in answer["tokens"]]
        except (EngineRefused, EngineGarbled, KeyError, TypeError, ValueError):
            return None

    def load(self, name: str, folder: Path) -> None:
        """Load an adapter. Raises `AdapterRefused`."""
        body = {"lora_name": name, "lora_path": str(folder)}
        answer = self._request("POST", "/load_lora_adapter", body, accept=REFUSALS)
        if answer.status in REFUSALS:
            log.warning("%s refused %s with %d: %s", self.use.url, folder, answer.status, answer.body[:500])
            raise AdapterRefused(
                f"the engine refuses adapter {folder} (status {answer.status}; its answer is in the oracle's log); "
                "check that it can read this path, that VLLM_ALLOW_RUNTIME_LORA_UPDATING is set, and that it supports "
                "the adapter's rank and modules"
            )

    def unload(self, name: str) -> None:
        """Unload an adapter."""
        self._request("POST", "/unload_lora_adapter", {"lora_name": name}, accept=REFUSALS)

    def complete(self, model: str, prompts: Sequence[Sequence[int]], **settings: Any) -> tuple[list[Completion], int]:
        """The completion of each prompt of token ids, and the tokens of all of them.

        Raises `EngineMismatched` if another model wrote them.
        """
        answer = self._read("POST", "/completions", {"model": model, "prompt": list(map(list, prompts)), **settings})
        try:
            choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
            places = [choice["index"] for choice in choices]
            completions = [_completion(choice) for choice in choices]
            tokens, author = int(answer["usage"]["completion_tokens"]), answer["model"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._garbled("/completions", "choices with text and usage") from error
        if author != model:
            raise EngineMismatched(
                f"the engine at {self.use.url} was asked for {model}, and {author} answered; check its adapters"
            )
        if places != list(range(len(prompts))) or not all(isinstance(one.text, str) for one in completions):
            raise self._garbled("/completions", "one text for each prompt")
        return completions, tokens

    def _read(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, root: bool = False) -> Any:
        answer = self._request(method, path, body, root=root)
        try:
            return json.loads(answer.body)
        except ValueError as error:
            raise self._garbled(path, "JSON") from error

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        accept: Sequence[int] = (),
        root: bool = False,
    ) -> http_client.Answer:
        """The answer of status 200 or one of `accept`; what does not reach the server is tried again."""
        for pause in PAUSES:
            try:
                return self._request_once(method, path, body, accept, root=root)
            except EngineUnreachable:
                time.sleep(pause)
        return self._request_once(method, path, body, accept, root=root)

    def _request_once(
        self, method: str, path: str, body: Mapping[str, Any] | None, accept: Sequence[int], *, root: bool
    ) -> http_client.Answer:
        url = self.origin + (self.path.removesuffix("/v1") if root else self.path) + path
        content = json.dumps(body).encode() if body is not None else None
        try:
            answer = http_client.send(
                method,
                url,
                self.headers,
                content,
                seconds=self.use.seconds,
                most_bytes=LONGEST_ANSWER,
                unix_socket=self.use.unix_socket,
            )
        except http_client.NoAnswer as error:
            if error.timed_out:
                raise EngineSilent(
                    f"the engine at {self.use.url} gave no complete answer in {self.use.seconds:g} s; raise "
                    "AEVOLVE_ENGINE_SECONDS, or check its load"
                ) from error
            raise EngineUnreachable(
                f"the engine at {self.use.url} does not answer ({error}); start it, or correct AEVOLVE_ENGINE_URL"
            ) from error
        if answer.status == HTTPStatus.OK or answer.status in accept:
            return answer
        what = f"the engine at {self.use.url} answered {answer.status} to {path}"
        if answer.status in (401, 403):
            raise EngineDenied(f"{what}; correct the key in the file of AEVOLVE_ENGINE_KEY_FILE")
        if answer.status in UNAVAILABLE:
            raise EngineUnreachable(f"{what}; check that it runs")
        raise EngineRefused(f"{what}; see its log")

    def _garbled(self, path: str, expected: str) -> EngineGarbled:
        return EngineGarbled(
            f"the engine at {self.use.url} answered {path} with something other than {expected}; check that "
            "AEVOLVE_ENGINE_URL names an OpenAI-compatible server"
        )


def _completion(choice: Mapping[str, Any]) -> Completion:
    logprobs = choice.get("logprobs") or {}
    best = [max(top.values()) if top else None for top in logprobs.get("top_logprobs") or ()]
    return Completion(choice["text"], logprobs.get("token_logprobs") or (), best)


def _read_key(use: EngineUse, scheme: str, host: str | None) -> str | None:
    """The server's key. Raises `EngineDenied` if it would be sent unencrypted."""
    if use.key_file is None:
        return None
    try:
        key = Path(use.key_file).read_text().strip()
    except OSError as error:
        raise EngineDenied(
            f"AEVOLVE_ENGINE_KEY_FILE: {use.key_file} cannot be read; name a file with the key"
        ) from error
    if scheme != "https" and host not in http_client.LOOPBACK:
        raise EngineDenied(f"AEVOLVE_ENGINE_KEY_FILE: a key for {use.url} would be sent unencrypted; use https")
    return key
