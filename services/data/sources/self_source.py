"""Answers that a model of the campaign samples for questions; only those that the verifier accepts become rows.

Rejection sampling (STaR, arXiv 2203.14465): each puzzle of the train split, or each training row of a suite, gets
several answers; one that the scorer accepts, without a step known to be wrong, becomes a row. The model is the base
unless the constitution says `standing` (design rule 1), and each row names the weights that wrote it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig

from schemas.base import digest
from schemas.campaign import Model
from schemas.rows import Row
from schemas.scores import BASE
from schemas.sources import SelfSource
from services.data.collect.arithmetic import wrong_steps
from services.data.sources.columns import columns_text
from services.data.sources.source import Batch, RoundContext, SourceFailed, State, Step
from services.data.sources.suites import FULL_MARKS
from services.runtime.prompting import Question, end_tokens, question_ids
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import load_tokenizer, misfit_named, model_folder
from services.runtime.storage.trained_folders import form
from tasks.item import Item
from tasks.puzzles.draw import FAMILIES, draw
from tasks.puzzles.scorer import BOX, correct

PROMPTS = 16
"""Questions of one step, each with `samples` answers."""

LICENCE = "written by the campaign's model"


class SelfSampler:
    """A source of sampled answers. State: the last round that sampled, and how many of its questions are done."""

    def __init__(self, spec: SelfSource, context: RoundContext) -> None:
        if context.sampling is None:
            raise SourceFailed(f"data.sources: {spec.name}: the round has no model to sample; this is an error of ours")
        self.name, self._spec, self._round, self._sampling = spec.name, spec, context.round, context.sampling
        self._seed, self._suites = digest([context.seed, context.round, spec.name]), context.suites

    def harvest(self, state: State) -> Iterator[Step]:
        """A step per `PROMPTS` questions. Raises `SourceFailed` for an unknown domain."""
        if self._suites is None and self._spec.domain not in FAMILIES:
            raise SourceFailed(
                f"data.sources: {self.name}: domain {self._spec.domain!r} has no puzzles; "
                f"give one of {', '.join(FAMILIES)}"
            )
        last = state.get("asked", {})
        done = last["prompts"] if last.get("round") == self._round else 0
        asked, other = self._questions()
        if done >= len(asked):
            return
        writer = self._writer()
        for start in range(done, len(asked), PROMPTS):
            batch = asked[start : start + PROMPTS]
            outputs = writer.write([item.question for item in batch], seed=f"{self._seed}/{start}")
            progress = {"round": self._round, "prompts": start + len(batch)}
            step = self._accepted(batch, outputs).step({"asked": progress})
            yield replace(step, skipped={**step.skipped, "other_domain": other}) if other and start == 0 else step

    def _questions(self) -> tuple[list[Item], int]:
        """The round's questions, each once, and how many more are of another domain."""
        if self._suites is None:
            return self._puzzles(), 0
        items = self._suites.training(self._spec, self._spec.prompts_per_round, self._seed)
        domains = self._spec.domains or (self._spec.domain,)
        ours = list({(item.domain, item.core): item for item in items if item.domain in domains}.values())
        Random(self._seed).shuffle(ours)
        return ours[: self._spec.prompts_per_round], sum(item.domain not in domains for item in items)

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
        """The model, loaded. Raises `ArtifactChanged` if the adapter is not the recorded one, or as `form` does."""
        sampling, adapter = self._sampling, None
        if self._standing and (stored := sampling.sampled.adapter):
            adapter = artifacts.fetch(stored.uri, stored.sha256, hash_folder, sampling.copies)
            if (actual := hash_folder(adapter)) != stored.sha256:
                raise artifacts.ArtifactChanged(stored.uri, actual, stored.sha256)
            form(adapter)
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

    def _accepted(self, items: Sequence[Item], outputs: Sequence[Sequence[str]]) -> Batch:
        """Rows of the distinct accepted outputs, and refusals."""
        batch, cores = Batch(), set[str]()
        for item, answers in zip(items, outputs, strict=True):
            if not answers:
                batch.skip("too_long", self._uri, item.prompt)
        pairs = [(item, output) for item, answers in zip(items, outputs, strict=True) for output in answers]
        for (item, output), right in zip(pairs, self._right(pairs), strict=True):
            if not right:
                batch.skip("wrong_answer", self._uri, output)
            elif next(wrong_steps(output, item.trace), None):
                batch.skip("wrong_step", self._uri, output)
            elif (row := self._row(item, output)).core in cores:
                batch.skip("said_again", self._uri, output)
            else:
                cores.add(row.core)
                batch.add(row)
        return batch

    def _right(self, pairs: Sequence[tuple[Item, str]]) -> list[bool]:
        """Whether the scorer accepts each output: that of the suite, or the puzzles'."""
        if self._suites is None:
            return [correct(item.prompt, output, item.answer) for item, output in pairs]
        items, outputs = [item for item, _ in pairs], [output for _, output in pairs]
        values = self._suites.judge(self._spec, items, outputs)
        return [value is not None and value >= FULL_MARKS for value in values]

    def _row(self, item: Item, output: str) -> Row:
        boxed = self._suites is None and BOX in output
        trace = output.rpartition(BOX)[0].strip() if boxed else output.strip()
        row = Row(
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
        if self._suites is None:
            return row
        turns = [*item.messages, {"role": "assistant", "content": trace}] if item.messages else []
        messages = json.dumps(turns, ensure_ascii=False) if turns else ""
        return replace(row, form="{trace}", messages=messages, columns=columns_text(item.columns))


class Writer:
    """A loaded causal language model that samples in batches: equal seeds give equal texts on the same machine."""

    def __init__(self, base: Path, adapter: Path | None, model: Model, samples: int, temperature: float) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu":
            torch.set_num_threads(1)  # sums must not depend on the number of free cores
        folder = model_folder(str(base))
        self.limits, self.form = model, model.form
        self.tokenizer = load_tokenizer(folder)
        self.ends = end_tokens(folder, self.tokenizer, model.form)
        pad = self.tokenizer.pad_token_id
        self.pad = pad if pad is not None else next(iter(self.ends), 0)
        with misfit_named(folder):
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32 if device == "cpu" else torch.bfloat16,
                trust_remote_code=False,
                use_safetensors=True,
            )
        settings: Any = GenerationConfig  # transformers' class has no types
        loaded.generation_config = settings()  # the base's own holds penalties, which `generate` would apply
        self.model = (PeftModel.from_pretrained(loaded, adapter) if adapter else loaded).to(device).eval()
        self.samples = samples
        self.policy = settings(
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            num_return_sequences=samples,
            max_new_tokens=model.max_new_tokens,
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=list(self.ends) or None,
            pad_token_id=self.pad,
        )

    @torch.inference_mode()
    def write(self, questions: Sequence[Question], seed: str) -> list[list[str]]:
        """`samples` answers to each question; an empty list for a question that leaves no room for an answer."""
        room = self.limits.max_length - self.limits.max_new_tokens
        rows = [question_ids(one, self.form, self.tokenizer) for one in questions]
        fitting = [at for at, row in enumerate(rows) if len(row) <= room]
        answers: list[list[str]] = [[] for _ in questions]
        if not fitting:
            return answers
        ids, mask = self._padded([rows[at] for at in fitting])
        torch.manual_seed(int(hashlib.sha256(seed.encode()).hexdigest()[:15], 16))
        stop = {"stop_strings": list(self.form.stop), "tokenizer": self.tokenizer} if self.form.stop else {}
        generated = self.model.generate(input_ids=ids, attention_mask=mask, generation_config=self.policy, **stop)
        texts = [self._text(row) for row in generated[:, ids.shape[1] :].tolist()]
        for place, at in enumerate(fitting):
            answers[at] = texts[place * self.samples : (place + 1) * self.samples]
        return answers

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and mask [rows, longest], padded on the left."""
        longest = max(map(len, rows))
        ids = torch.tensor([[self.pad] * (longest - len(row)) + list(row) for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self.model.device), mask.to(self.model.device)

    def _text(self, tokens: list[int]) -> str:
        """An answer up to its first end token and its first stop text."""
        ends = set(self.ends)
        length = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
        text = str(self.tokenizer.decode(tokens[:length], skip_special_tokens=True))
        return text[: min((at for one in self.form.stop if (at := text.find(one)) >= 0), default=len(text))]
