"""An engine behind HTTP: a server keeps the base in memory and loads the adapters of a round beside it (multi-LoRA).

The same code talks to an operator's server and to the oracle's own (`services.oracle.engines.vllm`).
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from schemas.profiles import PROFILES
from services.oracle.adapters import adapter
from services.oracle.engines.client import Client, EngineFailed, EngineMismatched, EngineRefused, EngineUnreachable
from services.oracle.engines.engine import Count
from services.oracle.engines.vllm import served_name
from services.oracle.harness.remote import RemoteLM
from services.oracle.job import AdapterRefused, EngineUse, EvaluationJob
from services.runtime.prompting import end_tokens
from services.runtime.storage.model_folders import model_folder, weight_shapes
from services.runtime.storage.trained_folders import form

PROBE = "Is 2 + 2 = 4?\n"
"""A text that both tokenizers encode."""


@contextmanager
def opened(job: EvaluationJob, tokenizer: Any, *, own_server: bool) -> Iterator[RemoteEngine]:
    """The candidate's model on the server; its adapter is unloaded at the end.

    Raises `AdapterChanged`, `AdapterMissing`, `AdapterUnsafe` or `AdapterRefused`, and as the client does.
    """
    trained = adapter(job.adapter, job.sha256, Path(job.copies))
    if trained is not None and form(trained) == "full":
        raise AdapterRefused(
            f"adapter {job.adapter}: a server keeps the base in memory and loads LoRA adapters only; measure "
            "campaigns that train every weight with AEVOLVE_ENGINE=hf"
        )
    if trained is not None:
        check_layers(trained, model_folder(job.base))
    client = Client(job.engine)
    wait_until_ready(client, job.engine)
    base = served_name(job.base_sha256)
    check(client, base, job, tokenizer)
    if trained is None:
        yield RemoteEngine(job, tokenizer, client, base, own_server=own_server)
        return
    with loaded(client, base, job.candidate, trained) as name:
        yield RemoteEngine(job, tokenizer, client, name, own_server=own_server)


@contextmanager
def loaded(client: Client, base: str, candidate: str, folder: Path) -> Iterator[str]:
    """The adapter, served under a name that nobody can have registered before.

    Raises `EngineMismatched` where the server has, before or after the measurement, another adapter under that name.
    """
    name, path = f"{candidate}-{secrets.token_hex(16)}", folder.resolve()
    client.load(name, path)
    try:
        check_adapter(client, base, name, path)
        yield name
        check_adapter(client, base, name, path)
    finally:
        with suppress(EngineFailed):
            client.unload(name)


def check_layers(folder: Path, base: Path) -> None:
    """Raise `AdapterRefused` for an adapter that vLLM would follow in part, without an error.

    It leaves the change of the output layer, or of another module outside the numbered layers, out of
    log-probabilities, and answers as the base where there is no other (vllm-project/vllm#51594). Of a matrix that is
    too small for the base it takes what there is.
    """
    shapes = weight_shapes(base)
    for name, shape in weight_shapes(folder).items():
        module, _, part = name.removeprefix("base_model.model.").rpartition(".lora_")
        if not re.search(r"\.\d+\.", module):
            raise AdapterRefused(
                f"adapter {folder}: it changes {module or name}, outside the model's layers, which a server does not "
                "follow; measure with AEVOLVE_ENGINE=hf"
            )
        layer = shapes.get(f"{module}.weight")
        if layer and (shape[1] != layer[1] if part.startswith("A") else shape[0] != layer[0]):
            raise AdapterRefused(
                f"adapter {folder}: {name} has the shape {shape}, and {module} of the base {layer}; train it again on "
                "the recorded base"
            )


def check_adapter(client: Client, base: str, name: str, folder: Path) -> None:
    """Raise `EngineMismatched` unless the name stands for the adapter in the folder, on this base."""
    card = client.models().get(name, {})
    if (card.get("root"), card.get("parent")) != (str(folder), base):
        raise EngineMismatched(
            f"the engine at {client.use.url} serves {card.get('root', 'nothing')!r} on {card.get('parent')!r} as "
            f"{name}, not {folder} on {base}; keep everyone else away from the server, which must report `root` and "
            "`parent` of each adapter as vLLM does"
        )


def wait_until_ready(client: Client, use: EngineUse) -> None:
    """Wait until the oracle's own server, which loads for minutes, answers. Raises `EngineUnreachable`."""
    while use.pid is not None:
        with suppress(EngineUnreachable, EngineRefused):
            client.models()
            return
        if not _is_alive(use.pid):
            raise EngineUnreachable(f"the engine ended as it started; see {use.log}")
        time.sleep(1.0)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def check(client: Client, base: str, job: EvaluationJob, tokenizer: Any) -> None:
    """Raise `EngineMismatched` if the server reports another model or a shorter context."""
    cards = client.models()
    if base not in cards:
        raise EngineMismatched(
            f"the engine at {job.engine.url} serves {', '.join(sorted(cards)[:5]) or 'nothing'}; start it with the "
            f"recorded base and --served-model-name {base}"
        )
    if cards[base].get("parent") is not None:
        raise EngineMismatched(f"the engine at {job.engine.url} serves an adapter as {base}; restart it with the base")
    length = cards[base].get("max_model_len")
    if isinstance(length, int) and length < job.max_length:
        raise EngineMismatched(
            f"the engine at {job.engine.url} has a context of {length} tokens, model.max_length is {job.max_length}; "
            f"start it with --max-model-len {job.max_length}"
        )
    tokens = client.tokens(base, PROBE)
    if tokens is not None and tokens != list(tokenizer(PROBE)["input_ids"]):
        raise EngineMismatched(
            f"the engine at {job.engine.url} encodes differently from the recorded base's tokenizer; serve that base"
        )


class RemoteEngine:
    """A model on a server, by its name there."""

    waits = True

    def __init__(self, job: EvaluationJob, tokenizer: Any, client: Client, model: str, *, own_server: bool) -> None:
        self.job, self.tokenizer, self.client, self.model = job, tokenizer, client, model
        profile = PROFILES[job.profile]
        self.at_once = profile.max_sequences
        card = client.models().get(served_name(job.base_sha256), {})
        owner, context = card.get("owned_by", "unknown"), card.get("max_model_len")
        self.context = context if isinstance(context, int) else job.max_length
        server = f"memory {profile.memory:g}, rank {profile.max_rank}" if own_server else "remote"
        product = re.sub(r"[^\x20-\x7e]", "?", f"{owner} {client.version()}")[:100]  # a stranger's words, for the log
        self.name = f"{product}, profile {job.profile}, {self.at_once} at a time, {server}"
        self.precision = "bfloat16" if own_server else "not told"

    def puzzles(self, count: Count) -> RemoteLM:
        """For sealed items, whose questions bring their tokens along."""
        return self._lm(count, special=not self.job.form.chat)

    def tasks(self, count: Count) -> RemoteLM:
        """For lists of tasks."""
        return self._lm(count, special=not self.job.list_form.chat)

    def _lm(self, count: Count, *, special: bool) -> RemoteLM:
        job, complete = self.job, partial(self.client.complete, self.model)
        ends = end_tokens(model_folder(job.base), self.tokenizer, job.form)
        lengths = (job.max_length, job.max_new_tokens, self.context, self.at_once)
        return RemoteLM(complete, self.tokenizer, *lengths, count, special, ends, job.list_form)
