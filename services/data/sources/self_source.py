"""Worked answers that a model of the campaign writes to puzzles, kept where the verifier accepts them.

Rejection sampling (STaR, arXiv 2203.14465): puzzles of the train split are asked several times; an answer that the
challenge's scorer accepts, with no step that is known to be wrong, becomes a row. The model is the base unless the
constitution says `standing` (design rule 1), and each row says whose weights wrote it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgement.scorer import BOX, correct
from puzzles.draw import FAMILIES, draw
from puzzles.item import Item
from schemas.base import digest
from schemas.campaign import Model
from schemas.rows import Row
from schemas.scores import BASE
from schemas.sources import SelfSource
from services.data.collect.verify import wrong_steps
from services.data.job import Sampled
from services.data.sources.source import SourceFailed, State, Step
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_folder

PROMPTS = 16
"""Puzzles that are asked at a time, each `samples` times: a step."""

LICENCE = "written by the campaign's model"

Weights = Sequence[float]


@dataclass(frozen=True)
class Asked:
    """Who is asked, and for what."""

    sampled: Sampled
    """The models."""
    model: Model
    """Limits of prompts and answers."""
    copies: Path
    """Folder of copies of what lies in a store of objects."""
    difficulty: Weights
    """Weights of the levels 1, 2, 3: what the policy expects to be trained on."""
    wordings: Weights
    """Weights of the wordings 0, 1, 2."""


class Sampler:
    """A source of sampled answers. State: the round that asked last, and how many of its puzzles."""

    def __init__(self, spec: SelfSource, round_: int, seed: int, asked: Asked) -> None:
        self.name, self._spec, self._round, self._asked = spec.name, spec, round_, asked
        self._seed = digest([seed, round_, spec.name])

    def harvest(self, state: State) -> Iterator[Step]:
        """A step per few puzzles. Raises `SourceFailed` for an unknown domain, or where torch is not installed."""
        if self._spec.domain not in FAMILIES:
            known = ", ".join(FAMILIES)
            raise SourceFailed(
                f"data.sources: {self.name}: domain {self._spec.domain!r} has no puzzles to ask; say one of {known}"
            )
        said = state.get("asked", {})
        done = said["prompts"] if said.get("round") == self._round else 0
        puzzles = self._puzzles()
        if done >= len(puzzles):
            return
        writer = self._writer()
        for start in range(done, len(puzzles), PROMPTS):
            batch = puzzles[start : start + PROMPTS]
            outputs = writer.write([item.prompt for item in batch], seed=f"{self._seed}/{start}")
            rows, skipped = self._accepted(batch, outputs)
            told = {"round": self._round, "prompts": start + len(batch)}
            yield Step(tuple(rows), {"asked": told}, dict(skipped))

    def _puzzles(self) -> list[Item]:
        """The round's puzzles, each once."""
        spec, asked = self._spec, self._asked
        drawn = draw(
            spec.domain,
            spec.prompts_per_round,
            difficulty=asked.difficulty,
            wordings=asked.wordings,
            split="train",
            seed=self._seed,
        )
        return list({item.core: item for item in drawn}.values())

    def _writer(self) -> Any:
        try:
            from services.data.sampling import Writer  # noqa: PLC0415 - torch, which no other source needs
        except ModuleNotFoundError as missing:
            raise SourceFailed(
                f"data.sources: {self.name}: kind 'self' needs {missing.name}, which is not installed; "
                "pip install 'aevolve[trainer]'"
            ) from missing
        asked = self._asked
        base, adapter = Path(asked.sampled.base), None
        if self._standing and asked.sampled.adapter:
            kept = asked.sampled.adapter
            adapter = artifacts.fetch(kept.uri, kept.sha256, hash_folder, asked.copies)
            if (found := hash_folder(adapter)) != kept.sha256:
                raise artifacts.ArtifactChanged(kept.uri, found, kept.sha256)
        return Writer(base, adapter, asked.model, self._spec.samples, self._spec.temperature)

    @property
    def _standing(self) -> bool:
        return self._spec.model == "standing"

    @property
    def _uri(self) -> str:
        """Whose weights write: `model:CANDIDATE:HASH`."""
        asked = self._asked.sampled
        if self._standing and asked.adapter:
            return f"model:{asked.candidate}:{asked.adapter.sha256}"
        return f"model:{BASE}:{asked.base_sha256}"

    def _accepted(self, batch: Sequence[Item], outputs: Sequence[Sequence[str]]) -> tuple[list[Row], Counter[str]]:
        """The distinct outputs that hold, and how many were refused for what."""
        rows: dict[str, Row] = {}
        skipped: Counter[str] = Counter()
        for item, said in zip(batch, outputs, strict=True):
            skipped["too_long"] += not said
            for output in said:
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
