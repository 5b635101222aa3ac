"""An OpenAI-compatible server that loads LoRA adapters (`vllm serve`), as we talk to it: every way to fail has a class.

The server is not believed: what it says is checked for form, and each answer for the model that it is of. What it says
of a question is never logged, since it may quote a sealed item.
"""

from __future__ import annotations

import http.client
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from services.oracle.job import AdapterRefused, EngineUse
from services.runtime.http_client import LOOPBACK

log = logging.getLogger(__name__)

LONGEST_ANSWER = 2**26
"""Bytes: the log-probabilities of a long prompt take megabytes."""
PAUSES = (0.5, 2.0)
"""Seconds before another try of what did not reach the server."""
AWAY = (408, 425, 429, 500, 502, 503, 504)
"""Statuses of a server that is not well now."""
REFUSALS = (400, 404, 409, 422, 500)
"""Statuses by which a server refuses an adapter: vLLM answers 500 where a layer cannot take one."""


class EngineFailed(Exception):
    """The engine's server has failed us, in one of the ways below."""


class EngineUnreachable(EngineFailed):
    """The engine's server does not answer, or says that it cannot now."""


class EngineSilent(EngineFailed):
    """The engine's server took a question and gave no answer in time."""


class EngineDenied(EngineFailed):
    """The engine's server does not let us in."""


class EngineGarbled(EngineFailed):
    """What the engine's server says does not follow the protocol."""


class EngineRefused(EngineFailed):
    """The engine's server does not take a question."""


class EngineMismatched(EngineFailed):
    """The engine's server serves another model than the campaign's, or with less room."""


@dataclass(frozen=True)
class Written:
    """What a model wrote, or how likely it finds what it was given."""

    text: str
    """The answer."""
    tokens: int
    """Tokens of the answer."""
    logprobs: Sequence[float | None]
    """Of each token of the prompt and the answer, where they were asked for."""
    best: Sequence[float | None]
    """Of the likeliest token in each place."""


class Client:
    """One server. Questions may be asked from several threads at a time."""

    def __init__(self, use: EngineUse) -> None:
        self.use, self.place = use, urlsplit(use.url.rstrip("/"))
        self.key = _key(use, self.place.scheme, self.place.hostname)

    def models(self) -> dict[str, dict[str, Any]]:
        """What is served, by name: the base and the adapters that are loaded."""
        said = self._read("GET", "/models")
        try:
            return {str(card["id"]): card for card in said["data"]}
        except (KeyError, TypeError) as error:
            raise self._garbled("/models", "a list of models") from error

    def version(self) -> str:
        """The server's version, where it tells."""
        try:
            return str(self._read("GET", "/version", root=True)["version"])
        except (EngineRefused, EngineGarbled, KeyError, TypeError):
            return "unknown"

    def tokens(self, model: str, text: str) -> list[int] | None:
        """The server's own encoding of a text; None where it does not tell."""
        try:
            said = self._read("POST", "/tokenize", {"model": model, "prompt": text}, root=True)
            return [int(token) for token in said["tokens"]]
        except (EngineRefused, EngineGarbled, KeyError, TypeError, ValueError):
            return None

    def load(self, name: str, folder: Path) -> None:
        """Let the server load an adapter. Raises `AdapterRefused`."""
        status, raw = self._ask("POST", "/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)}, REFUSALS)
        if status in REFUSALS:
            log.warning("%s refused %s with %d: %s", self.use.url, folder, status, raw[:500])
            raise AdapterRefused(
                f"the engine refuses adapter {folder} (status {status}, its words stand in the oracle's log); see that "
                "it finds the folder at this path, that VLLM_ALLOW_RUNTIME_LORA_UPDATING is set, and that the "
                "adapter's rank and modules are among what it takes"
            )

    def unload(self, name: str) -> None:
        """Let the server forget an adapter."""
        self._ask("POST", "/unload_lora_adapter", {"lora_name": name}, REFUSALS)

    def complete(self, model: str, prompt: Sequence[int], **asked: Any) -> Written:
        """What the model writes after a prompt of token ids. Raises `EngineGarbled` for the answer of another model."""
        said = self._read("POST", "/completions", {"model": model, "prompt": list(prompt), **asked})
        try:
            (choice,) = said["choices"]
            told = choice.get("logprobs") or {}
            best = [max(top.values()) if top else None for top in told.get("top_logprobs") or ()]
            written = Written(
                choice["text"], int(said["usage"]["completion_tokens"]), told.get("token_logprobs") or (), best
            )
            answering = said["model"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._garbled("/completions", "one choice with text and usage") from error
        if answering != model:
            raise EngineMismatched(f"the engine at {self.use.url} was asked for {model}, and {answering} answered")
        if not isinstance(written.text, str):
            raise self._garbled("/completions", "text")
        return written

    def _read(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, root: bool = False) -> Any:
        _, raw = self._ask(method, path, body, root=root)
        try:
            return json.loads(raw)
        except ValueError as error:
            raise self._garbled(path, "JSON") from error

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        known: Sequence[int] = (),
        *,
        root: bool = False,
    ) -> tuple[int, bytes]:
        for pause in PAUSES:
            try:
                return self._judged(path, *self._once(method, path, body, root), known)
            except EngineUnreachable:
                time.sleep(pause)
        return self._judged(path, *self._once(method, path, body, root), known)

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None, root: bool) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self.place.scheme == "https" else http.client.HTTPConnection
        line = kind(self.place.hostname or "", self.place.port, timeout=self.use.seconds)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        prefix = self.place.path.removesuffix("/v1") if root else self.place.path
        try:
            line.request(method, prefix + path, json.dumps(body) if body is not None else None, headers)
            answer = line.getresponse()
            return answer.status, answer.read(LONGEST_ANSWER)
        except TimeoutError as error:
            raise EngineSilent(
                f"the engine at {self.use.url} gave no answer in {self.use.seconds:g} s; raise AEVOLVE_ENGINE_SECONDS, "
                "or see what it does"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise EngineUnreachable(
                f"the engine at {self.use.url} does not answer ({type(error).__name__}); start it, or correct "
                "AEVOLVE_ENGINE_URL"
            ) from error
        finally:
            line.close()

    def _judged(self, path: str, status: int, raw: bytes, known: Sequence[int]) -> tuple[int, bytes]:
        if status == http.client.OK or status in known:
            return status, raw
        said = f"the engine at {self.use.url} answered {status} to {path}"
        if status in (401, 403):
            raise EngineDenied(f"{said}; correct the key in the file of AEVOLVE_ENGINE_KEY_FILE")
        if status in AWAY:
            raise EngineUnreachable(f"{said}; see that it is well")
        raise EngineRefused(f"{said}; its own log says why")

    def _garbled(self, path: str, wanted: str) -> EngineGarbled:
        return EngineGarbled(
            f"the engine at {self.use.url} answered {path} with something other than {wanted}; see that "
            "AEVOLVE_ENGINE_URL is that of an OpenAI-compatible server"
        )


def _key(use: EngineUse, scheme: str, host: str | None) -> str | None:
    """The server's key. Raises `EngineDenied` for one that would travel in clear text."""
    if use.key_file is None:
        return None
    try:
        key = Path(use.key_file).read_text().strip()
    except OSError as error:
        raise EngineDenied(
            f"AEVOLVE_ENGINE_KEY_FILE: {use.key_file} cannot be read; name a file with the key"
        ) from error
    if scheme != "https" and host not in LOOPBACK:
        raise EngineDenied(f"AEVOLVE_ENGINE_KEY_FILE: a key for {use.url} would travel unencrypted; use https")
    return key
