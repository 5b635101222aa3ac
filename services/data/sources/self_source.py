"""Answers that a model of the campaign samples for puzzles; only those that the verifier accepts become rows.

Rejection sampling (STaR, arXiv 2203.14465): each puzzle of the train split gets several answers; one that the scorer
accepts, without a step known to be wrong, becomes a row. The model is the base unless the constitution says `standing`
(design rule 1), and each row names the weights that wrote it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.base import digest
from schemas.campaign import Model
from schemas.rows import Row
from schemas.scores import BASE
from schemas.sources import SelfSource
from services.data.collect.verify import wrong_steps
from services.data.sources.source import RoundContext, SourceFailed, State, Step
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import model_folder
from tasks.item import Item
from tasks.puzzles.draw import FAMILIES, draw
from tasks.puzzles.scorer import BOX, correct

PROMPTS = 16
"""Puzzles of one step, each with `samples` answers."""

LICENCE = "written by the campaign's model"


class SelfSampler:
    """A source of sampled answers. State: the last round that sampled, and how many of its puzzles are done."""

    def __init__(self, spec: SelfSource, context: RoundContext) -> None:
        if context.sampling is None:
            raise SourceFailed(f"data.sources: {spec.name}: the round has no model to sample; this is an error of ours")
        self.name, self._spec, self._round, self._sampling = spec.name, spec, context.round, context.sampling
        self._seed = digest([context.seed, context.round, spec.name])

    def harvest(self, state: State) -> Iterator[Step]:
        """A step per `PROMPTS` puzzles. Raises `SourceFailed` for an unknown domain."""
        if self._spec.domain not in FAMILIES:
            raise SourceFailed(
                f"data.sources: {self.name}: domain {self._spec.domain!r} has no puzzles; "
                f"give one of {', '.join(FAMILIES)}"
            )
        last = state.get("asked", {})
        done = last["prompts"] if last.get("round") == self._round else 0
        puzzles = self._puzzles()
        if done >= len(puzzles):
            return
        writer = self._writer()
        for start in range(done, len(puzzles), PROMPTS):
            batch = puzzles[start : start + PROMPTS]
            outputs = writer.write([item.prompt for item in batch], seed=f"{self._seed}/{start}")
            rows, skipped = self._accepted(batch, outputs)
            progress = {"round": self._round, "prompts": start + len(batch)}
            yield Step(tuple(rows), {"asked": progress}, dict(skipped))

    def _puzzles(self) -> list[Item]:
        """The round's puzzles, each once."""
        items = draw(
            self._spec.domain,
            self._spec.prompts_per_round,
            difficulty=self._sampling.difficulty,
            wordings=self._sampling.wordings,
            split="train",
            seed=self._seed,
        )
        return list({item.core: item for item in items}.values())

    def _writer(self) -> Writer:
        """The model, loaded. Raises `ArtifactChanged` if the adapter is not the recorded one."""
        sampling, adapter = self._sampling, None
        if self._standing and (stored := sampling.sampled.adapter):
            adapter = artifacts.fetch(stored.uri, stored.sha256, hash_folder, sampling.copies)
            if (actual := hash_folder(adapter)) != stored.sha256:
                raise artifacts.ArtifactChanged(stored.uri, actual, stored.sha256)
        base = Path(sampling.sampled.base)
        return Writer(base, adapter, sampling.model, self._spec.samples, self._spec.temperature)

    @property
    def _standing(self) -> bool:
        return self._spec.model == "standing"

    @property
    def _uri(self) -> str:
        """The weights that write: `model:CANDIDATE:HASH`."""
        sampled = self._sampling.sampled
        if self._standing and sampled.adapter:
            return f"model:{sampled.candidate}:{sampled.adapter.sha256}"
        return f"model:{BASE}:{sampled.base_sha256}"

    def _accepted(self, batch: Sequence[Item], outputs: Sequence[Sequence[str]]) -> tuple[list[Row], Counter[str]]:
        """Rows of the distinct accepted outputs, and refusals by reason."""
        rows: dict[str, Row] = {}
        skipped: Counter[str] = Counter()
        for item, answers in zip(batch, outputs, strict=True):
            skipped["too_long"] += not answers
            for output in answers:
                if not correct(item.prompt, output, item.answer):
                    skipped["wrong_answer"] += 1
                elif next(wrong_steps(output, item.trace), None):
                    skipped["wrong_step"] += 1
                elif (row := self._row(item, output)).core in rows:
                    skipped["said_again"] += 1
                else:
                    rows[row.core] = row
        return list(rows.values()), +skipped

    def _row(self, item: Item, output: str) -> Row:
        trace = output.rpartition(BOX)[0].strip() if BOX in output else output.strip()
        return Row(
            domain=item.domain,
            difficulty=item.difficulty,
            wording=item.wording,
            prompt=item.prompt,
            answer=item.answer,
            trace=trace,
            core=f"{item.core} @{hashlib.sha256(trace.encode()).hexdigest()[:16]}",
            source=self.name,
            uri=self._uri,
            licence=self._spec.licence or LICENCE,
            sha256=hashlib.sha256(output.encode()).hexdigest(),
            parent=item.core,
        )


class Writer:
    """A loaded causal language model that samples in batches: equal seeds give equal texts on the same machine."""

    def __init__(self, base: Path, adapter: Path | None, model: Model, samples: int, temperature: float) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu":
            torch.set_num_threads(1)  # sums must not depend on the number of free cores
        folder = model_folder(str(base))
        self.limits, self.samples, self.temperature = model, samples, temperature
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32 if device == "cpu" else torch.bfloat16
        )
        self.model = (PeftModel.from_pretrained(loaded, adapter) if adapter else loaded).to(device).eval()

    @torch.inference_mode()
    def write(self, prompts: Sequence[str], seed: str) -> list[list[str]]:
        """`samples` continuations of each prompt; an empty list for a prompt that leaves no room for an answer."""
        room = self.limits.max_length - self.limits.max_new_tokens
        texts = [f"{prompt}\n" for prompt in prompts]
        fitting = [at for at, text in enumerate(texts) if len(self.tokenizer(text)["input_ids"]) <= room]
        answers: list[list[str]] = [[] for _ in prompts]
        if not fitting:
            return answers
        batch = self.tokenizer([texts[at] for at in fitting], return_tensors="pt", padding=True).to(self.model.device)
        torch.manual_seed(int(hashlib.sha256(seed.encode()).hexdigest()[:15], 16))
        generated = self.model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            do_sample=True,
            temperature=self.temperature,
            top_k=0,
            top_p=1.0,
            num_return_sequences=self.samples,
            max_new_tokens=self.limits.max_new_tokens,
            pad_token_id=self.tokenizer.pad_token_id,
        )[:, batch["input_ids"].shape[1] :]
        outputs = self.tokenizer.batch_decode(generated, skip_special_tokens=True)
        for place, at in enumerate(fitting):
            answers[at] = outputs[place * self.samples : (place + 1) * self.samples]
        return answers
