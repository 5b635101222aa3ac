"""The engine `hf`: the model in the job's own process, by transformers. It needs no GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig

from services.oracle.adapters import adapter
from services.oracle.engines.engine import Count
from services.oracle.harness.attention import use_products
from services.oracle.harness.model import GreedyLM, TaskLM
from services.oracle.job import AdapterRefused, EvaluationJob
from services.runtime.prompting import end_tokens
from services.runtime.storage.model_folders import misfit_named, model_folder
from services.runtime.storage.trained_folders import form

BATCH = {"cpu": 128, "cuda": 64}
"""Prompts generated together. Part of the stamp: batching changes the rounding, and greedy decoding follows it."""


@contextmanager
def opened(job: EvaluationJob, tokenizer: Any) -> Iterator[LocalEngine]:
    """The candidate's model; raises as `load` does."""
    yield LocalEngine(job, tokenizer)


class LocalEngine:
    """A model in this process."""

    def __init__(self, job: EvaluationJob, tokenizer: Any) -> None:
        self.job, self.tokenizer = job, tokenizer
        self.waits = torch.cuda.is_available()  # not earlier: a process that has initialised CUDA must not be forked
        device = "cuda" if self.waits else "cpu"
        self.batch = BATCH[device]
        self.ends = end_tokens(model_folder(job.base), tokenizer, job.form)
        self.model = load(job, device)
        self.model.generation_config = policy(tokenizer, self.ends)
        self.name = f"transformers {version('transformers')}, torch {version('torch')}, {device}, batch {self.batch}"
        self.precision = str(self.model.dtype).removeprefix("torch.")

    def puzzles(self, count: Count) -> GreedyLM:
        """For sealed items: greedy decoding of the questions' tokens."""
        length, stop = self.job.max_length, self.job.form.stop
        return GreedyLM(self.model, self.tokenizer, self.batch, length, count, ends=self.ends, stop=stop)

    def tasks(self, count: Count) -> TaskLM:
        """For lists of tasks: lm-eval's decoding."""
        job = self.job
        lengths = (job.max_length, job.max_new_tokens)
        return TaskLM(self.model, self.tokenizer, self.batch, *lengths, count, self.ends, job.list_form)


def policy(tokenizer: Any, ends: Sequence[int]) -> GenerationConfig:
    """Greedy generation without penalties, in place of the base's own settings (`services.oracle.job.POLICY`)."""
    return GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=list(ends),
        pad_token_id=tokenizer.pad_token_id,
    )


def load(job: EvaluationJob, device: str) -> Any:
    """The base with the job's adapter, or the job's checkpoint in its place, ready to generate.

    In single precision the adapter is merged, which halves the time of a step. In bfloat16 it stays beside the base:
    merging would round its small updates to zero. Raises `ModelMissing`, `ModelDamaged`,
    `AdapterChanged`, `AdapterMissing`, `AdapterUnsafe` or `AdapterRefused`.
    """
    trained = adapter(job.adapter, job.sha256, Path(job.copies))
    if device == "cpu":
        torch.set_num_threads(1)
    base = model_folder(job.base)
    if trained is None:
        return _base(base, device)
    try:
        return _model(trained, device) if form(trained) == "full" else _adapted(_base(base, device), trained)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # of PEFT and transformers for a misfit
        raise AdapterRefused(
            f"adapter {job.adapter}: it does not fit the base ({type(error).__name__}; the oracle's log has the rest); "
            "train the candidate again"
        ) from error


def _base(folder: Path, device: str) -> Any:
    with misfit_named(folder):
        return _model(folder, device)


def _model(folder: Path, device: str) -> Any:
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, trust_remote_code=False, use_safetensors=True
    )
    model = loaded.to(device).eval()
    use_products(model)
    return model


def _adapted(base: Any, trained: Path) -> Any:
    adapted: Any = PeftModel.from_pretrained(base, trained).eval()
    return adapted.merge_and_unload() if base.dtype == torch.float32 else adapted
